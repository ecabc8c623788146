"""Pictures in an LMDB as rosinality's programs write it.

Keys are ``SIZE-INDEX`` with at least five digits of index (``256-00042``), values are
encoded pictures, and ``length`` has how many pictures there are of each size.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from pathlib import Path
from typing import Any

from stylegan_jax.data import images
from stylegan_jax.data.sources import Source, modified, sample_of
from stylegan_jax.errors import MissingExtra, UserError

DATA_FILE = "data.mdb"
SUFFIXES = (".lmdb", ".mdb")
_KEY = re.compile(rb"(\d{1,9})-(\d{5,})$")


def is_lmdb(path: str | os.PathLike) -> bool:
    """Whether a folder holds `data.mdb`, or a file is named as an LMDB."""
    file = Path(path)
    if file.is_dir():
        return (file / DATA_FILE).is_file()
    return file.is_file() and file.suffix.lower() in SUFFIXES


class LmdbSource(Source):
    """Pictures of one size in an LMDB, in the order of their index."""

    kind = "lmdb"

    def __init__(self, path: str, size: int | None = None):
        """Opens the file and reads its keys.

        Args:
            path: a folder with `data.mdb`, or a file.
            size: which of its sizes; None means the largest.

        Raises:
            UserError: damaged, of another layout, or without that size.
            MissingExtra: the package lmdb is not installed.
        """
        self.path = path
        self._file = Path(path, DATA_FILE) if Path(path).is_dir() else Path(path)
        self._open()
        self._keys = self._find_keys(size)
        self.names = [f"{key.decode()}.jpg" for key in self._keys]

    def _open(self) -> None:
        self._environment = _environment(self._file)

    def __getstate__(self) -> dict:
        """Leaves the open file behind."""
        return {k: v for k, v in self.__dict__.items() if k != "_environment"}

    def __setstate__(self, state: dict) -> None:
        """Opens the file again."""
        self.__dict__.update(state)
        self._open()

    def size(self, index: int) -> int:
        """Returns the size of the encoded picture."""
        with self._environment.begin() as transaction:
            value = transaction.get(self._keys[index])
            return -1 if value is None else len(value)

    def read(self, index: int) -> bytes:
        """Returns the encoded picture."""
        name = self.names[index]
        try:
            with self._environment.begin() as transaction:
                value = transaction.get(self._keys[index])
                size = 0 if value is None else len(value)
                if size > images.MAX_FILE_BYTES:
                    raise images.BrokenPicture(
                        name,
                        "bomb",
                        f"has {size} bytes, more than the limit of "
                        f"{images.MAX_FILE_BYTES}",
                    )
                data = b"" if value is None else bytes(value)
        except self._environment.error as error:
            raise images.BrokenPicture(
                name, "unreadable", f"damaged ({error})"
            ) from error
        if not data:
            raise images.BrokenPicture(name, "empty", "empty value (0 bytes)")
        return data

    def document(self) -> dict:
        """Returns nothing: this layout has no labels."""
        return {}

    def labels(self) -> None:
        """Returns None: this layout has no labels."""
        return None

    def fingerprint(self) -> str:
        """Like the others', and 256 pieces of the file."""
        return f"{super().fingerprint()}-{sample_of(self._file, pieces=256).hex()}"

    def stamp(self) -> str:
        """Includes the file's time, and which size was chosen."""
        return f"{super().stamp()} {modified(self._file)} {self.names[0]}"

    def _find_keys(self, size: int | None) -> list[bytes]:
        """Returns the keys of one size, complete and in order."""
        found: dict[int, dict[int, bytes]] = {}
        try:
            with self._environment.begin() as transaction:
                length = transaction.get(b"length")
                length = None if length is None else bytes(length)
                for key in transaction.cursor().iternext(values=False):
                    match = _KEY.match(bytes(key))
                    if match:
                        of_size = found.setdefault(int(match[1]), {})
                        of_size[int(match[2])] = bytes(key)
        except self._environment.error as error:
            raise _unreadable(self.path, error) from error
        if length is None or not length.isdigit() or not found:
            missing = "pictures named SIZE-INDEX" if length else "'length'"
            raise UserError(
                f"{self.path} is no LMDB of rosinality's layout, or was not written "
                f"to its end: it has no {missing}."
            )
        if size is not None and size not in found:
            raise UserError(
                f"{self.path} has no pictures of size {size}: choose from "
                f"{', '.join(map(str, sorted(found)))}."
            )
        size = max(found) if size is None else size
        keys = found[size]
        if sorted(keys) != list(range(int(length))):
            raise UserError(
                f"{self.path} says that it has {int(length)} pictures and has "
                f"{len(keys)} of size {size}, or not those from 0 on: prepare it again."
            )
        return [keys[index] for index in sorted(keys)]


class _Environment:
    """An open LMDB; closed when nobody uses it."""

    def __init__(self, file: Path):
        self._env = _lmdb_open(file)
        self.error: Any = _lmdb().Error

    def begin(self) -> Any:
        """A transaction whose values are views into the file."""
        return self._env.begin(buffers=True)

    def __del__(self) -> None:
        env = getattr(self, "_env", None)
        if env is not None:
            env.close()


# LMDB must not be opened twice in a process, and not be used after a fork.
_opened: weakref.WeakValueDictionary[tuple[str, int], _Environment] = (
    weakref.WeakValueDictionary()
)
_opening = threading.Lock()


def _environment(file: Path) -> _Environment:
    stat = file.stat()
    # A file written anew under the same name is another one.
    key = (f"{os.path.realpath(file)} {stat.st_ino} {stat.st_mtime_ns}", os.getpid())
    with _opening:
        environment = _opened.get(key)
        if environment is None:
            environment = _opened[key] = _Environment(file)
        return environment


def _lmdb() -> Any:
    try:
        import lmdb  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingExtra("lmdb", "lmdb", "Reading an LMDB") from error
    return lmdb


def _lmdb_open(file: Path) -> Any:
    lmdb = _lmdb()
    try:
        # Nothing writes it: no lock file, so that read-only disks work.
        env = lmdb.open(
            str(file), subdir=False, readonly=True, lock=False, readahead=False
        )
    except (lmdb.Error, OSError) as error:
        raise _unreadable(str(file), error) from error
    # Reading behind the end of a file that is mapped would kill the process.
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if file.stat().st_size < needed:
        env.close()
        raise UserError(
            f"{file} has {file.stat().st_size} bytes of {needed}: was it copied "
            "completely?"
        )
    return env


def _unreadable(path: str, error: Exception) -> UserError:
    return UserError(f"{path} is no LMDB that can be read ({error}): copy it again.")
