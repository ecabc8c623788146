"""The command ``stylegan-jax``: finds the subcommand, turns errors into exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from stylegan_jax import __version__
from stylegan_jax.cli.host_memory import start_again_with_huge_pages
from stylegan_jax.errors import UserError

# Subcommand: where its click command lies, and the line that `--help` shows. The line
# is repeated here so that `--help` imports none of them; a test holds both equal.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": (
        "stylegan_jax.cli.demo:demo",
        "Train a small generator on toy faces and write a report.",
    ),
    "data": (
        "stylegan_jax.cli.data:data",
        "Check, prepare and draw training pictures.",
    ),
    "train": (
        "stylegan_jax.cli.train:train",
        "Train a model, or go on with a run.",
    ),
    "generate": (
        "stylegan_jax.cli.generate:generate",
        "Draw pictures from a generator.",
    ),
    "blend": (
        "stylegan_jax.cli.blend:blend",
        "Blend two or more generators layer by layer.",
    ),
    "pairs": (
        "stylegan_jax.cli.pairs:pairs",
        "Make paired pictures for training a student.",
    ),
    "mix": (
        "stylegan_jax.cli.mix:mix",
        "Mix the styles of pictures in a grid.",
    ),
    "morph": (
        "stylegan_jax.cli.morph:morph",
        "Make a film that moves between pictures.",
    ),
    "stylize": (
        "stylegan_jax.cli.stylize:stylize",
        "Put pictures through a pSp or pix2pixHD model.",
    ),
    "convert": (
        "stylegan_jax.convert_torch.command:convert",
        "Convert a checkpoint of another program, or back.",
    ),
    "inspect": (
        "stylegan_jax.convert_torch.command:inspect",
        "Show what a checkpoint holds without running it.",
    ),
    "weights": (
        "stylegan_jax.cli.weights:weights",
        "List, fetch and import frozen networks.",
    ),
    "eval": (
        "stylegan_jax.cli.eval:evaluate",
        "Measure a model against a data set.",
    ),
    "directions": (
        "stylegan_jax.cli.directions:directions",
        "Find directions in a generator's latents.",
    ),
    "edit": ("stylegan_jax.cli.edit:edit", "Move faces along directions."),
    "facespace": (
        "stylegan_jax.cli.facespace:facespace",
        "Make a face space of a few photos, and use it.",
    ),
    "latents": ("stylegan_jax.cli.latents:latents", "Look at latents."),
    "export": (
        "stylegan_jax.cli.export:export",
        "Write a model for other programs to run.",
    ),
    "bench": ("stylegan_jax.cli.bench:bench", "Measure speed on this machine."),
    "plan": (
        "stylegan_jax.cli.plan:plan",
        "Plan a training run for chips that are not here.",
    ),
    "doctor": (
        "stylegan_jax.cli.doctor:doctor",
        "Show what works on this machine.",
    ),
}

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which one needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports and returns a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Writes the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: stylegan-jax demo --workdir demo",
)
@click.version_option(__version__, prog_name="stylegan-jax")
def cli() -> None:
    """StyleGAN2 in JAX: from a folder of pictures to a generator.

    Every command has its own --help with an example.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C.

    Args:
        args: the words after the program's name; None means those of the process.

    Raises:
        SystemExit: always, unless the program has a bug, which keeps its traceback.
    """
    if args is None:
        start_again_with_huge_pages()
    sys.exit(_run(args))


def _keep_compiled_programs() -> None:
    """Sets jax's compilation cache, unless the user has; jax is not imported yet."""
    # As `checkpoints.weights.cache_dir` finds it, which would import numpy here.
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    root = os.environ.get("STYLEGAN_JAX_CACHE") or os.path.join(cache, "stylegan_jax")
    folder = os.path.join(root, "xla")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", folder)


def _run(args: Sequence[str] | None) -> int:
    _keep_compiled_programs()
    try:
        code = cli.main(args, prog_name="stylegan-jax", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a closed pipe is still caught
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`… | head`): nothing to tell anyone, and
        # Python must not try to flush again on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0
