"""What a smoke run of pSp makes itself: a small untrained generator, and toy pairs."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
from PIL import Image

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.data import prepare, toy
from stylegan_jax.data.pair_manifest import FORMAT, KIND, LABELS
from stylegan_jax.models.stylegan2 import Generator
from stylegan_jax.training import spmd

NUM, SIDE = 64, 32


def is_wanted(config: ConfigDict) -> bool:
    """Whether a run asks for toys, and names neither pairs nor networks."""
    init, data = config.init, config.data
    named = (data.path, init.decoder, init.model)
    return data.toy and not any(x is not None for x in named)


def fill(config: ConfigDict, workdir: Path) -> ConfigDict:
    """Makes what is missing in ``data/`` of the run's folder, and names it."""
    config = config.copy_and_resolve_references()
    folder = workdir / "data"
    decoder, pairs = folder / "toy_decoder.safetensors", folder / "toy_pairs"
    if jax.process_index() == 0:
        if not decoder.is_file():
            _write_decoder(decoder)
        if not pairs.is_dir():
            _write_pairs(pairs, config.data.source_labels)
    spmd.wait_for_all("toy pairs")
    config.init.decoder = str(decoder)
    config.data.path = str(pairs / "B" if config.data.reconstruct else pairs)
    return config


def _write_decoder(path: Path) -> None:
    module = Generator(
        num_blocks=4, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256,
        channel_max=16,
    )  # fmt: skip
    key = jax.random.key(0)
    variables = module.init(key, jnp.zeros((1, 16)), jnp.zeros((1, 0)))
    save_model(
        path,
        jax.device_get(variables),
        family="stylegan2.generator",
        config=config_of(module),
        provenance={"made_by": "a smoke run; untrained"},
        licence="CC0",
    )


def _write_pairs(path: Path, labels: int) -> None:
    """Toy people as photos, or as maps of classes, and as comics."""
    with prepare.write_aside(path) as folder:
        toy.write_toy(folder / "A", style="photo", num=NUM, size=SIDE, seed=0)
        toy.write_toy(folder / "B", style="comic", num=NUM, size=SIDE, seed=0)
        if labels:
            _quantise(folder / "A", labels)
        names = sorted(p.relative_to(folder / "A") for p in _pictures(folder / "A"))
        lines = [
            {"index": i, "a": f"A/{name}", "b": f"B/{name}", "keep": True}
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
