"""Named attributes of pictures: where they are written, and what they mean.

Tables come from a CSV, from `dataset.json`, from file names of UTKFace (Zhang et al.
2017), or from the features of a TensorFlow dataset; values from them are binary (0 or
1) or numbers.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.data import labels, records, sources
from stylegan_jax.data.labels import Rows
from stylegan_jax.errors import UserError
from stylegan_jax.models.attributes import BINARY, NUMBER

UTKFACE = "utkface"
# Of a folder of pictures, as `data toy` writes it.
TABLE_FILE = "attributes.csv"

_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_UTKFACE_NAME = re.compile(r"(\d{1,3})_([01])_")


@dataclasses.dataclass(frozen=True)
class Attribute:
    """What is wanted of a column.

    Attributes:
        name: the column's, and the attribute's.
        kind: ``binary`` or ``number``; "" until the values are seen.
        texts: a binary attribute is 1 where the column holds one of these; () where
            columns hold numbers.
    """

    name: str
    kind: str = ""
    texts: tuple[str, ...] = ()


def parse_attribute(text: str) -> Attribute:
    """Reads ``NAME``, ``NAME:binary``, ``NAME:number`` or ``NAME:TEXT|TEXT``.

    Raises:
        UserError: no name.
    """
    name, colon, rest = str(text).strip().partition(":")
    if not name or (colon and not rest):
        raise UserError(
            f"the attribute '{text}' is not understood: write NAME, NAME:binary, "
            "NAME:number, or NAME:TEXT|TEXT for 1 where the column holds such a text."
        )
    if rest in ("", BINARY, NUMBER):
        return Attribute(name, rest)
    return Attribute(name, BINARY, tuple(part.strip() for part in rest.split("|")))


def read_rows(source: sources.Source, given: str | None) -> tuple[Rows, str]:
    """Finds the table of a set of pictures.

    Args:
        source: the pictures.
        given: ``utkface``, or the path of a CSV; None looks into the set: the features
            of a TensorFlow dataset, "attributes" in `dataset.json`, `attributes.csv`.

    Returns:
        Rows by picture, and what to call the table in errors.

    Raises:
        UserError: there is no table, or it is damaged.
    """
    if given == UTKFACE:
        return utkface_rows(source.names), f"the file names of {source.path}"
    if given is not None:
        return read_csv(given), str(given)
    if isinstance(source, records.TfdsSource):
        return source.attributes(), source.path
    where = f"{source.path}/{sources.LABEL_FILE}"
    rows = labels.parse_attributes(source.document(), where)
    if rows is not None:
        return rows, where
    table = Path(source.path) / TABLE_FILE
    if table.is_file():
        return read_csv(table), str(table)
    raise UserError(
        f"{source.path} tells no attributes of its pictures: name a table with "
        "--config.data.labels=FILE.csv (a column 'file' and one for each attribute), "
        f"or --config.data.labels={UTKFACE} for names such as 31_1_0_2017….jpg."
    )


def utkface_rows(names: Sequence[str]) -> Rows:
    """Age in years and gender (1 = female) from names ``age_gender_…``."""
    rows: Rows = {}
    for name in names:
        found = _UTKFACE_NAME.match(name.rsplit("/", 1)[-1])
        if found:
            rows[name] = {"age": int(found[1]), "gender": int(found[2])}
    return rows


def read_csv(path: str | os.PathLike) -> Rows:
    """Reads a table with a column ``file``.

    Raises:
        UserError: it cannot be read, is no such table, or names a file twice.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as handle:
            table = csv.DictReader(handle, strict=True)
            columns = list(table.fieldnames or [])
            if "file" not in columns or len(set(columns)) != len(columns):
                raise UserError(
                    f"{path} has the columns {', '.join(columns) or '(none)'}: one "
                    "must be called 'file', and no two alike."
                )
            lines = [(table.line_num, row) for row in table]
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is no CSV in UTF-8 ({error}): mend it or export it again."
        ) from error
    ragged = [str(number) for number, row in lines if None in (*row, *row.values())]
    if ragged:
        raise UserError(
            f"{path} has lines with more or fewer cells than columns: mend line "
            f"{', '.join(ragged)}."
        )
    rows: Rows = {}
    twice = []
    for _, row in lines:
        name = row.pop("file").strip().replace("\\", "/").removeprefix("./")
        if name in rows:
            twice.append(name)
        rows[name] = dict(row)
    if twice:
        raise UserError(
            f"{path} names files twice: leave one line for each of {', '.join(twice)}."
        )
    return rows


class RowFinder:
    """Finds a picture's row by the names that it has or had."""

    def __init__(self, rows: Rows, names: Sequence[Sequence[str]]):
        """Args: the table; and each picture's names, the first the most telling."""
        self._rows = rows
        # A table may name files alone where pictures lie in sub-folders.
        counts = Counter(own[0].rsplit("/", 1)[-1] for own in names)
        self._unique = {name for name, count in counts.items() if count == 1}

    def find(self, names: Sequence[str]) -> dict[str, Any] | None:
        """The row; None where there is none."""
        for name in names:
            if name in self._rows:
                return self._rows[name]
        short = names[0].rsplit("/", 1)[-1]
        return self._rows.get(short) if short in self._unique else None


