"""What PyTorch's names in a pickle mean: tensors as views of storages in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stylegan_jax.convert_torch.readers.faults import Damaged, Refused, Unsupported
from stylegan_jax.convert_torch.readers.values import (
    ELEMENTS,
    Reference,
    Storage,
    Stub,
    Tensor,
)

if TYPE_CHECKING:
    from stylegan_jax.convert_torch.readers.machine import Machine

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    # Bytes; tensors of the newer types say what they are themselves.
    "UntypedStorage": "uint8",
}


def storage_kind(cls: Any) -> str:
    """The element type of a storage class that the file names.

    Raises:
        Unsupported: quantised types and others without a NumPy counterpart.
    """
    if not isinstance(cls, Reference) or not cls.name.startswith("torch."):
        raise Damaged("a storage is of no class of PyTorch")
    name = cls.name.rpartition(".")[2].removeprefix("_")
    if name not in _STORAGES:
        raise Unsupported(f"it holds tensors of {cls.name}, which have no NumPy type")
    return _STORAGES[name]


def storage_identity(identity: Any) -> tuple[str, str, int, Any]:
    """The persistent id that stands for a storage.

    Returns:
        Element type, key, number of elements, and what follows (a legacy view).
    """
    if not isinstance(identity, tuple) or not 5 <= len(identity) <= 6:
        raise Refused("an object outside of the file that is no storage")
    word, cls, key, _, length, *view = identity
    if word != "storage" or not isinstance(key, str):
        raise Refused("an object outside of the file that is no storage")
    if type(length) is not int or length < 0:
        raise Damaged("a storage without a length")
    return storage_kind(cls), key, length, view[0] if view else None


def tensor(
    machine: Machine,
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    """`_rebuild_tensor_v2(storage, offset, shape, strides, …)`."""
    if not isinstance(storage, Storage):
        raise Damaged("a tensor without a storage")
    if isinstance(metadata, dict) and any(map(metadata.get, ("conj", "neg"))):
        raise Unsupported("it holds a tensor that is conjugated or negated on reading")
    return Tensor(storage, shape, strides, offset)


def tensor_of_type(
    machine: Machine,
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any,
    hooks: Any,
    kind: Any,
    metadata: Any = None,
) -> Tensor:
    """`_rebuild_tensor_v3(…)`: the type is beside an untyped storage."""
    if not isinstance(storage, Storage) or not isinstance(kind, Reference):
        raise Damaged("a tensor without a storage or type")
    name = kind.name.removeprefix("torch.")
    if name not in ELEMENTS:
        raise Unsupported(f"it holds tensors of {kind.name}, which have no NumPy type")
    typed = storage.retyped(name, ELEMENTS[name])
    return tensor(machine, typed, offset, shape, strides, metadata=metadata)


def parameter(machine: Machine, data: Any, *rest: Any) -> Tensor:
    """`_rebuild_parameter(tensor, …)`: the tensor."""
    if not isinstance(data, Tensor):
        raise Damaged("a parameter without a tensor")
    return data


def tensor_of_subclass(
    machine: Machine, function: Any, cls: Any, args: Any, state: Any
) -> Tensor:
    """`_rebuild_from_type_v2(function, class, args, state)`: the tensor alone."""
    rebuild: dict[str, Callable[..., Tensor]] = {
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_tensor_v3": tensor_of_type,
        "torch._utils._rebuild_parameter": parameter,
    }
    name = function.name if isinstance(function, Reference) else type(function).__name__
    if name not in rebuild:
        raise Refused(f"a call of {name}")
    if not isinstance(args, tuple):
        raise Damaged("a call without a tuple of arguments")
    return rebuild[name](machine, *args)


def storage_of_bytes(machine: Machine, data: Any) -> Storage:
    """`_load_from_bytes(data)`: a file of PyTorch inside this one."""
    if isinstance(data, str):
        machine.charge(len(data))
        data = data.encode("latin-1")
    if not isinstance(data, bytes | memoryview):
        raise Damaged("a storage without data")
    storage = machine.load_inside(memoryview(data))
    if not isinstance(storage, Storage):
        raise Damaged("the data of a tensor are no storage")
    return storage


def device(machine: Machine, name: Any, index: Any = None) -> str:
    """`torch.device("cuda", 0)` as text."""
    if not isinstance(name, str) or not isinstance(index, int | None):
        raise Damaged("a device without a name")
    return name if index is None else f"{name}:{index}"


def same(machine: Machine, value: Any, *rest: Any) -> Any:
    """Lists and tagged values of TorchScript: the value."""
    return value


def persistent_object(machine: Machine, meta: Any) -> Stub:
    """`_reconstruct_persistent_obj(meta)`: NVIDIA's objects, less their source text."""
    entries = meta.entries if isinstance(meta, Stub) else meta
    if not isinstance(entries, dict) or entries.get("type") != "class":
        raise Damaged("a persistent object without a class")
    name = entries.get("class_name")
    if not isinstance(name, str) or not name.isidentifier():
        raise Damaged("a persistent object without a class")
    return Stub(f"torch_utils.persistence.{name}", state=entries.get("state"))
