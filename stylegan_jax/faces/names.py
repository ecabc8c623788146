"""Names of pictures that become names of files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from stylegan_jax.errors import UserError, printable


def is_inside(name: str) -> bool:
    """Whether a name, put after a folder's, names a file in that folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts


def check_names(names: Iterable[str], where: str) -> None:
    """Raises `UserError` with all names that lead out of a folder (zips may hold any).

    Args:
        names: as their source has them.
        where: the source, for the message.
    """
    wrong = [printable(name) for name in names if not is_inside(name)]
    if wrong:
        raise UserError(
            f"{where} has names that lead out of a folder: {', '.join(wrong)}; "
            "rename them."
        )
