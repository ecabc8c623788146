"""Toy pairs that smoke runs make themselves."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from stylegan_jax.data import prepare, toy
from stylegan_jax.data.pair_manifest import FORMAT, INSTANCES, KIND, LABELS

NUM, SIDE = 64, 32


def write_toy_pairs(
    path: Path, *, labels: int = 0, second: bool = False, instances: bool = False
) -> None:
    """Writes toy people as photos, or as maps of classes, and as comics.

    Args:
        path: the set's folder, which must not exist.
        labels: classes of label maps on side A; 0 for photos.
        second: whether there is a side C, photos of other people.
        instances: whether there are maps of instances: bright and dark.
    """
    with prepare.write_aside(path) as folder:
        toy.write_toy(folder / "A", style="photo", num=NUM, size=SIDE, seed=0)
        toy.write_toy(folder / "B", style="comic", num=NUM, size=SIDE, seed=0)
        if second:
            toy.write_toy(folder / "C", style="photo", num=NUM, size=SIDE, seed=NUM)
        if instances:
            toy.write_toy(folder / "I", style="photo", num=NUM, size=SIDE, seed=0)
            _quantise(folder / "I", 2)
        if labels:
            _quantise(folder / "A", labels)
        names = sorted(p.relative_to(folder / "A") for p in _pictures(folder / "A"))
        sides = {"a": "A", "b": "B"} | ({"c": "C"} if second else {})
        sides |= {INSTANCES: "I"} if instances else {}
        lines = [
            {
                "index": i,
                **{side: f"{place}/{name}" for side, place in sides.items()},
                "keep": True,
            }
            for i, name in enumerate(names)
        ]
        side_a = {"kind": LABELS, "channels": 1} if labels else {"source": "toy photos"}
        document = {
            "kind": KIND,
            "format": FORMAT,
            "complete": True,
            "num": len(lines),
            "image_shape": [SIDE, SIDE, 3],
            "a": side_a,
            "b": {"source": "toy comics"},
        }
        if second:
            document["c"] = {"source": "toy photos of other people"}
        if instances:
            document[INSTANCES] = {"source": "brightness of toy photos"}
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
        (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")


def _pictures(folder: Path) -> list[Path]:
    return list(folder.rglob("*.png"))


def _quantise(folder: Path, labels: int) -> None:
    """Makes class numbers of brightness."""
    for file in _pictures(folder):
        with Image.open(file) as picture:
            grey = picture.convert("L")
        grey.point([value * labels // 256 for value in range(256)]).save(file)