def attribute_values(
    rows: Rows,
    names: Sequence[Sequence[str]],
    attributes: Sequence[Attribute],
    where: str,
    *,
    skip_unlabelled: bool = False,
) -> tuple[np.ndarray, list[Attribute], np.ndarray]:
    """Reads the wanted columns for every picture.

    Args:
        rows: the table.
        names: of each picture, those it has and had.
        attributes: the columns; at least one.
        where: the table's name, for errors.
        skip_unlabelled: leave pictures out that lack a value instead of refusing.

    Returns:
        float32 [K, A] values; the attributes, their kinds filled in; and int [K], the
        places of the pictures that they belong to.

    Raises:
        UserError: a column that is not there, pictures without a value (all are
            listed), or values that are neither 0 and 1 nor numbers.
    """
    finder = RowFinder(rows, names)
    found = [finder.find(own) or {} for own in names]
    _check_columns(rows, attributes, where)
    cells = [[_cell(row.get(a.name)) for a in attributes] for row in found]
    lacking = [i for i, row in enumerate(cells) if any(c is None for c in row)]
    if lacking and not skip_unlabelled:
        raise UserError(
            f"{where}: {len(lacking)} of {len(names)} pictures lack a value of "
            f"{', '.join(a.name for a in attributes)}; add them, or leave these "
            "pictures out with --config.data.skip_unlabelled=true: "
            f"{', '.join(names[i][0] for i in lacking)}."
        )
    without = set(lacking)
    places = np.asarray([i for i in range(len(cells)) if i not in without], np.int64)
    if not len(places):
        raise UserError(
            f"{where}: no picture has values of all of "
            f"{', '.join(a.name for a in attributes)}: do the table's files have the "
            f"pictures' names, such as {names[0][0]}?"
        )
    columns, known = [], []
    for a, attribute in enumerate(attributes):
        values, kind = _column([cells[i][a] for i in places], attribute, where)
        columns.append(values)
        known.append(dataclasses.replace(attribute, kind=kind))
    return np.stack(columns, 1).astype(np.float32), known, places


def _check_columns(rows: Rows, attributes: Sequence[Attribute], where: str) -> None:
    there = {name for row in rows.values() for name in row}
    absent = [a.name for a in attributes if a.name not in there]
    if absent:
        raise UserError(
            f"{where} has no {', '.join(absent)}: choose --config.data.attributes from "
            f"{', '.join(sorted(there)) or '(nothing)'}."
        )


def _cell(value: object) -> float | str | None:
    """A number, a text, or None for what is missing."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        try:
            value = float(text)
        except ValueError:
            return text or None
    if isinstance(value, bool | int | float | np.integer | np.floating | np.bool_):
        number = float(value)
        return number if math.isfinite(number) else None
    return str(value)


def _column(
    cells: Sequence[Any], attribute: Attribute, where: str
) -> tuple[np.ndarray, str]:
    """One attribute's values, and its kind."""
    if attribute.texts:
        return _from_texts(cells, attribute, where), BINARY
    told = [_WORDS.get(c.lower(), c) if isinstance(c, str) else c for c in cells]
    texts = sorted({c for c in told if isinstance(c, str)})
    if texts:
        some = ", ".join(texts[:10]) + (", …" if len(texts) > 10 else "")
        raise UserError(
            f"{where}: {attribute.name} holds texts ({some}): say which of them count "
            f"as 1, such as {attribute.name}:{texts[0]}, or take another attribute."
        )
    values = np.asarray(told, np.float64)
    there = set(np.unique(values))
    # CelebA writes -1 for no.
    if there <= {-1.0, 1.0} and -1.0 in there:
        values, there = (values + 1) / 2, {0.0, 1.0}
    kind = attribute.kind or (BINARY if there <= {0.0, 1.0} else NUMBER)
    if kind == BINARY and not there <= {0.0, 1.0}:
        some = ", ".join(f"{v:g}" for v in sorted(there)[:10])
        raise UserError(
            f"{where}: {attribute.name} is wanted as binary and holds {some}: write 0 "
            f"and 1, or take it as {attribute.name}:{NUMBER}."
        )
    return values, kind


def _from_texts(cells: Sequence[Any], attribute: Attribute, where: str) -> np.ndarray:
    """1 where a cell is one of the attribute's texts."""
    said = [f"{c:g}" if isinstance(c, float) else c for c in cells]
    unknown = [text for text in attribute.texts if text not in said]
    if unknown:
        raise UserError(
            f"{where}: no picture has {attribute.name}={', '.join(unknown)}: choose "
            f"from {', '.join(sorted(set(said))[:20])}."
        )
    return np.asarray([float(text in attribute.texts) for text in said])
