"""Takes single files out of packages' archives; nothing else of them is written.

A file is written where the caller says, never where the archive says, so names in an
archive choose nothing. Sizes are held to while bytes flow, whatever a header claims.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from stylegan_jax.errors import UserError

SUFFIXES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".bz2")
# What PyTorch's ImageNet example, and MoCo after it, call checkpoints that are no tar.
CHECKPOINTS = (".pth.tar", ".pt.tar")

# What an archive may unpack to before the wanted files are found.
MAX_UNPACKED_BYTES = 2**30
_PIECE_BYTES = 2**18
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # zipfile's word for an encrypted member
    ValueError,
)


class _Damaged(Exception):
    """The archive is not what it should be; the text says why."""


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive that can be searched.

    PyTorch's files are zip archives too, and are no packages: names decide.
    """
    name = path.name.lower()
    return name.endswith(SUFFIXES) and not name.endswith(CHECKPOINTS)


def take_members(
    archive: Path, wanted: Mapping[str, int], folder: Path
) -> dict[str, Path]:
    """Writes an archive's wanted files into a folder.

    Args:
        archive: a wheel, zip, tar or tar.gz file, or one file packed as ``.bz2``.
        wanted: the most bytes a file may have, by its path inside the archive or by the
            end of that path, in whole names; of several that fit, the first counts.
        folder: where to write them, each with the suffix it has; exists.

    Returns:
        Where each wanted file that the archive holds was written.

    Raises:
        UserError: the archive is damaged or cut short, a wanted file in it is no plain
            file or larger than allowed, or it cannot be read or written.
    """
    found: dict[str, Path] = {}
    try:
        with _members(archive) as members:
            for name, size, stream in members:
                key = next((key for key in wanted if _fits(name, key)), None)
                if key is None or key in found:
                    continue
                if stream is None:
                    raise _Damaged(f"{name} in it is no plain file")
                if size > wanted[key]:
                    raise _Damaged(_too_large(name, wanted[key]))
                target = folder / f"{len(found)}-{PurePosixPath(key).name}"
                _copy(stream, target, wanted[key], name)
                found[key] = target
                if len(found) == len(wanted):
                    break
    except _Damaged as error:
        raise UserError(
            f"{archive} is not the archive it should be ({error}): fetch it again."
        ) from error
    except _DAMAGE as error:
        raise UserError(
            f"{archive} is damaged or cut short: fetch it again."
        ) from error
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile) or error.errno is None:
            raise UserError(
                f"{archive} is damaged or cut short: fetch it again."
            ) from error
        raise UserError(
            f"cannot take files out of {archive}: {error.strerror}; make room or "
            "choose another cache with STYLEGAN_JAX_CACHE."
        ) from error
    return found


_Member = tuple[str, int, IO[bytes] | None]


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    """Opens an archive; yields name, size and, of plain files, the content of each."""
    name = archive.name.lower()
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as opened, closing(_of_zip(opened)) as members:
            yield members
    elif name.endswith(".bz2"):
        with bz2.open(archive) as stream:
            yield iter([(archive.name[: -len(".bz2")], 0, stream)])
    else:
        unpacked: Any = archive.open("rb") if name.endswith(".tar") else None
        unpacked = unpacked or gzip.open(archive)
        bounded: Any = _Bounded(unpacked)
        with unpacked, tarfile.open(fileobj=bounded, mode="r|") as tar:
            yield _of_tar(tar)


def _fits(name: str, key: str) -> bool:
    return name == key or name.endswith(f"/{key}")


def _of_zip(archive: zipfile.ZipFile) -> Generator[_Member]:
    for info in archive.infolist():
        # The upper half of the attributes is Unix's mode where there is one.
        kind = info.external_attr >> 28
        plain = not info.is_dir() and kind in (0, 0o10)
        if plain:
            with archive.open(info) as stream:
                yield info.filename, info.file_size, stream
        else:
            yield info.filename.rstrip("/"), 0, None


def _of_tar(archive: tarfile.TarFile) -> Iterator[_Member]:
    for info in archive:
        stream = archive.extractfile(info) if info.isreg() else None
        yield info.name, info.size, stream


def _copy(stream: IO[bytes], target: Path, limit: int, name: str) -> None:
    done = 0
    with target.open("wb") as out:
        while piece := stream.read(_PIECE_BYTES):
            done += len(piece)
            if done > limit:
                raise _Damaged(_too_large(name, limit))
            out.write(piece)


def _too_large(name: str, limit: int) -> str:
    return f"{name} in it is larger than {limit} bytes"


class _Bounded:
    """Reads on from a stream until it has given more than an archive may hold."""

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self._left = MAX_UNPACKED_BYTES

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _Damaged(f"it unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")
        return data
