"""The demo's last stages: eight photos become a face space, which is put to use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data.sources import open_source
from stylegan_jax.data.toy_measure import ToyReader
from stylegan_jax.latents.morph import frame_times
from stylegan_jax.latents.shares import labels, shares_at
from stylegan_jax.pipelines import facespace_blend, facespace_morph
from stylegan_jax.pipelines.demo_stages import Places, Say, begin_from
from stylegan_jax.pipelines.demo_student import read_json
from stylegan_jax.pipelines.edit_output import captioned
from stylegan_jax.pipelines.facespace_grid import grid
from stylegan_jax.pipelines.facespace_open import open_space
from stylegan_jax.pipelines.latent_map import map_latents
from stylegan_jax.training.facespace.observer import likeness
from stylegan_jax.training.facespace.photos import open_photos
from stylegan_jax.training.loop import Outcome, train

FACES = 8
BLENDS = facespace_blend.Options(["1=.5,2=.5", "3=.7,4=.3"], random=4, cell=128)
# The first four faces, and back.
STOPS = ("1", "2", "3", "4")
FILM = facespace_morph.Options(
    closed=True, frames_per=12, fps=12, bars=True, cell=192, path="spherical"
)
# Blends on the way from face to face that are measured.
STEPS = 8


def space_seed(seed: int) -> int:
    """Seed of the first of the eight photos: nobody whom another picture shows."""
    return (seed + 4_000_000) % 2**32


def fit_space(places: Places, config: ConfigDict, *, say: Say, shown: bool) -> Outcome:
    """Fits a face space to the eight photos in the first generator, or goes on with it.

    Args:
        places: of the demo.
        config: of the fitting; its photos and generator are filled in.
        say: called with a line.
        shown: show the training's progress.

    Returns:
        How it ended.

    Raises:
        UserError: what is there was fitted to other photos or in another generator.
    """
    made_from = {
        "generator": sha256_of(find_model(places.workdir)),
        "photos": open_source(places.eight).fingerprint(),
    }
    how = f"fitted to {places.eight} in the best snapshot in {places.workdir}"
    begin_from(places.space, made_from, how)
    config.init.model = str(places.workdir)
    config.data.path = str(places.eight)
    say("fitting a face space to them")
    return train(config, places.space, show_progress=shown)


def use_space(places: Places, *, say: Say, shown: bool) -> None:
    """Draws faces, blends, a film, the grid and a map, and measures, unless it is done.

    Args:
        places: of the demo.
        say: called with a line where something is done.
        shown: show a bar.
    """
    model = find_model(places.space)
    made_from = {"model": sha256_of(model)}
    if read_json(places.used).get("made_from") == made_from:
        return
    say("blending faces of the space")
    space, folder = open_space(model, faces=FACES), places.used.parent
    measured = _faces(places, space)
    with tqdm(unit="img", leave=False, disable=None if shown else True) as bar:
        facespace_blend.blend(space, folder / "blends.png", BLENDS, progress=bar.update)
        facespace_morph.morph(
            space, STOPS, folder / "morph.gif", FILM, progress=bar.update
        )
        grid(space, folder / "grid.png", cell=64, progress=bar.update)
    found = map_latents(model, folder / "map.png")
    measured["map"] = found["panels"][1]["figures"]["explained"]
    measured["between"] = between(space)
    # Last: once it is there, the pictures are of the same space.
    document = {"made_from": made_from, **measured}
    write_text(places.used, json.dumps(document, indent=1) + "\n")


def _faces(places: Places, space: FaceSpaceModel) -> dict[str, Any]:
    """Draws the photos above what the space makes of them, with L2 under each."""
    photos = open_photos(places.eight, space.image_shape[:2]).given()
    found = likeness(space, photos)
    rows = [
        Row("photo", [captioned(photo, [""], 96) for photo in photos]),
        Row(
            "face space",
            [
                captioned(face, [f"L2 {l2:.4f}"], 96)
                for face, l2 in zip(found["faces"], found["l2"], strict=True)
            ],
        ),
    ]
    section = Section(
        "Eight photos and their faces in the space", labels(space.names), rows
    )
    largest = max(rows[0].pictures[0].shape[:2])
    save_png(places.used.with_name("faces.png"), draw_sheet([section], cell=largest))
    return {"l2": found["l2"].tolist(), "l2_mean": found["l2_mean"].tolist()}


def between(space: FaceSpaceModel) -> dict[str, Any]:
    """Whether blends of two faces look like something between the two.

    On the way from each face to the next, the attribute in which the two differ most
    (in standard deviations over all faces) is measured off the pictures.

    Returns:
        ``ways``, ``attributes`` (of each), ``inside``: the share of blends whose
        measure lies between those of the two faces, and ``forward``: the share of steps
        that go towards the second one.
    """
    number = len(space.names)
    stops = np.eye(number)
    times = frame_times(number, STEPS, loop=True)
    shares = shares_at(
        stops, space.codes.astype(np.float64), times, STEPS, easing="linear",
        path="spherical",
    )  # fmt: skip
    read = ToyReader().read(space.images(space.vectors(shares)))
    names = list(read)
    values = np.stack([np.asarray(read[name], np.float64) for name in names])
    ways = values.reshape(len(names), number, STEPS)
    ends = ways[:, :, 0]
    ways = np.concatenate([ways, np.roll(ends, -1, 1)[:, :, None]], 2)  # [A,N,STEPS+1]
    apart = np.abs(ways[:, :, -1] - ways[:, :, 0])
    spread = np.maximum(ends.std(1, keepdims=True), 1e-6)
    chosen = (apart / spread).argmax(0)
    return {
        "ways": number,
        "attributes": [names[i] for i in chosen],
        **_order(ways[chosen, np.arange(number)]),
    }


def _order(ways: np.ndarray) -> dict[str, float]:
    """How measures [N, T] on ways go from their first to their last."""
    low, high = np.minimum(ways[:, 0], ways[:, -1]), np.maximum(ways[:, 0], ways[:, -1])
    inner = ways[:, 1:-1]
    inside = (inner >= low[:, None]) & (inner <= high[:, None])
    steps = np.diff(ways) * np.sign(ways[:, -1:] - ways[:, :1])
    return {"inside": float(inside.mean()), "forward": float((steps > 0).mean())}


def weights_words(options: facespace_blend.Options) -> Sequence[str]:
    """What one types for these blends."""
    words = [word for text in options.weights for word in ("--weights", text)]
    return [*words, "--random", str(options.random), "--cell", str(options.cell)]
