"""The demo's last stages: an encoder that learns from the pairs, and new photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.pipelines.demo_outputs import couples_sheet, put_through
from stylegan_jax.pipelines.demo_stages import Places, Say, begin_from
from stylegan_jax.training.loop import Outcome, train


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


def split_of_pairs(folder: Path, share: float) -> tuple[int, int]:
    """How many pairs are trained on, and how many only validation looks at.

    Args:
        folder: of pairs.
        share: the training's ``data.held_out``.
    """
    pairs = open_training_pairs(folder, progress=False)
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
    couples = put_through(places.psp, places.new, places.stylized, say=say, shown=shown)
    save_png(places.couples, couples_sheet(couples))
