"""The demo's ``report.html``: seven chapters, and what to type for each."""

from __future__ import annotations

import os
import platform
import shlex
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from stylegan_jax.checkpoints.load import find_model, load_generator
from stylegan_jax.checkpoints.model_file import read_metadata
from stylegan_jax.data import pair_manifest
from stylegan_jax.metrics.memorisation import NEAREST
from stylegan_jax.pipelines.blend_parents import lineage, read_parent
from stylegan_jax.pipelines.demo_commands import line, seed_words, toy_line
from stylegan_jax.pipelines.demo_psp_page import psp_chapter
from stylegan_jax.pipelines.demo_space_page import space_chapter
from stylegan_jax.pipelines.demo_stages import (
    GRID_ALPHAS,
    GRID_SEEDS,
    PSI,
    RECIPE,
    Places,
    comic_seed,
    grid_resolutions,
)
from stylegan_jax.pipelines.demo_student_page import student_chapter
from stylegan_jax.pipelines.generate import generate
from stylegan_jax.pipelines.report import Chapter, Section, write_report
from stylegan_jax.pipelines.report_run import (
    STYLE_CURVES,
    points,
    read_stats,
    run_tiles,
)

# Far from the seeds of the sample grids.
NEW_SEEDS = range(100, 136)

INTRO = """This page was made on this machine from nothing: the program drew \
{faces} faces with known attributes, trained a small StyleGAN2 on them, and wrote down \
what happened. The faces below that move from noise to people are the generator's, not \
drawings.

Then it taught a copy of that generator another style from {comics} pictures, blended \
the two, and made {pairs} pairs of one face in both styles. An encoder learned \
from the pairs to put any photo into the style. Then it found out which way a smile \
lies in the latents, and a small network learned to make any photo smile. And eight \
new photos became a space in which faces can be blended. The same commands take your \
own pictures; what to type is under each chapter and at the end."""

COMIC = """{comics} comic faces of other people than in the photos, without any \
pairing: a copy of the first generator goes on with these (fine-tuning), and keeps the \
poses and faces that it knows where they do not contradict. A discriminator would \
soon know so few pictures by heart. So its images are augmented, as often as \
it needs (ADA): p is the probability. A tenth of the comics is held out, and the \
overfit watch compares what is drawn with the training pictures.

The snapshot that counts is the nearest to the comics among those that draw no copies \
of them: here the one at {best} kimg."""

BLEND = """Every layer of the two generators still does the same work, since one was \
made from the other. So layers can be exchanged: the blend takes the blocks of {low} \
from the photo generator, which decide pose and shape, and those of {high} from the \
comic one, which decide outlines, colours and small features.

On the sheet each row is one latent. Columns: BASE is the photo generator; “from R px” \
takes all blocks of at least R pixels from the comic one; STYLE is the comic \
generator. The upper rows go half of the way in these blocks (alpha 0.5), the lower \
rows the whole way (alpha 1). The blend that is used from here on is \
“from {resolution} px” with alpha 1."""

PAIRS = """One latent through the photo generator and through the blend gives one \
person in two styles. Sets of such pairs train networks that turn any picture into the \
style in one step, as the next chapter does. Each pair's seed, latent and scores are \
in manifest.jsonl; run again, the same command continues or enlarges the set."""

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
        "A style of your own: a few hundred aligned faces in it, and a generator that "
        "knows faces (a run, or any checkpoint that stylegan-jax convert reads).",
        "stylegan-jax train --config stylegan2_finetune --config.init.model=runs/mine "
        "--config.data.path=STYLE/ --workdir runs/style",
    ),
    (
        "Draw new faces from any model, these too.",
        "stylegan-jax generate {workdir} --seeds 0-31 --psi 0.7 --out faces.png",
    ),
)


class Plan(Protocol):
    """What a page tells of the demo's size; see `demo.Plan`."""

    @property
    def faces(self) -> int:
        """Photos."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """Of the first training."""

    @property
    def comics(self) -> int:
        """Comics."""

    @property
    def style_overrides(self) -> tuple[str, ...]:
        """Of the fine-tuning."""

    @property
    def pairs(self) -> int:
        """Pairs."""

    @property
    def psp_overrides(self) -> tuple[str, ...]:
        """Of the encoder's training."""

    @property
    def student_overrides(self) -> tuple[str, ...]:
        """Of the student's training."""

    @property
    def space_overrides(self) -> tuple[str, ...]:
        """Of the face space's fitting."""


