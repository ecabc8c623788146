"""The chapter on the student of the demo's ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.model_file import read_metadata
from stylegan_jax.data.sources import open_source
from stylegan_jax.pipelines.demo_commands import line, seed_words, toy_line
from stylegan_jax.pipelines.demo_psp import split_of_pairs
from stylegan_jax.pipelines.demo_psp_page import speed_tiles
from stylegan_jax.pipelines.demo_stages import PSI, Places
from stylegan_jax.pipelines.demo_student import (
    ATTRIBUTE,
    CONFIDENT,
    FIT_PSI,
    LAYERS,
    STRENGTH,
    STRENGTHS,
    STRIP_SEEDS,
    drawn_pairs,
    later_seed,
    read_json,
    smile_sheet,
)
from stylegan_jax.pipelines.direction_files import load_direction
from stylegan_jax.pipelines.report import Chapter, Section
from stylegan_jax.pipelines.report_run import read_config, read_stats

# How much of the latent edit's gain a student should reach.
ENOUGH = 0.5

TEXT = """Some direction in the first generator's latents makes its faces smile. To \
find it, the smiles of {num} faces were measured (the bend of the mouth, from the \
pixels; no network takes part), and a plane was put between the latents of those that \
smile more and of those that smile less.

Moving a latent needs a latent. So {drawn} pairs of a face and the same face moved \
along the direction were drawn, and the {pairs} on which the measured smile grew \
enough train a student (pix2pixHD), which then does it to any picture in one pass. \
Of these {held_out} were kept from training, all of them other people. On them the \
smile is measured in what the student is shown, in what comes out, and in the latent \
edit. \
{outcome}"""

TOO_LITTLE = """That is less than half of the latent edit's gain: this training was \
too short. It shows that everything works, not what a student can do."""

NO_GAIN = """Here the latent edit itself makes nobody smile more: the generator or \
the direction is too weak for a student to learn from."""

FAR = """Its pictures (L1 {l1:.3f}) are further from the latent edit than what it is \
shown ({l1_identity:.3f}): more training has to clean them up, and what is measured on \
them counts little."""

STEPS = """Measured on {faces} other faces, the mean smile at the strengths \
{strengths} is {means} ({order}). The strip shows the first eight of them, with the \
measured smile under each."""

ORDER = {True: "it rises at every step", False: "it does not rise at every step"}

LATER = """{num} faces that the program drew after all training, of people whom no \
training picture shows: measured smile {source:.2f} before and {output:.2f} after, and \
{risen:.0%} of them smile more than before. A face drawn at random smiles about 0.3; \
1 is the broadest smile. Below are the first of them, with the smile before and after \
at the beginning of each row."""

OWN = (
    (
        "A direction needs readings: a classifier that you train on labelled faces, or "
        "a table of labels by seed (--labels).",
        "stylegan-jax train --config attributes --config.data.path=FACES/ "
        "--workdir runs/attributes\n"
        "stylegan-jax directions fit runs/mine runs/mine/directions/smile.npz "
        "--attribute smile --reader runs/attributes",
    ),
    (
        "See what it does, and how far it can go.",
        "stylegan-jax edit runs/mine 0-7 --direction smile --strengths -3:3:7 "
        "--layers 0-7 --reader runs/attributes --out strip.png",
    ),
    (
        "Pairs along it, a student, and your photos through it.",
        "stylegan-jax pairs smiles/ --base runs/mine --direction smile --strength 1.5 "
        "--layers 0-7 --num 20000 --reader runs/attributes --keep-confident 0.9\n"
        "stylegan-jax train --config pix2pixhd_distill256 --config.data.path=smiles/ "
        "--workdir runs/student\n"
        "stylegan-jax stylize runs/student aligned/ out/ --couple --sheet",
    ),
)


def student_chapter(
    places: Places, overrides: Sequence[str], *, size: int, seed: int
) -> Chapter:
    """What the student learned; all figures are those that its stages wrote down.

    Args:
        places: of a demo whose stages are all finished.
        overrides: of the configuration ``pix2pixhd_toy``.
        size: side of the pictures.
        seed: of the demo.
    """
    measured = read_json(places.measured)
    direction = load_direction(places.direction).provenance
    share = read_config(places.student / "config.json")["resolved.data.held_out"]
    trained, held_out = split_of_pairs(places.smiles, share)
    smile, stats = measured["pairs"], read_stats(places.student / "stats.jsonl")
    reached, outcome = judged(smile)
    return Chapter(
        "A smile for any photo: a student",
        text=TEXT.format(
            num=direction["num"],
            drawn=drawn_pairs(places),
            pairs=trained + held_out,
            held_out=held_out,
            outcome=outcome,
        ),
        headline=(
            "–" if reached is None else f"{reached:.0%}",
            "of the latent edit's gain in smile is reached by the student, on "
            f"{smile['num']} people whom training never saw",
        ),
        figures=_tiles(measured, direction, stats),
        run=places.student,
        curves=("L1 of held-out pairs",),
        sections=_pictures(places, measured),
        commands=_commands(places, overrides, size=size, seed=seed, share=share),
        own=OWN,
    )


