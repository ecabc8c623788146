"""ArrayRecord files and prepared TensorFlow Datasets, both without TensorFlow."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.data import images, labels
from stylegan_jax.data.labels import Rows
from stylegan_jax.data.sources import Source, sample_of
from stylegan_jax.errors import UserError

# Format number of the index record. A file holds N records of PNG bytes, then one
# of JSON: {"arrayrecord": 1, "names": [...], "labels": ..., "stylegan_jax": ...}.
# The index is last so that record i is picture i for any other reader.
INDEX_FORMAT = 1


class ArrayRecordSource(Source):
    """Pictures in one ArrayRecord file, in the order in which they were written."""

    kind = "arrayrecord"

    def __init__(self, path: str):
        self.path = path
        self._open()
        num = self._reader.num_records()
        self._index: dict = {}
        last = self._record(num - 1) if num else b""
        if last.startswith(b"{"):
            self._index = labels.read_document(last, f"{path}'s index record")
            num -= 1
        names = self._index.get("names")
        if names is None:
            names = [f"record{i:08d}.png" for i in range(num)]
        if not (isinstance(names, list) and all(isinstance(n, str) for n in names)) or (
            len(names) != num
        ):
            raise UserError(
                f"{path}: its index does not name its {num} pictures; write the file "
                "again with `stylegan-jax data prepare`."
            )
        self.names = names

    def _open(self) -> None:
        module = _array_record()
        self._lock = threading.Lock()
        try:
            # No read-ahead: pictures are read in shuffled order.
            self._reader = module.ArrayRecordReader(
                self.path, "readahead_buffer_size:0"
            )
            usable = self._reader.ok() and self._reader.num_records() > 0
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(f"{self.path} cannot be read ({error}).") from error
        if not usable:
            raise UserError(
                f"{self.path} is not a readable ArrayRecord file, or is empty: was it "
                "copied or written completely?"
            )

    def __getstate__(self) -> dict:
        """Leaves the open file and the lock behind."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_reader", "_lock")}

    def __setstate__(self, state: dict) -> None:
        """Opens the file again."""
        self.__dict__.update(state)
        self._open()

    def _record(self, index: int) -> bytes:
        with self._lock:
            try:
                return self._reader.read([index])[0]
            except (RuntimeError, IndexError, ValueError) as error:
                raise images.BrokenPicture(
                    f"{self.path} record {index}", "unreadable", f"damaged ({error})"
                ) from error

    def size(self, index: int) -> int:
        """Returns 0 for all: ArrayRecord does not tell sizes without reading."""
        return 0

    def read(self, index: int) -> bytes:
        """Returns the encoded picture."""
        data = self._record(index)
        if not data:
            raise images.BrokenPicture(self.names[index], "empty", "empty record")
        return data

    def document(self) -> dict:
        """Returns the index record."""
        return self._index

    def fingerprint(self) -> str:
        """Includes the file's size and 256 pieces of it; records declare no sizes."""
        sample = sample_of(self.path, pieces=256).hex()
        return f"{super().fingerprint()}-{Path(self.path).stat().st_size}-{sample}"


class TfdsSource(Source):
    """A prepared TensorFlow Dataset with an image feature.

    Pictures stay encoded (`tfds.decode.SkipDecoding`); class labels or float vectors
    are read with one pass over the set when they are asked for.
    """

    kind = "tfds"

    def __init__(self, path: str):
        self.path = path
        builder, split = _find_builder(path)
        self._data, self._image_key, self._label_key = _data_source(
            builder, split, path
        )
        self._identity = [
            builder.info.full_name,
            split,
            len(self._data),
            builder.info.splits[split].num_bytes,
        ]
        self.names = [f"{split}{i:08d}.png" for i in range(len(self._data))]

    @property
    def name(self) -> str:
        """The set's name."""
        return str(self._identity[0]).replace("/", "-")

    def size(self, index: int) -> int:
        """Returns 0 for all: sizes are not known without reading."""
        return 0

    def stamp(self) -> str:
        """Returns nothing: a prepared set has a version, which its document names."""
        return ""

    def read(self, index: int) -> bytes:
        """Returns the encoded picture."""
        try:
            return bytes(self._data[index][self._image_key])
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            raise images.BrokenPicture(
                self.names[index], "unreadable", f"damaged ({error})"
            ) from error

    def labels(self) -> labels.Labels | None:
        """Returns the label feature, else None; reads the whole set once."""
        if self._label_key is None:
            return None
        found: labels.Labels = {}
        for index, name in enumerate(self.names):
            value = self._data[index][self._label_key]
            # tfds gives -1 where a test split hides its labels.
            if getattr(value, "ndim", 0):
                found[name] = [float(item) for item in value]
            elif int(value) >= 0:
                found[name] = int(value)
        return found or None

    def attributes(self) -> Rows:
        """Returns named attributes of every picture; reads the whole set once.

        They are the fields of the feature ``attributes`` (as celeb_a has it), or else
        all scalar features.
        """
        found: Rows = {}
        for index, name in enumerate(self.names):
            item = self._data[index]
            fields = item.get("attributes")
            if not isinstance(fields, dict):
                fields = item
            # Scalars alone: pictures and boxes are no attributes.
            found[name] = {
                key: value.item() if hasattr(value, "item") else value
                for key, value in fields.items()
                if np.ndim(value) == 0 and not isinstance(value, bytes | dict)
            }
        return found

    def document(self) -> dict:
        """Returns what identifies the set; there is no `dataset.json`."""
        return {"tfds": self._identity}


