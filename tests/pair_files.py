"""Sets of pairs on disk, as ``stylegan-jax pairs`` leaves them."""

from __future__ import annotations

import json

from PIL import Image

from stylegan_jax.data.pair_manifest import FORMAT, KIND


def write_pairs(folder, a, b):
    """A set of pairs as ``stylegan-jax pairs`` leaves it."""
    lines = []
    for side, pictures in (("A", a), ("B", b)):
        (folder / side).mkdir(parents=True)
        for i, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / side / f"{i:08d}.png")
    for i in range(len(a)):
        name = f"{i:08d}.png"
        lines.append({"index": i, "a": f"A/{name}", "b": f"B/{name}", "keep": True})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "manifest.jsonl").write_text(text)
    document = {"kind": KIND, "format": FORMAT, "complete": True, "num": len(a)}
    document["image_shape"] = list(b[0].shape)
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder
