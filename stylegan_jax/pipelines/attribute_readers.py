"""Opens what reads attributes from pictures, by the word that a command line has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stylegan_jax.checkpoints.load import find_model, load
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UserError
from stylegan_jax.latents.attribute_reader import AttributeReader

TOY = "toy"


def open_reader(text: str) -> AttributeReader:
    """Opens a reader.

    Args:
        text: a model file or a run's folder of ``train --config attributes``, or the
            word ``toy`` for what measures toy faces.

    Raises:
        UserError: there is no such model, or it reads no attributes.
    """
    if text == TOY:
        from stylegan_jax.data.toy_measure import ToyReader

        return ToyReader()
    file = find_model(text)
    model = load(file)
    if not (hasattr(model, "read") and hasattr(model, "kinds")):
        raise UserError(
            f"{file} is a {model.metadata['family']} and reads no attributes: give a "
            "model of train --config attributes, or the word toy."
        )
    return model


def reader_document(text: str, reader: AttributeReader) -> dict[str, Any]:
    """What a reader is, for the provenance of what is made with its readings.

    Args:
        text: what it was opened with.
        reader: what `open_reader` gave.

    Returns:
        JSON values: the reader's own document, and its file's name and sha256.
    """
    document = dict(reader.document)
    if text != TOY:
        file = find_model(text)
        document |= {"file": file.name, "sha256": sha256_of(file)}
    return document


def check_attributes(
    reader: AttributeReader, names: Sequence[str], where: object
) -> None:
    """Raises `UserError` unless a reader reads all of these, and tells those it does.

    Args:
        reader: what `open_reader` gave.
        names: of attributes.
        where: what to call the reader, such as its file.
    """
    unknown = [name for name in names if name not in reader.names]
    if unknown:
        raise UserError(
            f"{where} does not read {', '.join(unknown)}: choose from "
            f"{', '.join(reader.names)}."
        )
