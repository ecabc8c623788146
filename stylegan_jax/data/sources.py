"""Random access to the encoded pictures of a folder, zip, ArrayRecord or other set."""

from __future__ import annotations

import abc
import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

from stylegan_jax.data import images, labels
from stylegan_jax.data.parallel import ordered_map
from stylegan_jax.errors import UserError

LABEL_FILE = "dataset.json"
# Key of our own entry in `dataset.json`, beside NVIDIA's "labels".
PROVENANCE = "stylegan_jax"
_MAX_LABEL_BYTES = 2**30
_PIECE_BYTES = 4096


class Source(abc.ABC):
    """Encoded pictures with names, in one deterministic order.

    Attributes:
        kind: ``folder``, ``zip``, ``arrayrecord``, ``tfds``, ``lmdb`` or ``tfrecord``.
        path: as the user gave it.
        names: the pictures' names, unique, sorted where the format allows.
    """

    kind: str
    path: str
    names: Sequence[str]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.names)

    @property
    def name(self) -> str:
        """A short name: the last part of the path without suffix."""
        return Path(self.path).stem or Path(self.path).resolve().stem or self.kind

    @abc.abstractmethod
    def read(self, index: int) -> bytes:
        """Returns the encoded picture at ``index``.

        Raises:
            BrokenPicture: this picture cannot be read; others may be fine.
        """

    @abc.abstractmethod
    def size(self, index: int) -> int:
        """Returns the picture's size in bytes as its container declares it."""

    @abc.abstractmethod
    def document(self) -> dict:
        """Returns the parsed `dataset.json`, ``{}`` where there is none."""

    def labels(self) -> labels.Labels | None:
        """Returns name to label: from `dataset.json`, else from sub-folders.

        Raises:
            UserError: `dataset.json` is damaged.
        """
        where = f"{self.path}/{LABEL_FILE}"
        found = labels.parse_labels(self.document(), where)
        return found if found is not None else labels.folder_labels(self.names)

    def provenance(self) -> dict:
        """Returns what `data prepare` noted about this dataset, else ``{}``."""
        note = self.document().get(PROVENANCE)
        return note if isinstance(note, dict) else {}

    def fingerprint(self) -> str:
        """Returns a sha256 over names, sizes, labels and samples of the content.

        Neither times nor the location count: a copy of the pictures has the same.
        """
        digest = hashlib.sha256(self.kind.encode())
        for index, name in enumerate(self.names):
            digest.update(json.dumps([name, self.size(index)]).encode())
        document = self.document()
        digest.update(json.dumps(document, sort_keys=True).encode())
        return digest.hexdigest()

    def stamp(self) -> str:
        """Returns what changes when files are moved or written anew, for cache keys."""
        return json.dumps([os.path.realpath(self.path), modified(self.path)])


class FolderSource(Source):
    """Pictures in a folder and its sub-folders, sorted by path."""

    kind = "folder"

    def __init__(self, path: str):
        self.path = path
        self._root = Path(path)
        try:
            self.names = sorted(_walk(path))
        except OSError as error:
            raise UserError(f"{path} cannot be listed ({error.strerror}).") from error
        self._document: dict | None = None

    def size(self, index: int) -> int:
        """Returns the file's size; -1 for a dangling link."""
        try:
            return (self._root / self.names[index]).stat().st_size
        except OSError:
            return -1

    def fingerprint(self) -> str:
        """Like the others', and the first and last 4 KiB of every file."""
        digest = hashlib.sha256(super().fingerprint().encode())
        for sample in ordered_map(
            lambda index: sample_of(self._root / self.names[index]), len(self)
        ):
            digest.update(sample)
        return digest.hexdigest()

    def stamp(self) -> str:
        """Includes every file's time: contents change without the folder's changing."""
        digest = hashlib.sha256(super().stamp().encode())
        for name in (*self.names, LABEL_FILE):
            digest.update(f"{modified(self._root / name)} ".encode())
        return digest.hexdigest()

    def read(self, index: int) -> bytes:
        """Returns the file's bytes."""
        name = self.names[index]
        _check_size(name, self.size(index))
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise images.BrokenPicture(
                name, "unreadable", f"cannot be read ({error.strerror})"
            ) from error

    def document(self) -> dict:
        """Returns the parsed `dataset.json` at the top of the folder."""
        if self._document is None:
            file = self._root / LABEL_FILE
            try:
                text = file.read_bytes()
            except FileNotFoundError:
                self._document = {}
            except OSError as error:
                raise UserError(f"{file} cannot be read ({error.strerror}).") from error
            else:
                self._document = labels.read_document(text, str(file))
        return self._document


