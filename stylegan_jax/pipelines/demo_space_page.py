"""The chapter on the face space of the demo's ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.pipelines.demo_commands import line, seed_words, toy_line
from stylegan_jax.pipelines.demo_space import (
    BLENDS,
    FACES,
    FILM,
    STOPS,
    space_seed,
    weights_words,
)
from stylegan_jax.pipelines.demo_stages import Places
from stylegan_jax.pipelines.demo_student import read_json
from stylegan_jax.pipelines.report import Chapter, Section
from stylegan_jax.pipelines.report_run import read_stats

# How many times lower than that of the mean face L2 should be.
ENOUGH = 4.0

TEXT = """{faces} photos that no training picture shows, and a small network (an \
encoder) that says which latents of the first generator draw each of them. Its input \
is a list of shares, one for each photo: “all of the first” gives the first face, and \
“half of the first, half of the second” gives somebody between the two, who does not \
exist. The generator stays as it is, so what it cannot draw, the space cannot either. \
{outcome}"""

TOO_LITTLE = """Here the faces are less than {enough:g} times nearer to their photos \
than the mean face is: this fitting was too short. It shows that everything works, not \
what a face space can do."""

BETWEEN = """On the way from each face to the next, the attribute in which the two \
differ most was measured off the pictures. {inside:.0%} of the blends lie between the \
two faces, and {forward:.0%} of the steps go towards the second one."""

MAP = """The inputs of the photos are all equally far apart, so a map of them says \
nothing; their latents (W+) are not, and who is alike lies closer together. The two \
axes hold {share:.0%} of the variance."""

OWN = (
    (
        "Six to ten photos of faces, and any StyleGAN or StyleGAN2: the faces are cut "
        "out as FFHQ's were, and a space is fitted to them. It is one file.",
        "stylegan-jax facespace fit PHOTOS/ ffhq.safetensors space.safetensors --align",
    ),
    (
        "Blend, morph, look.",
        "stylegan-jax facespace blend space.safetensors --weights anna=.6,bela=.4 "
        "--out blend.png\n"
        "stylegan-jax facespace morph space.safetensors anna bela carla --closed "
        "--bars --out morph.gif\n"
        "stylegan-jax facespace grid space.safetensors --out grid.png\n"
        "stylegan-jax latents map space.safetensors --method tsne --out map.png",
    ),
)


def space_chapter(
    places: Places, overrides: Sequence[str], *, size: int, seed: int
) -> Chapter:
    """What the face space can do; all figures are those that its stage wrote down.

    Args:
        places: of a demo whose stages are all finished.
        overrides: of the configuration ``facespace_toy``.
        size: side of the pictures.
        seed: of the demo.
    """
    measured = read_json(places.used)
    l2, mean = np.mean(measured["l2"]), np.mean(measured["l2_mean"])
    ratio = float(mean / max(l2, 1e-12))
    short = TOO_LITTLE.format(enough=ENOUGH) if ratio < ENOUGH else ""
    return Chapter(
        "Eight faces and all between them: a face space",
        text=TEXT.format(faces=FACES, outcome=short),
        headline=(f"{ratio:.1f}×", "lower L2 of the eight faces than of the mean face"),
        figures=_tiles(places, measured),
        sections=_pictures(places, measured),
        commands=_commands(places, overrides, size=size, seed=seed),
        own=OWN,
    )


def _tiles(places: Places, measured: Mapping[str, Any]) -> dict[str, str]:
    stats = read_stats(places.space / "stats.jsonl")
    seconds = stats[-1]["seconds"] if stats else 0
    return {
        "L2 of the faces from their photos": f"{np.mean(measured['l2']):.4f}",
        "of the worst one": f"{max(measured['l2']):.4f}",
        "of the mean face": f"{np.mean(measured['l2_mean']):.4f}",
        "blends that lie between their two faces": (
            f"{measured['between']['inside']:.0%}"
        ),
        "fitted in": f"{seconds:.0f} s",
    }


def _pictures(places: Places, measured: Mapping[str, Any]) -> list[Section]:
    folder = places.used.parent
    return [
        Section(
            "The photos again",
            pictures=[(folder / "faces.png", "photo | what the space draws")],
        ),
        Section(
            "Blends",
            text=BETWEEN.format(**measured["between"]),
            pictures=[(folder / "blends.png", "two that were chosen, four by chance")],
        ),
        Section(
            "From face to face",
            pictures=[(folder / "morph.gif", "the first four, and back")],
        ),
        Section(
            "Every pair, half and half",
            pictures=[(folder / "grid.png", "photos on the margins")],
        ),
        Section(
            "A map",
            text=MAP.format(share=sum(measured["map"])),
            pictures=[(folder / "map.png", "codes | latents, by principal axes")],
        ),
    ]


def _commands(
    places: Places, overrides: Sequence[str], *, size: int, seed: int
) -> list[str]:
    model, folder = find_model(places.space), places.used.parent
    return [
        toy_line(places.eight, "photo", FACES, size, space_seed(seed)),
        line(
            "train --config facespace_toy", f"--config.data.path={places.eight}",
            f"--config.init.model={places.workdir}", *overrides, *seed_words(seed),
            "--workdir", places.space,
        ),
        line(
            "facespace blend", model, *weights_words(BLENDS),
            "--out", folder / "blends.png",
        ),
        line(
            "facespace morph", model, *STOPS, "--closed", "--bars",
            "--path", FILM.path, "--frames-per", FILM.frames_per, "--fps", FILM.fps,
            "--cell", FILM.cell, "--out", folder / "morph.gif",
        ),
        line("facespace grid", model, "--cell", 64, "--out", folder / "grid.png"),
        line("latents map", model, "--out", folder / "map.png"),
    ]  # fmt: skip
