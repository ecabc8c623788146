"""Files of tiny generators that face spaces are fitted in."""

from __future__ import annotations

from tiny_facespace import facespace_generator

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.data import toy

FAMILIES = {"stylegan2": "stylegan2.generator", "stylegan1": "stylegan1.generator"}


def save_generator(path, family="stylegan2"):
    """Writes a tiny generator of a family and returns the path."""
    generator = facespace_generator(family)
    save_model(
        path,
        generator.variables,
        family=FAMILIES.get(family, family),
        config=generator.config,
        provenance={"kimg": 1},
        licence="CC0",
    )
    return path


def draw_faces(folder, number, size=16):
    """Draws toy faces 0.png, 1.png, … and returns the folder."""
    folder.mkdir(parents=True)
    for i in range(number):
        toy.draw(i, "photo", size)[0].save(folder / f"{i}.png")
    return folder
