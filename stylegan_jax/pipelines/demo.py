"""The demo: from nothing to any photo in another style, and a page about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from stylegan_jax.data.toy_canvas import Style
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import demo_psp, demo_space, demo_student
from stylegan_jax.pipelines import demo_stages as stages
from stylegan_jax.pipelines.demo_page import write_page
from stylegan_jax.pipelines.demo_stages import Places, Say
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.loop import train


@dataclasses.dataclass(frozen=True)
class Plan:
    """How large the demo is.

    Attributes:
        faces: toy photos to draw.
        overrides: of the configuration ``stylegan2_toy``.
        comics: toy comics to draw.
        style_overrides: of the configuration ``stylegan2_toy_finetune``.
        pairs: to make.
        psp_overrides: of the configuration ``psp_toy``.
        photos: new ones, to put through the encoder.
        readings: faces whose smile is measured, to find its direction.
        smiles: pairs to make along it.
        student_overrides: of the configuration ``pix2pixhd_toy``.
        later: new photos, to put through the student.
        space_overrides: of the configuration ``facespace_toy``.
    """

    faces: int
    overrides: tuple[str, ...]
    comics: int
    style_overrides: tuple[str, ...]
    pairs: int
    psp_overrides: tuple[str, ...]
    photos: int
    readings: int
    smiles: int
    student_overrides: tuple[str, ...]
    later: int
    space_overrides: tuple[str, ...]


FULL = Plan(
    faces=3000,
    overrides=(),
    comics=300,
    style_overrides=(),
    pairs=2000,
    psp_overrides=(),
    photos=24,
    readings=2000,
    smiles=1200,
    student_overrides=(),
    later=200,
    space_overrides=(),
)
# Shows that everything works; the faces are not good yet.
FAST = Plan(
    faces=512,
    overrides=(
        "--config.train.total_kimg=2",
        "--config.snapshot.every_kimg=1",
        "--config.eval.every_kimg=1",
        "--config.eval.num=256",
    ),
    comics=100,
    style_overrides=(
        "--config.train.total_kimg=0.5",
        "--config.train.tick_kimg=0.1",
        "--config.augment.kimg=1",
        "--config.augment.pipe=blit",  # compiles sooner
    ),
    pairs=120,
    psp_overrides=(
        # Compiles in a quarter of the time.
        "--config.model.encoder_type=BackboneEncoderUsingLastLayerIntoWPlus",
        "--config.train.total_kimg=1.5",
        "--config.train.tick_kimg=0.25",
        "--config.snapshot.every_kimg=0.5",
        "--config.eval.every_kimg=0.5",
    ),
    photos=8,
    readings=300,
    smiles=120,
    student_overrides=(
        "--config.train.total_kimg=0.5",
        "--config.train.tick_kimg=0.25",
        "--config.snapshot.every_kimg=0.5",
        "--config.eval.every_kimg=0.5",
    ),
    later=24,
    space_overrides=(
        "--config.train.epochs=60",
        "--config.train.cycles=1",
    ),
)


@dataclasses.dataclass(frozen=True)
class Demo:
    """How the demo ended.

    Attributes:
        page: the page's path; None where a signal came first.
        signal: the signal that ended it early; None where it ran to its end.
    """

    page: Path | None
    signal: int | None = None


def run_demo(
    workdir: str | Path,
    *,
    fast: bool = False,
    seed: int = 0,
    show_progress: bool = True,
    say: Say,
) -> Demo:
    """Runs all stages and writes ``report.html``.

    1. Toy photos, and a small generator that is trained on them.
    2. Toy comics, and a second generator that is fine-tuned on them from the first.
    3. A blend of the two.
    4. Pairs: the same seeds through the first and the blend.
    5. An encoder that learns from the pairs, and new photos through it.
    6. The direction of a smile, pairs along it, a student that learns from them, and
       new photos through it.
    7. A face space of eight new photos, and blends, a film and a map of it.

    Run again with the same folder, it goes on where it stopped.

    Args:
        workdir: the demo's folder, which is also the first run's.
        fast: a tenth of the training, to see that everything works.
        seed: of the faces and of the training.
        show_progress: show lines and bars.
        say: called with a line for each stage.

    Returns:
        How it ended.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    places = Places(Path(workdir))
    plan = FAST if fast else FULL
    if stages.is_begun(places.workdir) and not places.faces.is_dir():
        raise UserError(
            f"{places.workdir} holds something else: choose another --workdir for the "
            "demo."
        )
    configs = [
        load_config("stylegan2_toy", plan.overrides),
        load_config("stylegan2_toy_finetune", plan.style_overrides),
        load_config("psp_toy", plan.psp_overrides),
        load_config("pix2pixhd_toy", plan.student_overrides),
        load_config("facespace_toy", plan.space_overrides),
    ]
    for config in configs:
        config.train.seed = seed
    size = configs[0].data.resolution
    chapters = [_photos, _comics, _encoder, _student, _space]
    for chapter, config in zip(chapters, configs, strict=True):
        signal = chapter(_Demo(places, plan, size, seed, show_progress, say), config)
        if signal is not None:
            return Demo(None, signal)
    say("drawing new faces and writing the report")
    return Demo(write_page(places, plan, size=size, seed=seed))


