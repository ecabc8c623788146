"""The pictures of a set of pairs as they are judged and shown."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.images import BrokenPicture
from stylegan_jax.data.sources import open_source
from stylegan_jax.errors import UserError


def sides_of(line: Mapping[str, Any]) -> tuple[str, ...]:
    """The sides with pictures that a line of the manifest names: ``a`` and so on."""
    return tuple(side.lower() for side in manifest.sides(line))


def smaller(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture [H, W, C] uint8 as [side, side, C], by Lanczos' filter."""
    from PIL import Image

    channels = picture.shape[2]
    flat = picture[..., 0] if channels == 1 else picture
    image = Image.fromarray(np.ascontiguousarray(flat))
    resized = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(resized).reshape(side, side, channels)


class Pictures:
    """The pictures of a set, wherever they are stored."""

    def __init__(
        self, out: Path, shapes: Mapping[str, tuple[int, int, int]] | None = None
    ):
        """Opens nothing yet.

        Args:
            out: folder of the set.
            shapes: (H, W, C) of all pictures by side, ``a`` and so on; None takes any.
        """
        self._out, self._shapes = out, shapes
        self._records: dict[str, Any] = {}

    def read(self, line: Mapping[str, Any], side: str) -> np.ndarray:
        """One picture [H, W, C] uint8.

        Args:
            line: of the manifest.
            side: ``a``, ``b`` or ``c``.

        Raises:
            BrokenPicture: it is missing, damaged or of another shape.
        """
        from PIL import Image

        where = line[side]
        try:
            if where.endswith(".arrayrecord"):
                if where not in self._records:
                    self._records[where] = open_source(self._out / where)
                data = self._records[where].read(line["index"])
            else:
                data = (self._out / where).read_bytes()
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            raise BrokenPicture(where, "unreadable", reason) from error
        try:
            with Image.open(io.BytesIO(data)) as image:
                array = np.asarray(image)
        # Damaged PNGs make Pillow raise SyntaxError, struct.error, zlib.error, ...
        except Exception as error:
            said = self._said(line, side)
            raise BrokenPicture(said, "unreadable", "damaged") from error
        array = array if array.ndim == 3 else array[:, :, None]
        if self._shapes is not None and self._shapes[side] != array.shape:
            reason = f"is {list(array.shape)} and not {list(self._shapes[side])}"
            raise BrokenPicture(self._said(line, side), "size", reason)
        return array

    def _said(self, line: Mapping[str, Any], side: str) -> str:
        where = line[side]
        return f"{where} record {line['index']}" if where in self._records else where

    def problems(self, lines: Sequence[Mapping[str, Any]]) -> list[str]:
        """What is wrong with pictures of pairs, a line for each."""
        found = []
        for line in lines:
            for side in sides_of(line):
                try:
                    self.read(line, side)
                except UserError as error:
                    found.append(f"  {error}")
        return list(dict.fromkeys(found))


def refusal(problems: Sequence[str], document: Mapping[str, Any]) -> UserError:
    """Makes the error that lists what cannot be read.

    Args:
        problems: a line for each.
        document: of the set, which tells how to make it anew.
    """
    again = (
        "make the set anew with --overwrite"
        if "made_from" in document
        else "remove what is damaged and run the command again, which draws it anew"
    )
    listed = "\n".join(dict.fromkeys(problems))
    return UserError(
        f"pictures of pairs cannot be read, so that none was judged: {again}:\n{listed}"
    )
