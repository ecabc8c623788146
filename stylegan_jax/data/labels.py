"""Labels of a dataset: `dataset.json`, sub-folders, classes and vectors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import numpy as np

from stylegan_jax.errors import UserError

Label = int | list[float]
Labels = dict[str, Label]

MAX_CLASSES = 100_000
# The sub-folders that NVIDIA's tool (and `data prepare`) shards pictures into: they
# are not classes.
_SHARD = re.compile(r"\d{5}/img\d{8}\.\w+$")


def read_document(text: bytes, where: str) -> dict:
    """Parses the text of a `dataset.json` into a dict.

    Raises:
        UserError: not JSON, or not an object.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where} is not valid JSON ({error}): mend it or remove it."
        ) from error
    if not isinstance(document, dict):
        raise UserError(
            f"{where} holds a {type(document).__name__} where an object such as "
            '{"labels": [["a.png", 0]]} is expected.'
        )
    return document


def parse_labels(document: Mapping, where: str) -> Labels | None:
    """Reads NVIDIA's ``{"labels": [[name, label], ...]}``; a mapping is taken too.

    Args:
        document: the parsed `dataset.json`.
        where: its path, for errors.

    Returns:
        Name to class number or vector, without entries whose label is null; None
        where there are no labels at all.

    Raises:
        UserError: an entry of another shape, or classes and vectors mixed.
    """
    entries = document.get("labels")
    if entries is None:
        return None
    if isinstance(entries, dict):
        entries = list(entries.items())
    if not isinstance(entries, list):
        raise UserError(
            f"{where}: 'labels' must be a list of [file name, label] pairs."
        )
    labels: Labels = {}
    for number, entry in enumerate(entries):
        if not (
            isinstance(entry, list | tuple)
            and len(entry) == 2
            and isinstance(entry[0], str)
        ):
            raise UserError(
                f"{where}: entry {number} of 'labels' is {_short(entry)}, expected "
                "[file name, label]."
            )
        if entry[1] is not None:
            name = entry[0].replace("\\", "/")
            labels[name] = _parse_label(entry[1], where, name)
    _check_alike(labels, where)
    return labels or None


def folder_labels(names: Sequence[str]) -> Labels | None:
    """Makes one class per top-level sub-folder, numbered in sorted order.

    Returns:
        Name to class; None where pictures lie at the top, there is only one
        sub-folder, or the sub-folders are NVIDIA's numbered shards.
    """
    folders = sorted({name.split("/")[0] if "/" in name else "" for name in names})
    if len(folders) < 2 or "" in folders:
        return None
    if all(_SHARD.match(name) for name in names):
        return None
    number = {folder: index for index, folder in enumerate(folders)}
    return {name: number[name.split("/")[0]] for name in names}


def label_arrays(
    labels: Labels,
    names: Sequence[str],
    where: str,
    *,
    shown: Sequence[str] | None = None,
) -> np.ndarray:
    """Orders labels as the pictures are ordered.

    Args:
        labels: name to class or vector.
        names: the pictures.
        where: the dataset's path, for errors.
        shown: what to call the pictures in errors; None means by their names.

    Returns:
        int64 [N] classes, or float32 [N, c_dim] vectors.

    Raises:
        UserError: pictures without a label (all are listed), or too many classes.
    """
    missing = [
        said
        for name, said in zip(names, shown or names, strict=True)
        if name not in labels
    ]
    if missing:
        raise UserError(
            f"{where}: {len(missing)} of {len(names)} pictures have no label in "
            f"dataset.json; add them or train without labels: {', '.join(missing)}."
        )
    ordered = [labels[name] for name in names]
    if ordered and isinstance(ordered[0], list):
        return np.asarray(ordered, dtype=np.float32)
    classes = np.asarray(ordered, dtype=np.int64)
    if classes.size and classes.max() >= MAX_CLASSES:
        raise UserError(
            f"{where}: the largest class is {classes.max()}, but one-hot labels go up "
            f"to {MAX_CLASSES - 1}; number the classes from 0."
        )
    return classes


def _parse_label(value: object, where: str, name: str) -> Label:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    if isinstance(value, list) and value and all(_is_number(item) for item in value):
        return [float(item) for item in value]
    raise UserError(
        f"{where}: the label of {name} is {_short(value)}, expected a class number "
        "from 0 or a list of numbers."
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Within float32; not so for NaN, nor for an integer of a thousand digits.
    return -3e38 < value < 3e38


def _check_alike(labels: Labels, where: str) -> None:
    lengths = {
        len(label) if isinstance(label, list) else 0: name
        for name, label in labels.items()
    }
    if len(lengths) > 1:
        said = ", ".join(
            f"{name} has {f'a vector of {length}' if length else 'a class number'}"
            for length, name in sorted(lengths.items())
        )
        raise UserError(f"{where}: labels must all be of one kind, but {said}.")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


Rows = dict[str, dict[str, object]]


def parse_attributes(document: Mapping, where: str) -> Rows | None:
    """Reads ``{"attributes": {file name: {attribute: value}}}`` of a `dataset.json`.

    Args:
        document: the parsed file.
        where: its path, for errors.

    Returns:
        Values as they stand there, by file and attribute; None where there are none.

    Raises:
        UserError: entries of another shape.
    """
    entries = document.get("attributes")
    if entries is None:
        return None
    if not isinstance(entries, dict):
        raise UserError(
            f"{where}: 'attributes' is {_short(entries)}, expected an object such as "
            '{"a.png": {"smile": 1}}.'
        )
    wrong = [name for name, row in entries.items() if not isinstance(row, dict)]
    if wrong:
        raise UserError(
            f"{where}: 'attributes' must hold an object for every picture, such as "
            f'{{"smile": 1}}, but these have none: {", ".join(wrong)}.'
        )
    return {name.replace("\\", "/"): dict(row) for name, row in entries.items()}
