"""The demo's stages after its first run: each makes what is not there yet.

A stage is finished when its files say that they were made from what they would be made
from now; a half-made one is gone on with, or made again. Files that were made from
something else are refused, not replaced: they may be somebody's.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from tqdm import tqdm

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.load import find_model, find_parts
from stylegan_jax.checkpoints.model_file import read_metadata, sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.data import pair_manifest, toy
from stylegan_jax.data.sources import LABEL_FILE, PROVENANCE
from stylegan_jax.data.toy_canvas import Style
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.blend import Recipe, blend_models
from stylegan_jax.pipelines.blend_grid import blend_grid
from stylegan_jax.pipelines.pair_curation import Pictures
from stylegan_jax.pipelines.pairs import Options, make_pairs
from stylegan_jax.training.loop import Outcome, train

Say = Callable[[str], None]

# Blocks of at least this many pixels come from the comic generator: outlines, colours
# and small features, while the lower ones keep the photo's pose and shape.
RECIPE = Recipe(resolution=16)
GRID_RESOLUTIONS, GRID_ALPHAS, GRID_SEEDS = (8, 16, 32), (0.5, 1.0), (2, 4, 8, 16)
PSI = 0.7
# Couples in a row of the pairs' sheet, and rows.
COUPLES, ROWS = 4, 6


@dataclasses.dataclass(frozen=True)
class Places:
    """Where everything lies in the demo's folder, which is itself the first run's.

    Attributes:
        workdir: the demo's folder.
    """

    workdir: Path

    @property
    def faces(self) -> Path:
        """Toy photos."""
        return self.workdir / "faces"

    @property
    def comic(self) -> Path:
        """Toy comics."""
        return self.workdir / "comic"

    @property
    def style(self) -> Path:
        """The run that is fine-tuned on the comics."""
        return self.workdir / "style"

    @property
    def blend(self) -> Path:
        """The blended model file."""
        return self.workdir / "blend" / "blend.safetensors"

    @property
    def grid(self) -> Path:
        """The contact sheet of blends."""
        return self.workdir / "blend" / "grid.png"

    @property
    def pairs(self) -> Path:
        """The set of pairs."""
        return self.workdir / "pairs"

    @property
    def sheet(self) -> Path:
        """The contact sheet of pairs."""
        return self.pairs / "sheet.png"

    @property
    def psp(self) -> Path:
        """The run whose encoder learns from the pairs."""
        return self.workdir / "psp"

    @property
    def new(self) -> Path:
        """Toy photos of people whom no training picture shows."""
        return self.workdir / "new"

    @property
    def stylized(self) -> Path:
        """What becomes of the new photos; within the run, and deleted with it."""
        return self.psp / "new"

    @property
    def couples(self) -> Path:
        """The contact sheet of new photos and what became of them."""
        return self.psp / "new.png"

    @property
    def direction(self) -> Path:
        """The direction that makes faces smile; ``--direction smile`` finds it."""
        return self.workdir / "directions" / "smile.npz"

    @property
    def strip(self) -> Path:
        """Faces moved along the direction, as a sheet."""
        return self.direction.with_name("strip.png")

    @property
    def steps(self) -> Path:
        """What was measured on more of them."""
        return self.direction.with_name("steps.json")

    @property
    def smiles(self) -> Path:
        """The set of pairs of a face before and after the edit."""
        return self.workdir / "smiles"

    @property
    def student(self) -> Path:
        """The run whose student learns from these."""
        return self.workdir / "student"

    @property
    def later(self) -> Path:
        """Toy photos that the student is measured on."""
        return self.workdir / "later"

    @property
    def smiled(self) -> Path:
        """What becomes of them; within the run, and deleted with it."""
        return self.student / "later"

    @property
    def measured(self) -> Path:
        """Smiles before and after the student."""
        return self.student / "smile.json"

    @property
    def eight(self) -> Path:
        """Toy photos that become a face space."""
        return self.workdir / "eight"

    @property
    def space(self) -> Path:
        """The run that fits it; pictures and a film of it are in its folder ``use``."""
        return self.workdir / "space"

    @property
    def used(self) -> Path:
        """What was measured on it."""
        return self.space / "use" / "space.json"


def comic_seed(seed: int) -> int:
    """Seed of the first comic, of other people than the photos' from ``seed`` on."""
    return (seed + 1_000_000) % 2**32


