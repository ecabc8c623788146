"""The demo's last stages: a direction, pairs along it, and a student that learns it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.load import find_model, load
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data import pair_manifest
from stylegan_jax.data.toy_measure import ToyReader
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UserError
from stylegan_jax.latents.latent_pictures import edit, parse_layers
from stylegan_jax.pipelines import pairs
from stylegan_jax.pipelines.attribute_readers import TOY
from stylegan_jax.pipelines.demo_outputs import couples_sheet, put_through
from stylegan_jax.pipelines.demo_stages import (
    COUPLES,
    PSI,
    ROWS,
    Places,
    Say,
    begin_from,
)
from stylegan_jax.pipelines.direction_files import load_direction
from stylegan_jax.pipelines.direction_samples import DrawOptions
from stylegan_jax.pipelines.directions import FitOptions, fit
from stylegan_jax.pipelines.edit import (
    EditOptions,
    edit_faces,
    open_faces,
    parse_strengths,
)
from stylegan_jax.pipelines.edit_output import Output, monotone
from stylegan_jax.pipelines.evaluate_pairs import evaluate_pairs
from stylegan_jax.pipelines.pair_confidence import Confidence
from stylegan_jax.pipelines.pair_sides import Direction
from stylegan_jax.training.loop import Outcome, train

ATTRIBUTE = "smile"
# Of the latents that the direction is fitted to: more variety than in good pictures.
FIT_PSI = 1.0
# The blocks up to 16 pixels: the finest ones hold the colours.
STRENGTH, LAYERS = 3.0, "0-5"
STRENGTHS = "-3:3:7"
DRAWS = EditOptions(truncation_psi=PSI, noise_mode="none", layers=LAYERS)
# Pairs are kept whose smile grows by this many standard deviations of the faces' own.
CONFIDENT = 0.5
# Far from the seeds of the pairs and of the readings.
STRIP_SEEDS, STEP_SEEDS = "100000-100007", "100000-100063"


def later_seed(seed: int) -> int:
    """Seed of the first photo that the student is measured on."""
    return (seed + 3_000_000) % 2**32


def find_smile(places: Places, num: int, *, say: Say, shown: bool) -> None:
    """Fits the direction, draws the strip and measures it, unless all is there.

    Args:
        places: of the demo.
        num: faces to read.
        say: called with a line where something is done.
        shown: show a bar.
    """
    model = find_model(places.workdir)
    wanted = {"model": sha256_of(model), "num": num}
    if read_json(places.steps).get("made_from") == wanted:
        return
    say(f"looking for the direction of a smile in {num} faces")
    with tqdm(
        total=num, unit="img", leave=False, disable=None if shown else True
    ) as bar:
        fit(
            places.workdir,
            places.direction,
            FitOptions(ATTRIBUTE),
            DrawOptions(num=num, truncation_psi=FIT_PSI, noise_mode="none"),
            reader=TOY,
            progress=bar.update,
        )
    edit_faces(
        places.workdir,
        STRIP_SEEDS,
        [places.direction],
        parse_strengths(STRENGTHS),
        Output(places.strip, cell=96),
        DRAWS,
        reader=TOY,
    )
    # Last: once it is there, the others are of the same model.
    found = {"made_from": wanted, **_steps(places)}
    write_text(places.steps, json.dumps(found, indent=1) + "\n")


def _steps(places: Places) -> dict[str, Any]:
    """The measured smile at each strength, over more faces than the strip has."""
    faces = open_faces(places.workdir, STEP_SEEDS, DRAWS)
    array = load_direction(places.direction).array
    layers = parse_layers(LAYERS, faces.w_plus.shape[1])
    strengths, reader = parse_strengths(STRENGTHS), ToyReader()
    read = [
        reader.read(faces.pictures.images(edit(faces.w_plus, array, s, layers)))
        for s in strengths
    ]
    measured = np.stack([values[ATTRIBUTE] for values in read], axis=1)
    return {
        "faces": len(measured),
        "strengths": strengths,
        **monotone(measured),
    }


def make_smiles(places: Places, num: int, *, say: Say, shown: bool) -> None:
    """Makes pairs of a face and the same face moved along the direction.

    Args:
        places: of the demo.
        num: how many.
        say: called with a line where something is done.
        shown: show a bar.

    Raises:
        UserError: the pairs that are there are others.
    """
    found = pair_manifest.read_document(places.smiles) or {}
    confidence: Confidence | None = Confidence(TOY, ATTRIBUTE, CONFIDENT)
    if (found.get("num"), found.get("complete")) != (num, True):
        say(f"drawing {num} pairs of a face and its smile")
    elif "confidence" in found:
        confidence = None  # judged already; what was judged stays
    with tqdm(
        total=num, unit="pair", leave=False, disable=None if shown else True
    ) as bar:
        pairs.make_pairs(
            places.smiles,
            places.workdir,
            Direction(places.direction, STRENGTH, LAYERS),
            pairs.Options(num=num, truncation_psi=PSI),
            confidence=confidence,
            progress=bar.update,
        )


def drawn_pairs(places: Places) -> int:
    """How many pairs of smiles were drawn, kept or not."""
    return (pair_manifest.read_document(places.smiles) or {})["num"]


def train_student(
    places: Places, config: ConfigDict, *, say: Say, shown: bool
) -> Outcome:
    """Trains a pix2pixHD on these pairs, or goes on with it.

    Args:
        places: of the demo.
        config: of the training; its pairs are filled in.
        say: called with a line.
        shown: show the training's progress.

    Returns:
        How training ended.

    Raises:
        UserError: what is there was trained with other pairs.
    """
    fingerprint = open_training_pairs(places.smiles, progress=False).fingerprint
    begin_from(
        places.student,
        {"pairs": fingerprint},
        f"trained with the pairs in {places.smiles}",
    )
    config.data.path = str(places.smiles)
    say("training a student on them (pix2pixHD)")
    return train(config, places.student, show_progress=shown)


def measure_student(places: Places, share: float, *, say: Say, shown: bool) -> None:
    """Measures smiles before and after the student, on pairs and on drawn photos.

    Args:
        places: of the demo.
        share: of the pairs that training kept back.
        say: called with a line where something is done.
        shown: show a bar.
    """
    couples = put_through(
        places.student, places.later, places.smiled, say=say, shown=shown
    )
    model = find_model(places.student)
    made_from = {"model": sha256_of(model), "photos": len(couples)}
    if read_json(places.measured).get("made_from") == made_from:
        return
    on_pairs = evaluate_pairs(
        load(model),
        places.smiles,
        metrics=("l1",),
        held_out=share,
        attributes=TOY,
        per_pair=places.measured.with_name("smile.csv"),
    )
    side = couples[0].shape[0]
    reader = ToyReader()
    before, after = (
        reader.read(np.stack([couple[:, half] for couple in couples]))[ATTRIBUTE]
        for half in (slice(None, side), slice(side, None))
    )
    shown_pairs = COUPLES * ROWS
    captions = [f"{b:.2f} to {a:.2f}" for b, a in zip(before, after, strict=True)]
    save_png(
        smile_sheet(places),
        couples_sheet(couples[:shown_pairs], captions[:shown_pairs]),
    )
    found = {
        "made_from": made_from,
        "pairs": {
            "num": on_pairs["num"],
            **on_pairs["attributes"][ATTRIBUTE],
            **on_pairs["metrics"],
        },
        "photos": {
            "num": len(couples),
            "source": float(before.mean()),
            "output": float(after.mean()),
            "risen": float((after > before).mean()),
        },
    }
    write_text(places.measured, json.dumps(found, indent=1) + "\n")


def smile_sheet(places: Places) -> Path:
    """The sheet of photos and what the student makes of them."""
    return places.measured.with_name("later.png")


def read_json(path: Path) -> Mapping[str, Any]:
    """A file of JSON values by name; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it.") from error
    return found if isinstance(found, dict) else {}
