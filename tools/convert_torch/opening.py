"""From a path to the networks that the file holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.convert_torch.readers import Checkpoint, read_checkpoint
from stylegan_jax.convert_torch.sources import (
    feature_file,
    mobilestylegan_file,
    nvidia_pickle,
    pix2pixhd_file,
    psp_file,
    refused,
    rosinality_file,
    stylegan1_file,
    tensorflow_pickle,
)
from stylegan_jax.convert_torch.sources.part import Source

# Each looks at a file's content and says whether it is one of its program's.
FINDERS: tuple[Callable[[Any, object], Source | None], ...] = (
    nvidia_pickle.find,
    tensorflow_pickle.find,
    psp_file.find,
    rosinality_file.find,
    stylegan1_file.find,
    pix2pixhd_file.find,
    feature_file.find,
)

# Where this program leaves its own document in the files that it writes for others.
DOCUMENT = "stylegan_jax"


@dataclasses.dataclass(frozen=True)
class Opened:
    """A checkpoint of another program, read but not yet converted.

    Attributes:
        path: the file, or the folder of several.
        container: what kind of file it is; see `Checkpoint`.
        sha256: of the file in hexadecimal; of several, one behind the other.
        source: what it holds.
    """

    path: Path
    container: str
    sha256: str
    source: Source


def open_checkpoint(path: str | Path) -> Opened:
    """Opens a checkpoint of another program; nothing in it is executed.

    Args:
        path: a file, or the folder of the files that `is_checkpoint_folder` knows.

    Raises:
        UserError: there is no such file, it cannot be read safely, or this program does
            not know what it holds.
    """
    path = Path(path)
    if files := mobilestylegan_file.files_of(path):
        digest = mobilestylegan_file.sha256_of_files(files)
        source = mobilestylegan_file.read(files, path)
        return Opened(path, mobilestylegan_file.CONTAINER, digest, source)
    checkpoint = read_checkpoint(path)
    source = identify(checkpoint)
    return Opened(
        checkpoint.path, checkpoint.container, sha256_of(checkpoint.path), source
    )


def is_checkpoint_folder(path: str | Path) -> bool:
    """Whether a folder is one checkpoint of several files: MobileStyleGAN's."""
    return mobilestylegan_file.files_of(Path(path)) is not None


def identify(checkpoint: Checkpoint) -> Source:
    """Finds out whose file a checkpoint is; raises `UserError` where nobody's."""
    root, where = checkpoint.root, checkpoint.path
    for find in FINDERS:
        source = find(root, where)
        if source is not None:
            return dataclasses.replace(source, document=_document(root))
    raise refused.explain(root, where)


def _document(root: Any) -> Mapping[str, Any] | None:
    """Our own metadata in a file that `convert --to` wrote; None elsewhere."""
    text = root.get(DOCUMENT) if isinstance(root, Mapping) else None
    if not isinstance(text, str):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None  # another program's entry of that name: it is not ours
    return document if isinstance(document, dict) else None


def about(document: Mapping[str, Any] | None, part: str) -> dict[str, Any]:
    """What our own document says about a part; empty where there is none.

    Entries that are not what this program writes are left out.
    """
    parts = document.get("parts") if document else None
    found = parts.get(part) if isinstance(parts, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    kinds = {"licence": str, "provenance": dict, "config": dict, "family": str}
    return {k: v for k, v in found.items() if isinstance(v, kinds.get(k, ()))}