def draw_faces(
    folder: Path, style: Style, num: int, size: int, seed: int, *, say: Say, shown: bool
) -> None:
    """Draws toy faces, or checks that those in the folder are these.

    Args:
        folder: to make.
        style: ``photo`` or ``comic``.
        num: how many.
        size: side in pixels.
        seed: of the first.
        say: called with a line where something is done.
        shown: show a bar.

    Raises:
        UserError: the folder holds other pictures.
    """
    if not folder.is_dir():
        say(f"drawing {num} toy {style} faces")
        toy.write_toy(
            folder, style=style, num=num, size=size, seed=seed, progress=shown
        )
        return
    wanted = {"style": style, "num": num, "size": size, "seed": seed}
    found = _described(folder)
    differing = [
        f"{name} {found.get(name)} and not {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]
    if differing:
        raise UserError(
            f"{folder} holds the faces of another demo ({', '.join(differing)}): use "
            "the same options as then, or another --workdir."
        )


def _described(folder: Path) -> dict[str, Any]:
    """What a folder of toy faces says of itself; without what it does not say."""
    try:
        note = json.loads((folder / LABEL_FILE).read_text(encoding="utf-8"))[PROVENANCE]
        with (folder / "attributes.csv").open(encoding="utf-8", newline="") as stream:
            seed = next(csv.DictReader(stream))["seed"]
        return {
            "style": note["source"].split()[1],
            "num": note["num_images"],
            "size": note["shape"][0],
            "seed": int(seed),
        }
    except (OSError, ValueError, KeyError, IndexError, TypeError, StopIteration):
        return {}


def fine_tune(places: Places, config: ConfigDict, *, say: Say, shown: bool) -> Outcome:
    """Fine-tunes the first run's networks on the comics, or goes on with it.

    Args:
        places: of the demo.
        config: of the training; its pictures and networks are filled in.
        say: called with a line.
        shown: show the training's progress.

    Returns:
        How training ended.

    Raises:
        UserError: what is there was fine-tuned from other networks.
    """
    networks = {
        part: sha256_of(file) for part, file in find_parts(places.workdir).items()
    }
    begin_from(
        places.style, networks, f"fine-tuned from the best snapshot in {places.workdir}"
    )
    config.init.model = str(places.workdir)
    config.data.path = str(places.comic)
    say("fine-tuning it on the comics")
    return train(config, places.style, show_progress=shown)


def is_begun(folder: Path) -> bool:
    """Whether a folder holds more than what a killed process left half-written."""
    return folder.is_dir() and any(
        not entry.name.startswith(".") for entry in folder.iterdir()
    )


def begin_from(run: Path, made_from: Mapping[str, str], how: str) -> None:
    """Notes what a training run is made from, or checks that it is that.

    Args:
        run: the run's folder; made if absent.
        made_from: hashes, by name.
        how: such as "fine-tuned from …", for the refusal.

    Raises:
        UserError: the run was made from something else.
    """
    record = run / "made_from.json"
    if not is_begun(run):
        run.mkdir(exist_ok=True)
        write_text(record, json.dumps(made_from, indent=1) + "\n")
    elif _read(record) != made_from:
        raise UserError(
            f"{run} was not {how}: delete it to do that anew, or choose another "
            "--workdir."
        )


def _read(record: Path) -> Any:
    try:
        return json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def blend(places: Places, *, say: Say, shown: bool) -> None:
    """Blends the two generators and draws the sheet, unless both are there.

    Args:
        places: of the demo.
        say: called with a line where something is done.
        shown: show a bar.
    """
    base, style = find_model(places.workdir), find_model(places.style)
    if places.grid.is_file() and _is_blend_of(places.blend, [base, style]):
        return
    say("blending the two")
    with tqdm(unit="img", leave=False, disable=None if shown else True) as bar:
        blend_grid(
            base,
            style,
            places.grid,
            resolutions=grid_resolutions(base),
            alphas=GRID_ALPHAS,
            seeds=GRID_SEEDS,
            truncation_psi=PSI,
            progress=bar.update,
        )
    # Last: once it is there, the sheet is of the same models.
    blend_models(base, style, places.blend, recipe=RECIPE)


def grid_resolutions(model: Path) -> list[int]:
    """The sheet's columns: those of `GRID_RESOLUTIONS` that the model has."""
    config = read_metadata(model)["config"]
    base = max(config.get("base_grid", (4, 4)))
    largest = base << (config["num_blocks"] - 1)
    return [r for r in GRID_RESOLUTIONS if r <= largest]


def _is_blend_of(path: Path, files: Sequence[Path]) -> bool:
    """Whether a file is the demo's blend of these models."""
    if not path.is_file():
        return False
    try:
        made = read_metadata(path)["provenance"]
        parents = [parent["sha256"] for parent in made["parents"]]
        return parents == [sha256_of(file) for file in files] and (
            made["recipe"] == RECIPE.document()
        )
    except (UserError, KeyError, TypeError):
        return False


def make_demo_pairs(places: Places, num: int, *, say: Say, shown: bool) -> None:
    """Makes the pairs, or what is missing of them, and their sheet.

    Args:
        places: of the demo.
        num: how many.
        say: called with a line where something is done.
        shown: show a bar.

    Raises:
        UserError: the pairs that are there are others.
    """
    found = pair_manifest.read_document(places.pairs) or {}
    if (found.get("num"), found.get("complete")) != (num, True):
        say(f"drawing {num} pairs")
    options = Options(num=num, truncation_psi=PSI)
    with tqdm(
        total=num, unit="pair", leave=False, disable=None if shown else True
    ) as bar:
        make_pairs(
            places.pairs, places.workdir, places.blend, options, progress=bar.update
        )
    lines = pair_manifest.read_pairs(places.pairs)[: COUPLES * ROWS]
    pictures = Pictures(places.pairs)
    rows = []
    for start in range(0, len(lines), COUPLES):
        part = lines[start : start + COUPLES]
        label = f"seeds {part[0]['seed']}-{part[-1]['seed']}"
        rows.append(Row(label, [pictures.read(x, side) for x in part for side in "ab"]))
    heads = ["base", "blend"] * min(COUPLES, len(lines))
    title = f"{len(lines)} of {num} pairs"
    save_png(places.sheet, draw_sheet([Section(title, heads, rows)], cell=96))
