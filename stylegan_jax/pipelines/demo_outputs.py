"""New photos through a model of the demo, and the sheet of what became of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.demo_stages import COUPLES, Say
from stylegan_jax.pipelines.stylize import Options, stylize
from stylegan_jax.pipelines.stylize_records import read_entries

OPTIONS = Options(couple=True)


def put_through(
    run: Path, photos: Path, outputs: Path, *, say: Say, shown: bool
) -> list[np.ndarray]:
    """Puts photos through a run's best snapshot; outputs of another are made anew.

    Args:
        run: whose model.
        photos: a folder.
        outputs: the folder to make, or to go on with.
        say: called with a line where something is done.
        shown: show a bar.

    Returns:
        For each photo, [H, 2 W, 3] uint8: it and its output side by side.

    Raises:
        UserError: a photo cannot be read, or there is something else in the folder.
    """
    model = find_model(run)
    begun, _ = read_entries(outputs)
    known = None if begun is None else begun["model"].get("sha256")
    if known != sha256_of(model):
        say("putting new photos through it")
    with tqdm(unit="img", leave=False, disable=None if shown else True) as bar:

        def step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        done = stylize(
            model,
            photos,
            outputs,
            OPTIONS,
            sheet=True,
            overwrite=known not in (None, sha256_of(model)),
            progress=step,
        )
    if done.failed:
        raise UserError(
            f"{len(done.failed)} photos in {photos} cannot be read "
            f"({', '.join(done.failed)}): delete the folder, and it is drawn anew."
        )
    _, entries = read_entries(outputs)
    files = [outputs / file for entry in entries.values() for file in entry["outputs"]]
    return [_read(file) for file in files]


def couples_sheet(
    couples: list[np.ndarray], captions: list[str] | None = None
) -> np.ndarray:
    """A sheet of photos and their outputs, several in a row.

    Args:
        couples: as `put_through` returns them.
        captions: of each, shown at the beginning of its row.
    """
    cells: list[list[np.ndarray]] = []
    for couple in couples:
        side = couple.shape[0]
        cells.append([couple[:, :side], couple[:, side:]])
    rows = []
    for i in range(0, len(cells), COUPLES):
        label = ", ".join(captions[i : i + COUPLES]) if captions else ""
        rows.append(Row(label, [p for cell in cells[i : i + COUPLES] for p in cell]))
    heads = ["photo", "output"] * min(COUPLES, len(cells))
    return draw_sheet([Section(f"{len(cells)} new photos", heads, rows)], cell=96)


def _read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)
