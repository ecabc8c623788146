"""The demo's last stages: an encoder that learns from the pairs, and new photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.demo_stages import (
    COUPLES,
    Places,
    Say,
    begin_from,
)
from stylegan_jax.pipelines.stylize import Options, stylize
from stylegan_jax.pipelines.stylize_records import read_entries
from stylegan_jax.training.loop import Outcome, train

OPTIONS = Options(couple=True)


def new_seed(seed: int) -> int:
    """Seed of the first new photo: nobody whom a training picture shows."""
    return (seed + 2_000_000) % 2**32


def train_encoder(
    places: Places, config: ConfigDict, *, say: Say, shown: bool
) -> Outcome:
    """Trains a pSp on the pairs with the blend as decoder, or goes on with it.

    Args:
        places: of the demo.
        config: of the training; its pairs and decoder are filled in.
        say: called with a line.
        shown: show the training's progress.

    Returns:
        How training ended.

    Raises:
        UserError: what is there was trained with another blend or other pairs.
    """
    made_from = {
        "blend": sha256_of(places.blend),
        "pairs": open_training_pairs(places.pairs, progress=False).fingerprint,
    }
    how = f"trained with the blend and the pairs in {places.workdir}"
    begin_from(places.psp, made_from, how)
    config.init.decoder = str(places.blend)
    config.data.path = str(places.pairs)
    say("training an encoder on them (pSp)")
    return train(config, places.psp, show_progress=shown)


def split_of_pairs(places: Places, share: float) -> tuple[int, int]:
    """How many pairs are trained on, and how many only validation looks at.

    Args:
        places: of the demo.
        share: the training's ``data.held_out``.
    """
    pairs = open_training_pairs(places.pairs, progress=False)
    # Split as any data set: by the pairs' number alone.
    data: Any = [(pairs, 1.0)]
    trained, held_out = hold_out(data, share)
    return trained[0][0].num_images, held_out[0][0].num_images


def stylize_new(places: Places, *, say: Say, shown: bool) -> None:
    """Puts the new photos through the encoder's best snapshot, and draws their sheet.

    Outputs of another snapshot are made anew.

    Args:
        places: of the demo.
        say: called with a line where something is done.
        shown: show a bar.

    Raises:
        UserError: a photo cannot be read, or there is something else in the folder.
    """
    model = find_model(places.psp)
    begun, _ = read_entries(places.stylized)
    known = None if begun is None else begun["model"].get("sha256")
    if known != sha256_of(model):
        say("putting new photos through it")
    with tqdm(unit="img", leave=False, disable=None if shown else True) as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        done = stylize(
            model,
            places.new,
            places.stylized,
            OPTIONS,
            sheet=True,
            overwrite=known not in (None, sha256_of(model)),
            progress=step,
        )
    if done.failed:
        raise UserError(
            f"{len(done.failed)} photos in {places.new} cannot be read "
            f"({', '.join(done.failed)}): delete the folder, and it is drawn anew."
        )
    _, entries = read_entries(places.stylized)
    files = [file for entry in entries.values() for file in entry["outputs"]]
    save_png(places.couples, _couples([places.stylized / file for file in files]))


def _couples(files: list[Path]) -> np.ndarray:
    """A sheet of photos and their outputs, several in a row."""
    cells: list[list[np.ndarray]] = []
    for file in files:
        with Image.open(file) as image:
            couple = np.asarray(image)
        side = couple.shape[0]
        cells.append([couple[:, :side], couple[:, side:]])
    rows = [
        Row("", [picture for cell in cells[i : i + COUPLES] for picture in cell])
        for i in range(0, len(cells), COUPLES)
    ]
    heads = ["photo", "output"] * min(COUPLES, len(cells))
    return draw_sheet([Section(f"{len(cells)} new photos", heads, rows)], cell=96)