def judged(smile: Mapping[str, Any]) -> tuple[float | None, str]:
    """The share of the edit's gain that the student reaches, and a plain word on it.

    Args:
        smile: mean ``source``, ``target`` and ``output``; ``l1`` of the outputs and
            ``l1_identity`` of what the student is shown.

    Returns:
        None instead of a share where the edit gains nothing.
    """
    gain = smile["target"] - smile["source"]
    if gain <= 0:
        return None, NO_GAIN
    reached = (smile["output"] - smile["source"]) / gain
    words = [TOO_LITTLE] if reached < ENOUGH else []
    if smile["l1"] > smile["l1_identity"]:
        words.append(FAR.format(l1=smile["l1"], l1_identity=smile["l1_identity"]))
    return reached, " ".join(words)


def _tiles(
    measured: Mapping[str, Any],
    direction: Mapping[str, Any],
    stats: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    smile, photos = measured["pairs"], measured["photos"]
    alike = smile["correlation_target"]
    return {
        "smile of what the student is shown": f"{smile['source']:.2f}",
        "of the latent edit": f"{smile['target']:.2f}",
        "of the student's output": f"{smile['output']:.2f}",
        "L1 of its outputs (of its input)": (
            f"{smile['l1']:.3f} ({smile['l1_identity']:.3f})"
        ),
        "correlation of its smile with the edit's": "–"
        if alike is None
        else f"{alike:.2f}",
        "drawn photos that smile more afterwards": f"{photos['risen']:.0%}",
        "accuracy of the direction on faces that it was not fitted to": (
            f"{direction['measured']['balanced_accuracy']:.0%}"
        ),
        **speed_tiles(stats),
    }


def _pictures(places: Places, measured: Mapping[str, Any]) -> list[Section]:
    steps = read_json(places.steps)
    best = read_metadata(find_model(places.student))["provenance"]["nimg"] // 1000
    samples = places.student / "samples"
    return [
        Section(
            "Along the direction",
            text=STEPS.format(
                faces=steps["faces"],
                strengths=", ".join(f"{s:+g}" for s in steps["strengths"]),
                means=", ".join(f"{m:.2f}" for m in steps["mean"]),
                order=ORDER[steps["rising"]],
            ),
            pictures=[(places.strip, f"{ATTRIBUTE}, layers {LAYERS}")],
        ),
        Section(
            "Pairs that it never saw",
            pictures=[
                (
                    samples / f"pairs-{best:06d}.png",
                    "source | what should come out | what comes out; L1 of each row",
                ),
                (samples / "timeline.gif", "one pair over the training"),
            ],
        ),
        Section(
            "Photos that no generator drew",
            text=LATER.format(**measured["photos"]),
            pictures=[(smile_sheet(places), "photo | output, in twos")],
        ),
    ]


def _commands(
    places: Places, overrides: Sequence[str], *, size: int, seed: int, share: float
) -> list[str]:
    photos = len(open_source(places.later).names)
    num = load_direction(places.direction).provenance["num"]
    return [
        line(
            "directions fit", places.workdir, places.direction,
            "--attribute", ATTRIBUTE, "--reader", "toy", "--num", num,
            "--psi", f"{FIT_PSI:g}", "--noise", "none",
        ),
        line(
            "edit", places.workdir, STRIP_SEEDS, "--direction", ATTRIBUTE,
            "--strengths", STRENGTHS, "--layers", LAYERS, "--psi", f"{PSI:g}",
            "--noise", "none", "--reader", "toy", "--out", places.strip,
        ),
        line(
            "pairs", places.smiles, "--base", places.workdir, "--direction", ATTRIBUTE,
            "--strength", f"{STRENGTH:g}", "--layers", LAYERS,
            "--num", drawn_pairs(places), "--keep-confident", f"{CONFIDENT:g}",
            "--reader", "toy",
        ),
        line(
            "train --config pix2pixhd_toy", f"--config.data.path={places.smiles}",
            *overrides, *seed_words(seed), "--workdir", places.student,
        ),
        line(
            "eval", places.student, "--data", places.smiles, "--metrics", "l1",
            "--held-out", f"{share:g}", "--attributes", "toy",
        ),
        toy_line(places.later, "photo", photos, size, later_seed(seed)),
        line(
            "stylize", places.student, places.later, places.smiled, "--couple",
            "--sheet",
        ),
    ]  # fmt: skip
