"""The demo: from nothing to any photo in another style, and a page about it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import demo_psp
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
    """

    faces: int
    overrides: tuple[str, ...]
    comics: int
    style_overrides: tuple[str, ...]
    pairs: int
    psp_overrides: tuple[str, ...]
    photos: int


FULL = Plan(
    faces=3000,
    overrides=(),
    comics=300,
    style_overrides=(),
    pairs=2000,
    psp_overrides=(),
    photos=24,
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
    photo = load_config("stylegan2_toy", plan.overrides)
    comic = load_config("stylegan2_toy_finetune", plan.style_overrides)
    encoder = load_config("psp_toy", plan.psp_overrides)
    size = photo.data.resolution
    photo.train.seed = comic.train.seed = encoder.train.seed = seed
    stages.draw_faces(
        places.faces, "photo", plan.faces, size, seed, say=say, shown=show_progress
    )
    photo.data.path = str(places.faces)
    say("training a small StyleGAN2 on them")
    outcome = train(photo, places.workdir, show_progress=show_progress)
    if outcome.signal is not None:
        return Demo(None, outcome.signal)
    first = stages.comic_seed(seed)
    stages.draw_faces(
        places.comic, "comic", plan.comics, size, first, say=say, shown=show_progress
    )
    outcome = stages.fine_tune(places, comic, say=say, shown=show_progress)
    if outcome.signal is not None:
        return Demo(None, outcome.signal)
    stages.blend(places, say=say, shown=show_progress)
    stages.make_demo_pairs(places, plan.pairs, say=say, shown=show_progress)
    outcome = demo_psp.train_encoder(places, encoder, say=say, shown=show_progress)
    if outcome.signal is not None:
        return Demo(None, outcome.signal)
    first = demo_psp.new_seed(seed)
    stages.draw_faces(
        places.new, "photo", plan.photos, size, first, say=say, shown=show_progress
    )
    demo_psp.stylize_new(places, say=say, shown=show_progress)
    say("drawing new faces and writing the report")
    return Demo(write_page(places, plan, size=size, seed=seed))
