"""What NumPy's names in a pickle mean: arrays as places in the file, scalars, types."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from stylegan_jax.convert_torch.readers.faults import Damaged, Refused
from stylegan_jax.convert_torch.readers.values import (
    MAX_RANK,
    NumpyType,
    Reference,
    Storage,
    Tensor,
)

if TYPE_CHECKING:
    from stylegan_jax.convert_torch.readers.machine import Machine

# Numbers, and text of a fixed width; no objects, records or dates.
_TYPE = re.compile(r"[<>=|]?(b1|\?|[iu][1248]|f[248]|c8|c16|[SU]\d{1,4})")
_NOTHING = memoryview(b"")


def element_type(
    machine: Machine, kind: Any, align: Any = False, copy: Any = True
) -> NumpyType:
    """`numpy.dtype("f4", False, True)`."""
    if isinstance(kind, bytes):
        kind = str(kind, "latin-1")
    if not isinstance(kind, str):
        raise Damaged("a NumPy type without a name")
    if not _TYPE.fullmatch(kind):
        raise Refused(f"NumPy arrays of type {kind[:40]!r}")
    return NumpyType(np.dtype(kind))


def empty_array(machine: Machine, cls: Any, shape: Any, kind: Any) -> Tensor:
    """`_reconstruct(ndarray, (0,), b"b")`: an array that `build` fills."""
    if cls != Reference("numpy.ndarray"):
        raise Refused("an array of a class that is not numpy.ndarray")
    storage = Storage("int8", np.dtype("i1"), 0, lambda: _NOTHING)
    return Tensor(storage, (0,), (1,))


def scalar(machine: Machine, kind: Any, data: Any = b"") -> np.generic:
    """`scalar(dtype, bytes)`: a NumPy scalar."""
    dtype = _dtype(kind)
    raw = _raw(machine, data)
    if len(raw) != dtype.itemsize:
        raise Damaged(f"a NumPy scalar of {len(raw)} bytes")
    machine.charge(len(raw))
    if dtype == np.bool_:
        return np.bool_(raw[0] != 0)
    return np.frombuffer(raw, dtype, 1)[0]


def array_of_buffer(
    machine: Machine, data: Any, kind: Any, shape: Any, order: Any, axes: Any = None
) -> Tensor:
    """`_frombuffer(data, dtype, shape, order, axes)`, as protocol 5 writes arrays."""
    if order not in ("C", "F", "K"):
        raise Damaged("an array whose order is neither C nor F")
    array = _array(machine, data, _dtype(kind), shape, order == "F")
    if order == "K" and axes is not None:
        if sorted(axes) != list(range(len(array.shape))):
            raise Damaged("an array whose axes are no permutation")
        array = array.transposed(axes)
    return array


def build(machine: Machine, target: NumpyType | Tensor, state: Any) -> None:
    """Sets a type's byte order, or fills an array that `empty_array` made."""
    if not isinstance(state, tuple):
        raise Damaged("a NumPy value without a state")
    if isinstance(target, NumpyType):
        _, order, *rest = state
        if order not in ("<", ">", "=", "|") or any(
            part is not None for part in rest[:3]
        ):
            raise Refused("NumPy arrays of records or objects")
        if order != "|":
            target.dtype = target.dtype.newbyteorder(order)
        return
    *_, shape, kind, fortran, data = state  # NumPy 1 began it with a version
    target.become(_array(machine, data, _dtype(kind), shape, bool(fortran)))


def _dtype(kind: Any) -> np.dtype:
    if not isinstance(kind, NumpyType):
        raise Damaged("a NumPy value without a type")
    return kind.dtype


def _raw(machine: Machine, data: Any) -> memoryview:
    """The bytes of a value; Python 2 wrote them as a string."""
    if isinstance(data, str):
        machine.charge(len(data))
        data = data.encode("latin-1")
    if isinstance(data, list):
        raise Refused("NumPy arrays of objects")
    if not isinstance(data, bytes | memoryview):
        raise Damaged("a NumPy value without data")
    return memoryview(data)


def _array(
    machine: Machine, data: Any, dtype: np.dtype, shape: Any, fortran: bool
) -> Tensor:
    raw = _raw(machine, data)
    if not isinstance(shape, tuple | list) or len(shape) > MAX_RANK:
        raise Damaged("an array has an impossible shape")
    if any(type(n) is not int or not 0 <= n < 2**62 for n in shape):
        raise Damaged("an array has an impossible shape")
    size = math.prod(shape) * dtype.itemsize
    if size != len(raw):
        raise Damaged(
            f"an array of shape {list(shape)} and type {dtype} takes {size} bytes and "
            f"has {len(raw)}"
        )
    strides = [0] * len(shape)
    step = 1
    order = range(len(shape)) if fortran else reversed(range(len(shape)))
    for axis in order:
        strides[axis] = step
        step *= max(shape[axis], 1)
    boolean = dtype == np.bool_
    kind = "bool" if boolean else dtype.newbyteorder("=").name
    stored = np.dtype("u1") if boolean else dtype
    length = size // dtype.itemsize if dtype.itemsize else 0
    storage = Storage(kind, stored, length, lambda: raw)
    return Tensor(storage, shape, strides)