def write_page(places: Places, plan: Plan, *, size: int, seed: int) -> Path:
    """Draws new faces with the first generator and the blend, and writes the page.

    Args:
        places: of a demo whose stages are all finished.
        plan: its size.
        size: side of the pictures.
        seed: of the demo.

    Returns:
        The page's path.
    """
    new = places.workdir / "faces-new.png"
    mixed = places.blend.with_name("faces-new.png")
    for model, file in ((places.workdir, new), (places.blend, mixed)):
        generate(load_generator(model), NEW_SEEDS, file, truncation_psi=PSI)
    best = Section(
        title="New people",
        text=f"{len(NEW_SEEDS)} seeds that the training never showed, drawn by its "
        f"best snapshot with truncation {PSI:g}, beside faces from the training set.",
        pictures=[
            (new, f"generated, ψ {PSI:g}"),
            (
                places.workdir / "samples" / "reals.png",
                "drawn by the program: training data",
            ),
        ],
    )
    numbers = {"faces": plan.faces, "comics": plan.comics, "pairs": plan.pairs}
    return write_report(
        places.workdir,
        title="stylegan-jax: a generator from nothing, and a style of its own",
        intro=INTRO.format(**numbers),
        sections=[best],
        chapters=[
            Chapter(
                "A generator from nothing",
                commands=_photo_commands(places, plan, size, seed),
            ),
            _comic_chapter(places, plan, size, seed),
            _blend_chapter(places, new, mixed),
            _pairs_chapter(places, plan),
            psp_chapter(places, plan.psp_overrides, size=size, seed=seed),
            student_chapter(places, plan.student_overrides, size=size, seed=seed),
            space_chapter(places, plan.space_overrides, size=size, seed=seed),
        ],
        next_steps=[
            (text, c.format(workdir=shlex.quote(str(places.workdir))))
            for text, c in NEXT_STEPS
        ],
        machine=_machine(),
    )


def _photo_commands(places: Places, plan: Plan, size: int, seed: int) -> list[str]:
    return [
        toy_line(places.faces, "photo", plan.faces, size, seed),
        line(
            "train --config stylegan2_toy", f"--config.data.path={places.faces}",
            *plan.overrides, *seed_words(seed), "--workdir", places.workdir,
        ),
    ]  # fmt: skip


def _comic_chapter(places: Places, plan: Plan, size: int, seed: int) -> Chapter:
    stats = read_stats(places.style / "stats.jsonl")
    tiles = run_tiles(stats, brief=True)
    for caption, name in (
        ("p of the augmentation at the end", "augment/p"),
        (
            f"overfit watch: distance to the nearest comic (copies: below {NEAREST:g})",
            "watch/nearest",
        ),
    ):
        found = points(stats, name)
        if found:
            tiles[caption] = f"{found[-1][1]:.2f}"
    best = read_metadata(find_model(places.style))["provenance"]["nimg"] / 1000
    commands = [
        toy_line(places.comic, "comic", plan.comics, size, comic_seed(seed)),
        line(
            "train --config stylegan2_toy_finetune",
            f"--config.init.model={places.workdir}",
            f"--config.data.path={places.comic}",
            *plan.style_overrides, *seed_words(seed), "--workdir", places.style,
        ),
    ]  # fmt: skip
    return Chapter(
        f"A second style from {plan.comics} pictures",
        text=COMIC.format(comics=plan.comics, best=f"{best:g}"),
        figures=tiles,
        run=places.style,
        curves=STYLE_CURVES,
        commands=commands,
    )


def _blend_chapter(places: Places, new: Path, mixed: Path) -> Chapter:
    base, style = (read_parent(p) for p in (places.workdir, places.style))
    found = lineage(base, style)
    blocks = base.config["num_blocks"]
    sides = [max(base.config["base_grid"]) << i for i in range(blocks)]
    low = [f"{s}" for s in sides if s < RECIPE.resolution]
    high = [f"{s}" for s in sides if s >= RECIPE.resolution]
    models = [places.workdir, places.style]
    columns = ",".join(map(str, grid_resolutions(base.path)))
    return Chapter(
        "Between the two: a blend",
        text=BLEND.format(
            low=f"{' and '.join(low)} pixels",
            high=f"{' and '.join(high)} pixels",
            resolution=RECIPE.resolution,
        ),
        figures={
            "distance of the two generators' weights (0 equal, 1 strangers)": (
                f"{found['distance']:.2f}"
            ),
            "that of the mapping network, from latents to w": (
                f"{found['layers']['mapping']:.3f}"
            ),
        },
        sections=[
            Section(
                "Which layers, how far",
                pictures=[(places.grid, "each row is one latent")],
            ),
            Section(
                "New people again",
                text="The seeds of chapter 1, in the same order.",
                pictures=[(new, "photo generator"), (mixed, "the blend")],
            ),
        ],
        commands=[
            line(
                "blend", *models, places.blend,
                "--resolution", RECIPE.resolution,
            ),
            line(
                "blend", places.workdir, style.path, "--grid", places.grid,
                "--resolutions", columns,
                "--alphas", ",".join(f"{a:g}" for a in GRID_ALPHAS),
                "--seeds", ",".join(map(str, GRID_SEEDS)),
            ),
        ],
    )  # fmt: skip


def _pairs_chapter(places: Places, plan: Plan) -> Chapter:
    lines = pair_manifest.read_pairs(places.pairs)
    difference = float(np.mean([x["scores"]["difference"] for x in lines]))
    return Chapter(
        "Pairs: one face, two styles",
        text=PAIRS,
        figures={
            "pairs": f"{len(lines)}",
            "mean difference of the two pictures, of 1": f"{difference:.3f}",
        },
        sections=[
            Section("", pictures=[(places.sheet, "photo generator | blend, in twos")])
        ],
        commands=[
            line(
                "pairs", places.pairs, "--base", places.workdir,
                "--blend", places.blend, "--num", plan.pairs,
            )
        ],
    )  # fmt: skip


def _machine() -> dict[str, Any]:
    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "CPUs": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
