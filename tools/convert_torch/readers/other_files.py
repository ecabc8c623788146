"""What a file that is no checkpoint looks like, for a sentence about it."""

from __future__ import annotations

from pathlib import Path

from stylegan_jax.checkpoints.model_file import SIGNATURES
from stylegan_jax.errors import UserError

ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
_TAR = (257, b"ustar")
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x93NUMPY", "a NumPy array", "give a checkpoint instead"),
    (b"PK", "an empty zip archive", "copy or download it again"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"(\xb5/\xfd", "a zstd archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"Rar!", "a rar archive", "unpack it first"),
)


def foreign(view: memoryview, path: Path) -> UserError | None:
    """The refusal of a file that is neither a zip archive nor a pickle, or None.

    Args:
        view: the whole file.
        path: its name, for the sentence.
    """
    first = bytes(view[:64])
    if first.startswith((ZIP, PICKLE)):
        return None
    begin, magic = _TAR
    if view[begin : begin + len(magic)] == magic:
        return UserError(
            f"{path} is a tar archive: unpack it first, or, if PyTorch before 0.1.10 "
            "wrote it, load it and save it anew in a newer PyTorch."
        )
    if first.lstrip().startswith(b"<") and b"<net " in first:
        return UserError(
            f"{path} is one of OpenVINO's files: give the folder that has it with the "
            "others, of which MobileStyleGAN's can be read."
        )
    if first[8:9] == b"{" and int.from_bytes(first[:8], "little") <= len(view) - 8:
        return UserError(
            f"{path} is a safetensors file and no checkpoint of PyTorch or TensorFlow: "
            "give the original checkpoint instead."
        )
    for signature, name, remedy in (*_OTHERS, *SIGNATURES):
        if first.lstrip().startswith(signature) or first.startswith(signature):
            return UserError(
                f"{path} is no checkpoint: it looks like {name}; {remedy}."
            )
    return None


def unknown(path: Path) -> UserError:
    """The refusal of a file that looks like nothing in particular."""
    return UserError(
        f"{path} is no checkpoint that can be read: give a file of PyTorch, or a "
        "pickle of NVIDIA's networks."
    )
