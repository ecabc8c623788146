"""Labels of latents from a table, for fitting directions."""

from __future__ import annotations

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np

from stylegan_jax.checkpoints.arguments import MAX_SEED
from stylegan_jax.errors import UserError, printable

# Columns that say which latent a row is about.
KEYS = ("seed", "index")
WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


@dataclasses.dataclass(frozen=True)
class Labels:
    """One attribute's labels.

    Attributes:
        key: ``seed`` or ``index``: what `numbers` are.
        numbers: of the latents, int64 [N], each once.
        values: float64 [N].
        binary: whether all values are 0 and 1.
        names: all attributes that the table has.
    """

    key: str
    numbers: np.ndarray
    values: np.ndarray
    binary: bool
    names: tuple[str, ...]


def read_labels(path: str | Path, attribute: str) -> Labels:
    """Reads a column of a table.

    Args:
        path: a CSV with a header: ``seed`` or ``index``, and a column per attribute.
            Cells are numbers, or yes, no, true, false; where the attribute's is empty,
            the row is left out.
        attribute: the column.

    Raises:
        UserError: it cannot be read, lacks a column, or has rows that are wrong, all
            of which are listed.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            header = [name for name in reader.fieldnames or () if name]
    except FileNotFoundError as error:
        raise UserError(f"there is no table {path}: check the name.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read as a CSV in UTF-8: {printable(error)}."
        ) from error
    key = next((name for name in KEYS if name in header), None)
    names = tuple(name for name in header if name not in KEYS)
    if key is None or attribute not in names:
        missing = "seed or index" if key is None else printable(attribute)
        raise UserError(
            f"{path} has no column {missing}: it has "
            f"{printable(', '.join(header)) or 'none'}."
        )
    numbers, values = _cells(rows, key, attribute, path)
    return Labels(
        key,
        np.array(numbers, np.int64),
        np.array(values, np.float64),
        set(values) <= {0.0, 1.0},
        names,
    )


def _cells(rows, key: str, attribute: str, path) -> tuple[list[int], list[float]]:
    numbers: dict[int, float] = {}
    wrong = []
    for line, row in enumerate(rows, start=2):
        text, cell = ((row[name] or "").strip() for name in (key, attribute))
        if not cell:
            continue
        number = int(text) if text.isascii() and text.isdigit() else -1
        value = _number(cell)
        if not 0 <= number <= MAX_SEED:
            wrong.append(f"row {line}: {key} {text!r}")
        elif number in numbers:
            wrong.append(f"row {line}: {key} {number} a second time")
        elif value is None:
            wrong.append(f"row {line}: {attribute} {cell!r}")
        else:
            numbers[number] = value
    if wrong:
        raise UserError(
            f"{path} has rows without a whole {key} or a number, mend or delete them: "
            f"{printable('; '.join(wrong))}."
        )
    if not numbers:
        raise UserError(f"{path} has no label of {attribute}: fill the column.")
    return list(numbers), list(numbers.values())


def _number(cell: str) -> float | None:
    if cell.lower() in WORDS:
        return WORDS[cell.lower()]
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