def write_arrayrecord(path: str, pictures: Iterable[bytes], index: Any) -> None:
    """Writes encoded pictures and then the index record.

    Args:
        path: the file to write, in place (the caller renames).
        pictures: encoded pictures; consumed once.
        index: called without arguments after the last picture; returns a dict for JSON.
    """
    # Groups of one: a reader that jumps about would otherwise read its neighbours too.
    # PNG does not compress a second time.
    writer = _array_record().ArrayRecordWriter(path, "group_size:1,uncompressed")
    try:
        for picture in pictures:
            writer.write(picture)
        writer.write(json.dumps({"arrayrecord": INDEX_FORMAT, **index()}).encode())
    finally:
        writer.close()


def _array_record() -> Any:
    try:
        from array_record.python import array_record_module
    except ImportError as error:
        raise UserError(
            "ArrayRecord files need the package 'array_record', which grain brings on "
            "Linux and macOS: run pip install array_record, or use --format zip."
        ) from error
    return array_record_module


def _find_builder(path: str) -> tuple[Any, str]:
    """Resolves ``tfds:NAME[/CONFIG][/SPLIT]`` to a prepared builder and a split."""
    import tensorflow_datasets as tfds

    whole = path.removeprefix("tfds:").strip("/")
    if not whole:
        raise UserError(f"{path} names no set: write tfds:NAME or tfds:NAME/SPLIT.")
    head, _, tail = whole.rpartition("/")
    tried = []
    # The last part is a split where the set knows one of that name, else a config.
    for name, split in ((head, tail), (whole, "train")):
        if not name:
            continue
        try:
            builder = tfds.builder(name)
        # Unknown names, bad versions, sets whose code needs TensorFlow, ...
        except Exception as error:
            tried.append(str(error).strip().split("\n")[0].rstrip("."))
            continue
        if not builder.info.splits:
            raise UserError(
                f"{path} is not prepared under {builder.data_path}: where TensorFlow "
                f'is installed run python -c "import tensorflow_datasets as tfds; '
                f"tfds.builder('{name}').download_and_prepare("
                "file_format='array_record')\"."
            )
        if split in builder.info.splits:
            return builder, split
        tried.append(
            f"{name} has the splits {', '.join(sorted(builder.info.splits))} and no "
            f"{split}"
        )
    raise UserError(f"{path} is not a set that tfds can open: {'; '.join(tried)}.")


def _data_source(builder: Any, split: str, path: str) -> tuple[Any, str, str | None]:
    """Returns the random-access set and the keys of its image and label features."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items())
    image_keys = [k for k, f in features.items() if isinstance(f, tfds.features.Image)]
    if not image_keys:
        raise UserError(f"{path} has no image feature (it has {', '.join(features)}).")
    image_key = "image" if "image" in image_keys else image_keys[0]
    label_key = "label" if "label" in features else None
    try:
        data = builder.as_data_source(
            split=split, decoders={image_key: tfds.decode.SkipDecoding()}
        )
    except NotImplementedError as error:
        raise UserError(
            f"{path} is prepared in a format without random access: prepare it again "
            "with download_and_prepare(file_format='array_record')."
        ) from error
    return data, image_key, label_key