class ZipSource(Source):
    """Pictures in a zip, NVIDIA's layout or any other, sorted by path.

    Members are read in place and never extracted, so their paths cannot do harm. The
    file is opened again after pickling, once per process.
    """

    kind = "zip"

    def __init__(self, path: str):
        self.path = path
        self._open()
        members = {
            info.filename: info
            for info in self._zip.infolist()
            if _is_picture(info.filename)
        }
        self.names = sorted(members)
        self._members = [members[name] for name in self.names]
        self._document: dict | None = None

    def _open(self) -> None:
        self._lock = threading.Lock()
        try:
            self._zip = zipfile.ZipFile(self.path)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read ({error.strerror or error})."
            ) from error
        # The central directory of a hostile file makes zipfile raise more than
        # BadZipFile (struct.error, UnicodeDecodeError, NotImplementedError, ...).
        except Exception as error:
            raise UserError(
                f"{self.path} is not a readable zip ({error}): was the download or "
                "copy complete?"
            ) from error

    def __getstate__(self) -> dict:
        """Leaves the open file and the lock behind."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_zip", "_lock")}

    def __setstate__(self, state: dict) -> None:
        """Opens the file again."""
        self.__dict__.update(state)
        self._open()

    def size(self, index: int) -> int:
        """Returns the uncompressed size that the zip declares."""
        return self._members[index].file_size

    def read(self, index: int) -> bytes:
        """Returns the member's bytes, its checksum verified."""
        name = self.names[index]
        _check_size(name, self.size(index))
        try:
            return self._read_member(self._members[index])
        # Damaged or encrypted members: BadZipFile, RuntimeError, zlib.error, ...
        except Exception as error:
            raise images.BrokenPicture(
                name, "unreadable", f"damaged inside the zip ({error})"
            ) from error

    def _read_member(self, info: zipfile.ZipInfo) -> bytes:
        # ZipFile shares one file position between threads; its own lock covers single
        # reads, ours keeps whole members sequential on disk.
        with self._lock:
            return self._zip.read(info)

    def document(self) -> dict:
        """Returns the parsed `dataset.json` at the top of the zip."""
        if self._document is None:
            where = f"{self.path}/{LABEL_FILE}"
            try:
                info = self._zip.getinfo(LABEL_FILE)
            except KeyError:
                self._document = {}
                return self._document
            if info.file_size > _MAX_LABEL_BYTES:
                raise UserError(
                    f"{where} declares {info.file_size} bytes, too many for labels."
                )
            try:
                text = self._read_member(info)
            except Exception as error:  # see read
                raise UserError(f"{where} is damaged ({error}).") from error
            self._document = labels.read_document(text, where)
        return self._document

    def fingerprint(self) -> str:
        """Like the others', and the members' checksums, which cost nothing here."""
        crcs = json.dumps([info.CRC for info in self._members]).encode()
        return hashlib.sha256(super().fingerprint().encode() + crcs).hexdigest()


