"""The demo: from nothing to a small generator of faces and a page about it."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from stylegan_jax.checkpoints.load import load_generator
from stylegan_jax.data import toy
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.generate import generate
from stylegan_jax.pipelines.report import Section, write_report
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.loop import Outcome, train

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How large the demo is.

    Attributes:
        faces: toy faces to draw.
        overrides: of the configuration ``stylegan2_toy``.
    """

    faces: int
    overrides: tuple[str, ...]


FULL = Plan(faces=3000, overrides=())
# Shows that everything works; the faces are not good yet.
FAST = Plan(
    faces=512,
    overrides=(
        "--config.train.total_kimg=2",
        "--config.snapshot.every_kimg=1",
        "--config.eval.every_kimg=1",
        "--config.eval.num=256",
    ),
)

INTRO = """This page was made on this machine from nothing: the program drew \
{faces} faces with known attributes, trained a small StyleGAN2 on them, and wrote down \
what happened. The faces below that move from noise to people are the generator's, not \
drawings.

The same commands take your own pictures; what to type is at the end."""

NEXT_STEPS = (
    (
        "Look at your pictures first: one report lists every file that cannot be used.",
        "stylegan-jax data check PHOTOS/",
    ),
    (
        "Train on them: any sizes, the program crops and resizes. All devices of the "
        "machine are used; --dry-run shows first how much memory it needs.",
        "stylegan-jax train --config stylegan2_auto --config.data.path=PHOTOS/ "
        "--config.data.resolution=256 --workdir runs/mine",
    ),
    (
        "Stop it whenever you like: the same command goes on where it was.",
        "",
    ),
    (
        "Draw new faces from any run, this one too.",
        "stylegan-jax generate {workdir} --seeds 0-31 --psi 0.7 --out faces.png",
    ),
)


def run_demo(
    workdir: str | Path,
    *,
    fast: bool = False,
    seed: int = 0,
    show_progress: bool = True,
    say: Say,
) -> tuple[Outcome, Path | None]:
    """Draws faces, trains on them, and writes ``report.html``.

    Run again with the same folder, it goes on where it stopped.

    Args:
        workdir: the demo's folder.
        fast: a tenth of the training, to see that everything works.
        seed: of the faces and of the training.
        show_progress: show the training's progress.
        say: called with a line for each stage.

    Returns:
        How training ended, and the page's path (None if training was interrupted).

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    workdir = Path(workdir)
    plan = FAST if fast else FULL
    config = load_config("stylegan2_toy", plan.overrides)
    faces = workdir / "faces"
    if workdir.exists() and any(workdir.iterdir()) and not faces.is_dir():
        raise UserError(
            f"{workdir} holds something else: choose another --workdir for the demo."
        )
    if faces.is_dir():
        _check_size(faces, plan)
    else:
        say(f"drawing {plan.faces} toy faces")
        toy.write_toy(
            faces,
            style="photo",
            num=plan.faces,
            size=config.data.resolution,
            seed=seed,
            progress=show_progress,
        )
    config.data.path = str(faces)
    config.train.seed = seed
    say("training a small StyleGAN2 on them")
    outcome = train(config, workdir, show_progress=show_progress)
    if outcome.signal is not None:
        return outcome, None
    say("drawing new faces and writing the report")
    return outcome, _write_page(workdir, plan)


def _check_size(faces: Path, plan: Plan) -> None:
    """A page must not tell of other faces than those that were trained on."""
    found = sum(1 for _ in faces.rglob("*.png"))
    if found != plan.faces:
        raise UserError(
            f"{faces} holds {found} faces of another demo and this one has "
            f"{plan.faces}: use the same options as then, or another --workdir."
        )


def _write_page(workdir: Path, plan: Plan) -> Path:
    generator = load_generator(workdir)
    grid = workdir / "faces-new.png"
    generate(generator, range(100, 136), str(grid), truncation_psi=0.7)
    best = Section(
        title="New people",
        text="36 seeds that the training never showed, drawn by its best snapshot with "
        "truncation 0.7, beside faces from the training set.",
        pictures=[
            (grid, "generated, ψ 0.7"),
            (workdir / "samples" / "reals.png", "drawn by the program: training data"),
        ],
    )
    return write_report(
        workdir,
        title="stylegan-jax: a generator from nothing",
        intro=INTRO.format(faces=plan.faces),
        sections=[best],
        next_steps=[(text, c.format(workdir=workdir)) for text, c in NEXT_STEPS],
        machine=_machine(),
    )


def _machine() -> dict[str, Any]:
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "CPUs": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
