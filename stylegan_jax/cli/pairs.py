"""``stylegan-jax pairs``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from stylegan_jax.cli.curation import curation_options, read_curation
from stylegan_jax.cli.licences import say_licence
from stylegan_jax.cli.options import JSON, STORAGE

_EPILOG = """\b
Example: stylegan-jax pairs pairs/ --base ffhq.safetensors --blend toon.safetensors \\
           --num 5000 --curate
         stylegan-jax pairs pairs/ --base runs/faces --direction smile --strength 1.5 \\
           --both --num 5000 --keep-confident 0.9 --reader runs/attributes
"""


@click.command(epilog=_EPILOG)
@click.argument("out")
@click.option("--base", required=True, help="Model of the first pictures.")
@click.option("--blend", help="Model of the second pictures, such as a blend.")
@click.option(
    "--direction", help="Instead: a name, .npz or .npy that edits the latents."
)
@click.option("--strength", type=float, help="Factor of the direction.")
@click.option("--layers", help="Layers that the direction moves, such as 0-7.")
@click.option("--both", is_flag=True, help="A third picture C, moved the other way.")
@click.option(
    "--mix-layers", help="Instead: layers, such as 8-17, of a second person C."
)
@click.option("--num", type=click.IntRange(1), required=True, help="How many pairs.")
@click.option(
    "--psi", type=float, default=0.7, show_default=True, help="Truncation of both."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Pair i is drawn from this seed + i.",
)
@click.option(
    "--size",
    type=click.IntRange(1),
    help="Side of the pictures that are kept, at most the models' own.",
)
@STORAGE
@click.option(
    "--noise",
    type=click.Choice(["none", "const"]),
    default="none",
    show_default=True,
    help="Without noise the pictures agree in all that is not style.",
)
@click.option("--label", type=click.IntRange(0), help="Class, if the models have any.")
@curation_options
@click.option(
    "--keep-confident",
    type=float,
    help="Keep pairs whose edit a reader sees, such as 0.9.",
)
@click.option("--reader", help="A model of train --config attributes, or the word toy.")
@click.option("--attribute", help="What it reads; by default the direction's own.")
@click.option(
    "--from-opposite", is_flag=True, help="Keep only pairs whose A lacks the attribute."
)
@JSON
def pairs(out: str, as_json: bool, **options) -> None:
    """Make paired pictures for training a student.

    The same seeds go through --base and --blend; or --direction edits the latents of
    the second pictures; or they get --mix-layers of a second person. --num counts what
    is drawn: --curate and --keep-confident leave pairs out. Run the same command again
    to go on where it stopped; with a larger --num the set grows. docs/pairs.md
    describes the files.
    """
    from stylegan_jax.training import spmd

    _check(options)
    spmd.join_processes()
    curated = options["curate"] or options["keep_confident"] is not None
    found = _make(out, options)
    import jax

    if jax.process_index():
        return
    say_licence(options["base"], options["blend"])
    if as_json:
        click.echo(json.dumps(found))
        return
    for sentence in found["notes"]:
        click.echo(f"note: {sentence}", err=True)
    for sentence in found["not_scored"]:
        click.echo(f"note: no score of {sentence}", err=True)
    some_out = found["kept"] < found["pairs"]
    kept = f", {found['kept']} kept" if curated or some_out else ""
    click.echo(f"{out}: {found['pairs']} pairs{kept}, {found['drawn']} drawn now")


def _check(options: dict[str, Any]) -> None:
    """Refuses options that do not go together."""
    from stylegan_jax.errors import UsageError

    kinds = ("blend", "direction", "mix_layers")
    if sum(options[kind] is not None for kind in kinds) != 1:
        raise UsageError(
            "give either --blend MODEL or --direction FILE or --mix-layers 8-17."
        )
    moved = options["direction"] is not None
    if not moved and (
        options["strength"] is not None or options["layers"] or options["both"]
    ):
        raise UsageError("--strength, --layers and --both go with --direction.")
    if moved and options["strength"] is None:
        raise UsageError("say how far along the direction: --strength 2.")
    chosen = options["keep_confident"] is not None
    if not chosen and (
        options["reader"] or options["attribute"] or options["from_opposite"]
    ):
        raise UsageError(
            "--reader, --attribute and --from-opposite go with --keep-confident 0.9."
        )
    if chosen and not options["reader"]:
        raise UsageError(
            "say what reads the pairs: --reader with a model of train --config "
            "attributes, or the word toy."
        )


def _other(options: dict[str, Any]) -> Any:
    """What makes the second pictures."""
    from stylegan_jax.pipelines.pair_sides import Direction, Mix

    if options["mix_layers"] is not None:
        return Mix(options["mix_layers"])
    if options["direction"] is not None:
        return Direction(
            Path(options["direction"]),
            options["strength"],
            options["layers"],
            options["both"],
        )
    return options["blend"]


def _confidence(options: dict[str, Any]) -> Any:
    """A `pair_confidence.Confidence`; None without ``--keep-confident``."""
    from stylegan_jax.errors import UsageError
    from stylegan_jax.pipelines.direction_files import find_direction, load_direction
    from stylegan_jax.pipelines.pair_confidence import Confidence

    if options["keep_confident"] is None:
        return None
    attribute = options["attribute"]
    if attribute is None and options["direction"] is not None:
        file = find_direction(options["direction"], options["base"])
        attribute = load_direction(file).attribute
    if attribute is None:
        raise UsageError(
            "say what the pairs are to be confident of: --attribute smile (the "
            "direction's file names none)."
        )
    return Confidence(
        options["reader"],
        attribute,
        options["keep_confident"],
        options["from_opposite"],
    )


def _make(out: str, options: dict[str, Any]) -> dict:
    import jax
    from tqdm import tqdm

    from stylegan_jax.pipelines import pairs as library

    chosen = library.Options(
        num=options["num"],
        seed=options["seed"],
        truncation_psi=options["psi"],
        noise_mode=options["noise"],
        label=options["label"],
        storage=options["storage"],
        size=options["size"],
    )
    curation, confidence = read_curation(options), _confidence(options)
    # disable=None: a bar only where a person watches; one for all processes.
    hidden = True if jax.process_index() else None
    total = options["num"] // jax.process_count()
    with tqdm(total=total, unit="pair", leave=False, disable=hidden) as bar:
        return library.make_pairs(
            out,
            options["base"],
            _other(options),
            chosen,
            curation=curation,
            confidence=confidence,
            progress=bar.update,
        )
