"""The allow-list: every name of a pickle that means something, and what.

Names of other programs are inert wherever they appear: they are kept as references, and
their objects as stubs. Names of Python's own library are refused unless they are here,
so that a file which names `os.system` is not read at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from stylegan_jax.convert_torch.readers import (
    numpy_values,
    python_values,
    torch_values,
)

Handler = Callable[..., Any]

_RENAMED = (
    ("__builtin__.", "builtins."),
    ("copy_reg.", "copyreg."),
    ("numpy.core.", "numpy._core."),
    ("pathlib._local.", "pathlib."),
    ("torch.cuda.", "torch."),
)

# Containers and values of Python: making one is what a call of the class does.
_CONTAINERS: Mapping[str, Handler] = {
    "collections.OrderedDict": python_values.dictionary,
    "collections.Counter": python_values.dictionary,
    "collections.defaultdict": python_values.default_dictionary,
    "collections.deque": python_values.sequence,
    "builtins.dict": python_values.dictionary,
    "builtins.list": python_values.sequence,
    "builtins.tuple": python_values.fixed_sequence,
    "builtins.set": python_values.unordered,
    "builtins.frozenset": python_values.unordered_key,
    "builtins.bytes": python_values.byte_string,
    "builtins.bytearray": python_values.byte_string,
    "builtins.complex": python_values.complex_number,
    "builtins.slice": python_values.stub_of("builtins.slice"),
    "builtins.range": python_values.stub_of("builtins.range"),
    "pathlib.Path": python_values.file_path,
    "pathlib.PosixPath": python_values.file_path,
    "pathlib.WindowsPath": python_values.file_path,
    "pathlib.PurePath": python_values.file_path,
    "pathlib.PurePosixPath": python_values.file_path,
    "pathlib.PureWindowsPath": python_values.file_path,
    "datetime.datetime": python_values.stub_of("datetime.datetime"),
    "datetime.date": python_values.stub_of("datetime.date"),
    "datetime.time": python_values.stub_of("datetime.time"),
    "datetime.timedelta": python_values.stub_of("datetime.timedelta"),
    "datetime.timezone": python_values.stub_of("datetime.timezone"),
    "functools.partial": python_values.stub_of("functools.partial"),
}

_FUNCTIONS: Mapping[str, Handler] = {
    "_codecs.encode": python_values.encoded,
    "copyreg._reconstructor": python_values.reconstructed,
    "numpy._core.multiarray._reconstruct": numpy_values.empty_array,
    "numpy._core.multiarray.scalar": numpy_values.scalar,
    "numpy._core.numeric._frombuffer": numpy_values.array_of_buffer,
    "numpy.dtype": numpy_values.element_type,
    "torch._utils._rebuild_tensor": torch_values.tensor,
    "torch._utils._rebuild_tensor_v2": torch_values.tensor,
    "torch._utils._rebuild_tensor_v3": torch_values.tensor_of_type,
    "torch._utils._rebuild_parameter": torch_values.parameter,
    "torch._utils._rebuild_parameter_with_state": torch_values.parameter,
    "torch._tensor._rebuild_from_type_v2": torch_values.tensor_of_subclass,
    "torch.storage._load_from_bytes": torch_values.storage_of_bytes,
    "torch.Size": python_values.fixed_sequence,
    "torch.device": torch_values.device,
    "torch.serialization._get_layout": torch_values.same,
    "torch.jit._pickle.build_intlist": torch_values.same,
    "torch.jit._pickle.build_doublelist": torch_values.same,
    "torch.jit._pickle.build_boollist": torch_values.same,
    "torch.jit._pickle.build_tensorlist": torch_values.same,
    "torch.jit._pickle.restore_type_tag": torch_values.same,
}

# Of Python's library and inert: stubs when there are objects of them, else references
# (a defaultdict's factory, an argument's type).
_INERT = frozenset(
    {
        "argparse.Namespace",
        "types.SimpleNamespace",
        "decimal.Decimal",
        "fractions.Fraction",
        "uuid.UUID",
        "builtins.object",
        "builtins.int",
        "builtins.float",
        "builtins.bool",
        "builtins.str",
    }
)

# Objects whose class lies beside its source text, as NVIDIA's networks are written.
# Some programs carry the module inside a package of their own.
_PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"

build_numpy = numpy_values.build


def canonical(name: str) -> str:
    """The one spelling of a name that was moved between versions."""
    for old, new in _RENAMED:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def allowed(name: str) -> bool:
    """Whether a file may name this at all."""
    if name in _CONTAINERS or name in _FUNCTIONS or name in _INERT:
        return True
    return name.partition(".")[0] not in sys.stdlib_module_names


def call(name: str) -> Handler | None:
    """What stands for a call of this name, or None: it is refused."""
    if name == _PERSISTENT or name.endswith("." + _PERSISTENT):
        return torch_values.persistent_object
    return _CONTAINERS.get(name) or _FUNCTIONS.get(name)


def is_container(name: str) -> bool:
    """Whether objects of this class are values of Python."""
    return name in _CONTAINERS


def may_be_stub(name: str) -> bool:
    """Whether an object of this class may be kept as a stub."""
    return call(name) is None
