"""The chapter on pSp of the demo's ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.model_file import read_metadata
from stylegan_jax.data.sources import open_source
from stylegan_jax.pipelines.demo_commands import line, seed_words, toy_line
from stylegan_jax.pipelines.demo_psp import new_seed, split_of_pairs
from stylegan_jax.pipelines.demo_stages import Places
from stylegan_jax.pipelines.report import Chapter, Section
from stylegan_jax.pipelines.report_run import (
    PSP_CURVES,
    duration,
    is_number,
    points,
    read_config,
    read_stats,
)

# How many times the mean latent's L2 should be that of the outputs.
ENOUGH = 4.0

TEXT = """An encoder looks at a picture and tells the blend what to draw: a latent for \
each of its layers (pSp). It learns from the pairs alone, since it is shown the photo \
and the decoder, which stays as it is, has to come out with the other half.

Of {pairs} pairs {held_out} were kept from training, all of them other people. On \
these, what comes out is compared with what should have come out. So is the picture of \
the mean latent, which an encoder would give that looks at nothing. The figures are \
those of the best snapshot, at {best} kimg."""

TOO_SHORT = """That is less than {enough:g}×: this training was too short. It shows \
that everything works, not what an encoder can do."""

NEW = """{photos} faces that the program drew after all training, of people whom no \
training picture shows. The encoder has only ever been shown the generator's pictures, \
not drawn ones: what those seldom have, such as glasses, is mostly lost."""

OWN = (
    (
        "Pairs from a generator of yours and a blend with its fine-tuned copy. Any two "
        "folders whose pictures belong together do as well: stylegan-jax data pairs.",
        "stylegan-jax pairs pairs/ --base runs/mine --blend blend.safetensors "
        "--num 5000",
    ),
    (
        "The encoder. It also compares with LPIPS, whose weights come first; without "
        "them: --config.loss.lpips_weight=0.",
        "stylegan-jax weights get lpips_alex\n"
        "stylegan-jax train --config psp_pairs "
        "--config.init.decoder=blend.safetensors --config.data.path=pairs/ "
        "--workdir runs/psp",
    ),
    (
        "Photos, cut as the generator's training pictures were, through it.",
        "stylegan-jax data align PHOTOS/ aligned/ --size 256\n"
        "stylegan-jax stylize runs/psp aligned/ out/ --couple --sheet",
    ),
    (
        "Its figures on the pairs that training kept back.",
        "stylegan-jax eval runs/psp --data pairs/ --metrics l2,lpips --held-out 0.05",
    ),
)


def psp_chapter(
    places: Places, overrides: Sequence[str], *, size: int, seed: int
) -> Chapter:
    """What the encoder learned; all figures are those that its run wrote down.

    Args:
        places: of a demo whose stages are all finished.
        overrides: of the configuration ``psp_toy``.
        size: side of the pictures.
        seed: of the demo.
    """
    stats = read_stats(places.psp / "stats.jsonl")
    config = read_config(places.psp / "config.json")
    made = read_metadata(find_model(places.psp))["provenance"]
    measured = made["measured"]
    ratio, l2 = measured["val/l2_ratio"], measured["val/l2"]
    share = config["resolved.data.held_out"]
    trained, held_out = split_of_pairs(places.pairs, share)
    judged = min(held_out, config["resolved.eval.num"])
    text = TEXT.format(
        pairs=trained + held_out, held_out=held_out, best=f"{made['nimg'] / 1000:g}"
    )
    if ratio < ENOUGH:
        text += "\n\n" + TOO_SHORT.format(enough=ENOUGH)
    return Chapter(
        "Any photo into the style: pSp",
        text=text,
        headline=(
            f"{ratio:.1f}×",
            f"lower L2 than the mean latent's picture, on {judged} people whom "
            "training never saw",
        ),
        figures={
            "L2 of the outputs (pictures in [-1, 1])": f"{l2:.4f}",
            "L2 of the mean latent's picture": f"{measured['val/l2_mean_latent']:.4f}",
            "held-out pairs measured": f"{judged}",
            **speed_tiles(stats),
        },
        run=places.psp,
        curves=PSP_CURVES,
        sections=_pictures(places, made["nimg"] // 1000),
        commands=_commands(places, overrides, size=size, seed=seed, share=share),
        own=OWN,
    )


def speed_tiles(stats: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Training time and images per second, as the run wrote them down."""
    found = {}
    if stats and is_number(stats[-1].get("seconds")):
        found["training, compilation left out"] = duration(stats[-1]["seconds"])
    speeds = sorted(s for _, s in points(stats, "images_per_second") if s > 0)
    if speeds:
        found["images per second (median)"] = f"{speeds[len(speeds) // 2]:,.3g}"
    return found


def _pictures(places: Places, kimg: int) -> list[Section]:
    grid = places.psp / "samples" / f"pairs-{kimg:06d}.png"
    photos = len(open_source(places.new).names)
    return [
        Section(
            "Pairs that it never saw",
            pictures=[
                (grid, "photo | what should come out | what comes out; L2 of each row")
            ],
        ),
        Section(
            "Photos that no generator drew",
            text=NEW.format(photos=photos),
            pictures=[(places.couples, "photo | output, in twos")],
        ),
    ]


def _commands(
    places: Places, overrides: Sequence[str], *, size: int, seed: int, share: float
) -> list[str]:
    photos = len(open_source(places.new).names)
    return [
        line(
            "train --config psp_toy",
            f"--config.init.decoder={places.blend}",
            f"--config.data.path={places.pairs}",
            *overrides, *seed_words(seed), "--workdir", places.psp,
        ),
        toy_line(places.new, "photo", photos, size, new_seed(seed)),
        line(
            "stylize", places.psp, places.new, places.stylized, "--couple", "--sheet",
        ),
        line(
            "eval", places.psp, "--data", places.pairs, "--metrics", "l2",
            "--held-out", f"{share:g}",
        ),
    ]  # fmt: skip