def open_source(path: str | os.PathLike) -> Source:
    """Opens pictures wherever they are.

    Args:
        path: a folder, a ``.zip``, an ``.arrayrecord`` file, ``tfds:NAME[/SPLIT]``, or
            rosinality's LMDB or NVIDIA's ``.tfrecords``, where ``PATH@SIZE`` chooses
            among several sizes and the largest is taken without it.

    Raises:
        UserError: nothing there, or not of a kind that can be read.
    """
    from stylegan_jax.data import records  # imports this module's Source

    path = os.fspath(path)
    if not path.strip():
        raise UserError(
            "no path of pictures was given: name a folder, a .zip, an .arrayrecord file"
            " or tfds:NAME."
        )
    if path.startswith("tfds:"):
        return records.TfdsSource(path)
    file = Path(path)
    foreign = _open_foreign(path)
    if foreign is not None:
        return foreign
    if file.is_dir():
        return FolderSource(path)
    if not file.exists():
        raise UserError(f"{path} does not exist: check the path of the pictures.")
    if file.suffix.lower() in (".arrayrecord", ".array_record"):
        return records.ArrayRecordSource(path)
    if file.suffix.lower() == ".zip" or zipfile.is_zipfile(file):
        return ZipSource(path)
    raise UserError(
        f"{path} is not a dataset: give a folder of pictures, a .zip, an .arrayrecord "
        "file, an LMDB, .tfrecords or tfds:NAME."
    )


def _open_foreign(path: str) -> Source | None:
    """Opens sets of other programs, ``PATH`` or ``PATH@SIZE``; None if it is none."""
    from stylegan_jax.data import lmdb_source, tfrecord_source  # import this module

    file, size = Path(path), None
    base, _, tail = path.rpartition("@")
    if base and tail.isdecimal() and tail.isascii() and not file.exists():
        file, size = Path(base), int(tail[:9])
    try:
        if lmdb_source.is_lmdb(file):
            return lmdb_source.LmdbSource(str(file), size)
        if file.is_file() and file.suffix == tfrecord_source.SUFFIX:
            return tfrecord_source.TFRecordSource(str(file), size)
        if file.is_dir() and tfrecord_source.has_tfrecords(file):
            if _walk(str(file)):
                raise UserError(
                    f"{file} holds both .tfrecords and pictures: name a .tfrecords "
                    "file, or a folder that holds one kind."
                )
            return tfrecord_source.TFRecordSource(str(file), size)
    except OSError as error:
        raise UserError(f"{file} cannot be listed ({error.strerror}).") from error
    if size is not None and file.exists():
        raise UserError(
            f"{path} does not exist, and {file} is neither an LMDB nor a folder of "
            ".tfrecords, of which @SIZE would choose a size."
        )
    return None


def modified(path: str | os.PathLike) -> int:
    """Returns when a file was last written, in ns; -1 where there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1


def sample_of(path: str | os.PathLike, pieces: int = 2) -> bytes:
    """Returns a sha256 over evenly spaced pieces of 4 KiB, first and last included.

    A file that cannot be read counts as empty: whoever decodes it reports it.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            last = max(0, os.fstat(file.fileno()).st_size - _PIECE_BYTES)
            for place in sorted({last * i // (pieces - 1) for i in range(pieces)}):
                file.seek(place)
                digest.update(file.read(_PIECE_BYTES))
    except OSError:
        pass
    return digest.digest()


def _walk(root: str) -> list[str]:
    """Lists pictures below ``root``, following links to folders but no loops."""
    found: list[str] = []
    seen: set[str] = set()

    def stop(error: OSError) -> None:
        raise error

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=stop):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        prefix = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if prefix == "." else prefix + "/"
        found += [prefix + name for name in files if _is_picture(prefix + name)]
    return found


def _is_picture(name: str) -> bool:
    parts = name.split("/")
    # macOS leaves "._photo.jpg" and "__MACOSX/" beside every picture it zips.
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return False
    return os.path.splitext(parts[-1])[1].lower() in images.SUFFIXES


def _check_size(name: str, size: int) -> None:
    if size > images.MAX_FILE_BYTES:
        raise images.BrokenPicture(
            name,
            "bomb",
            f"declares {size} bytes, more than the limit of {images.MAX_FILE_BYTES}",
        )
    if size == 0:
        raise images.BrokenPicture(name, "empty", "empty file (0 bytes)")
