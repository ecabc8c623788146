"""What a checkpoint's object tree is made of: tensors, stubs and references.

Nothing here does what the file says. A tensor is a place in the file, a stub keeps the
state of an object whose class is not known, and a reference is a name that was not
looked up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.readers.faults import Damaged

MAX_RANK = 32
# Views that repeat elements (`expand`) take more memory than the file is long; no
# network has one larger than this.
MAX_REPEATED = 2**24

# Element types by PyTorch's names. NumPy has no bfloat16: its 16 bits are the upper
# half of a float32, so they are read as integers and widened.
ELEMENTS: dict[str, np.dtype] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "uint32": np.dtype("<u4"),
    "uint64": np.dtype("<u8"),
    # Read as integers: a byte other than 0 and 1 is no valid NumPy bool.
    "bool": np.dtype("u1"),
    "complex64": np.dtype("<c8"),
    "complex128": np.dtype("<c16"),
}


class Storage:
    """A run of equal elements in a file, which tensors are views of.

    Attributes:
        kind: the element type by PyTorch's name, e.g. ``"bfloat16"``.
        stored: the NumPy type the bytes are read as.
        length: number of elements.
    """

    __slots__ = ("_read", "kind", "length", "stored")

    def __init__(
        self,
        kind: str,
        stored: np.dtype,
        length: int,
        read: Callable[[], memoryview] | None = None,
    ):
        if type(length) is not int or length < 0:
            raise Damaged("a storage has an impossible length")
        self.kind = kind
        self.stored = stored
        self.length = length
        self._read = read

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.length * self.stored.itemsize

    @property
    def resolved(self) -> bool:
        """Whether its bytes have been found in the file."""
        return self._read is not None

    def resolve(self, read: Callable[[], memoryview], size: int) -> None:
        """Says where the bytes are, once that is known.

        Args:
            read: returns them.
            size: how many there are.

        Raises:
            Damaged: fewer than the storage claims.
        """
        if size < self.nbytes:
            raise Damaged(
                f"a storage claims {self.nbytes} bytes and the file holds {size}"
            )
        self._read = read

    def read(self) -> memoryview:
        """The bytes; for most files a view of the file and not a copy."""
        if self._read is None:
            raise Damaged("a tensor refers to a storage that is not in the file")
        return self._read()

    def retyped(self, kind: str, stored: np.dtype) -> Storage:
        """The same bytes as elements of another type."""
        return Storage(kind, stored, self.nbytes // stored.itemsize, self.read)

    def __repr__(self) -> str:
        return f"Storage(length={self.length}, kind={self.kind!r})"


class Tensor:
    """An array in a file, read when it is asked for.

    A tensor of PyTorch and an array of NumPy both become one of these.

    Attributes:
        shape: its dimensions; ``()`` for a scalar.
        kind: the element type in the file by its common name, e.g. ``"float16"``,
            ``"bfloat16"``, ``"int64"``.
        dtype: the NumPy type of `array`: that of the file in the machine's byte order,
            except that bfloat16 arrives as float32.
    """

    __slots__ = ("_offset", "_storage", "_strides", "shape")

    def __init__(
        self,
        storage: Storage,
        shape: Sequence[int],
        strides: Sequence[int],
        offset: int = 0,
    ):
        """`strides` and `offset` count elements.

        Raises:
            Damaged: the view reaches beyond its storage, or is impossibly large.
        """
        self._storage = storage
        self.shape = tuple(shape)
        self._strides = tuple(strides)
        self._offset = offset
        numbers = (*self.shape, *self._strides, offset)
        if any(type(n) is not int or not 0 <= n < 2**62 for n in numbers):
            raise Damaged("a tensor has an impossible shape")
        if len(self.shape) != len(self._strides) or len(self.shape) > MAX_RANK:
            raise Damaged("a tensor has an impossible shape")
        if self.size == 0:
            return
        pairs = zip(self.shape, self._strides, strict=True)
        end = offset + sum((n - 1) * stride for n, stride in pairs) + 1
        if end > storage.length or self.size > max(storage.length, MAX_REPEATED):
            raise Damaged(
                f"a tensor of shape {list(self.shape)} reaches beyond its storage of "
                f"{storage.length} elements"
            )

    @classmethod
    def of_scalar(cls, value: np.generic) -> Tensor:
        """A NumPy scalar of the file as a tensor without dimensions."""
        data = memoryview(value.tobytes())
        kind = "bool" if value.dtype == np.bool_ else value.dtype.newbyteorder("=").name
        stored = np.dtype("u1") if kind == "bool" else value.dtype
        return cls(Storage(kind, stored, 1, lambda: data), (), ())

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def kind(self) -> str:
        """The element type in the file by its common name."""
        return self._storage.kind

    @property
    def dtype(self) -> np.dtype:
        """The NumPy type of `array`."""
        if self.kind == "bfloat16":
            return np.dtype(np.float32)
        if self.kind == "bool":
            return np.dtype(np.bool_)
        return self._storage.stored.newbyteorder("=")

    def array(self) -> np.ndarray:
        """Reads the elements.

        Returns:
            A writable array in C order with memory of its own, of `shape` and `dtype`.
            bfloat16 is widened to float32, which holds its values exactly.

        Raises:
            UserError: the bytes in the file do not match their checksum.
        """
        if self.size == 0:
            return np.empty(self.shape, self.dtype)
        width = self._storage.stored.itemsize
        view: np.ndarray = np.ndarray(
            self.shape,
            self._storage.stored,
            buffer=self._storage.read(),
            offset=self._offset * width,
            strides=[stride * width for stride in self._strides],
        )
        if self.kind == "bfloat16":
            wide = np.array(view, np.uint32, order="C")
            wide <<= 16
            return wide.view(self.dtype)
        if self.kind == "bool":
            return np.asarray(view != 0, order="C")
        return np.array(view, self.dtype, order="C")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("reading a tensor of a file always makes a new array")
        array = self.array()
        return array if dtype is None else array.astype(dtype, copy=False)

    def transposed(self, axes: Sequence[int]) -> Tensor:
        """The same elements with the axes in another order."""
        shape = [self.shape[axis] for axis in axes]
        strides = [self._strides[axis] for axis in axes]
        return Tensor(self._storage, shape, strides, self._offset)

    def become(self, other: Tensor) -> None:
        """Takes the place of `other`.

        NumPy's pickles make an empty array, refer to it, and fill it later.
        """
        self._storage = other._storage
        self.shape = other.shape
        self._strides = other._strides
        self._offset = other._offset

    def __repr__(self) -> str:
        return f"Tensor(shape={self.shape}, kind={self.kind!r})"


class Reference:
    """A class or function that the file names; it was not looked up.

    Attributes:
        name: its dotted name, e.g. ``"torch.float32"``.
    """

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Reference({self.name!r})"


class Stub:
    """An object of a class that is not known: what the file says of it, and no more.

    Attributes:
        name: the dotted name of its class.
        args: what its constructor would have been given.
        kwargs: the same, by keyword.
        state: its attributes as a dict, any other state as it is in the file, or None.
        entries: for subclasses of dict, the entries.
        elements: for subclasses of list, the elements.
    """

    __slots__ = ("args", "elements", "entries", "kwargs", "name", "state")

    def __init__(
        self,
        name: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        state: Any = None,
    ):
        self.name = name
        self.args = args
        self.kwargs = kwargs or {}
        self.state = state
        self.entries: dict[Any, Any] = {}
        self.elements: list[Any] = []

    @property
    def class_name(self) -> str:
        """The last part of `name`, e.g. ``"Generator"``."""
        return self.name.rpartition(".")[2]

    def __repr__(self) -> str:
        return f"Stub({self.name!r})"


def brief(value: Any) -> str:
    """A few words for any value of a file, to name it in a message.

    Its own text could be endless: a list may contain itself.
    """
    if isinstance(value, Reference | Stub):
        return value.name[:120]
    if isinstance(value, str):
        return repr(value[:80])
    if isinstance(value, int) and abs(value) < 10**20:
        return repr(value)
    return f"a {type(value).__name__}"


class NumpyType:
    """A NumPy element type as pickles build it: first the kind, then the byte order.

    Attributes:
        dtype: the type.
    """

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype):
        self.dtype = dtype

    def __repr__(self) -> str:
        return f"NumpyType({self.dtype.str!r})"