@dataclasses.dataclass(frozen=True)
class _Demo:
    """What every chapter needs."""

    places: Places
    plan: Plan
    size: int
    seed: int
    shown: bool
    say: Say

    def draw(self, folder: Path, style: Style, num: int, seed: int) -> None:
        stages.draw_faces(
            folder, style, num, self.size, seed, say=self.say, shown=self.shown
        )

    @property
    def how(self) -> dict[str, Any]:
        return {"say": self.say, "shown": self.shown}


# Each returns the signal that ended its training early, or None.


def _photos(demo: _Demo, config: ConfigDict) -> int | None:
    demo.draw(demo.places.faces, "photo", demo.plan.faces, demo.seed)
    config.data.path = str(demo.places.faces)
    demo.say("training a small StyleGAN2 on them")
    return train(config, demo.places.workdir, show_progress=demo.shown).signal


def _comics(demo: _Demo, config: ConfigDict) -> int | None:
    first = stages.comic_seed(demo.seed)
    demo.draw(demo.places.comic, "comic", demo.plan.comics, first)
    outcome = stages.fine_tune(demo.places, config, **demo.how)
    if outcome.signal is None:
        stages.blend(demo.places, **demo.how)
        stages.make_demo_pairs(demo.places, demo.plan.pairs, **demo.how)
    return outcome.signal


def _encoder(demo: _Demo, config: ConfigDict) -> int | None:
    outcome = demo_psp.train_encoder(demo.places, config, **demo.how)
    if outcome.signal is None:
        first = demo_psp.new_seed(demo.seed)
        demo.draw(demo.places.new, "photo", demo.plan.photos, first)
        demo_psp.stylize_new(demo.places, **demo.how)
    return outcome.signal


def _student(demo: _Demo, config: ConfigDict) -> int | None:
    demo_student.find_smile(demo.places, demo.plan.readings, **demo.how)
    demo_student.make_smiles(demo.places, demo.plan.smiles, **demo.how)
    outcome = demo_student.train_student(demo.places, config, **demo.how)
    if outcome.signal is None:
        first = demo_student.later_seed(demo.seed)
        demo.draw(demo.places.later, "photo", demo.plan.later, first)
        share = config.data.held_out
        demo_student.measure_student(demo.places, share, **demo.how)
    return outcome.signal


def _space(demo: _Demo, config: ConfigDict) -> int | None:
    first = demo_space.space_seed(demo.seed)
    demo.draw(demo.places.eight, "photo", demo_space.FACES, first)
    outcome = demo_space.fit_space(demo.places, config, **demo.how)
    if outcome.signal is None:
        demo_space.use_space(demo.places, **demo.how)
    return outcome.signal
