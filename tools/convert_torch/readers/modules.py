"""State dicts and attributes of the network objects in a checkpoint.

Whole modules, as NVIDIA's pickles and `torch.save(module)` hold them, are stubs with
the attributes of `torch.nn.Module`; objects of TorchScript have their tensors and parts
as plain attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stylegan_jax.convert_torch.readers.values import Reference, Stub, Tensor, brief
from stylegan_jax.errors import UserError

MAX_DEPTH = 64
# The largest networks have some hundreds.
MAX_TENSORS = 100_000
MAX_MODULES = 100_000
# Attributes are some dozens of numbers; more come from parts that are repeated.
MAX_VALUES = 1_000_000
_SCRIPT = "__torch__."
_GROUPS = ("_parameters", "_buffers", "_modules")
_DICTS = ("EasyDict", "AttributeDict", "AttrDict")
_NAMESPACES = ("Namespace", "SimpleNamespace")


def state_dict(module: Stub) -> dict[str, Tensor]:
    """The tensors of a module by dotted name, as PyTorch's `state_dict` names them.

    Args:
        module: a stub of a `torch.nn.Module` or of a TorchScript object.

    Returns:
        Parameters and persistent buffers, in the order of the file.

    Raises:
        UserError: the stub is no module, contains itself, or is absurdly deep.
    """
    found: dict[str, Tensor] = {}
    for name, value in _tensors(module, "", (), [MAX_MODULES]):
        found[name] = value
        if len(found) > MAX_TENSORS:
            raise _broken(module, f"it has more than {MAX_TENSORS} tensors")
    return found


def submodule(module: Stub, name: str) -> Stub:
    """The module at a dotted name, e.g. ``"synthesis.b8.conv0"``.

    Raises:
        UserError: there is none.
    """
    for part in name.split("."):
        _, children = _parts(module)
        if part not in children:
            raise _broken(module, f"it has no part {brief(name)}")
        module = children[part]
    return module


def attributes(module: Stub) -> dict[str, Any]:
    """The plain attributes of an object: numbers, text, lists and dicts of them.

    Args:
        module: any stub.

    Returns:
        Attributes whose names have no underscore in front, and of the others
        ``_init_args`` and ``_init_kwargs`` where present; dict subclasses such as
        EasyDict have become dicts. Tensors, modules and other objects are left out.

    Raises:
        UserError: the attributes are nested absurdly deep.
    """
    state = module.state if isinstance(module.state, dict) else module.entries
    plain: dict[str, Any] = {}
    left = [MAX_VALUES]
    for name, value in state.items():
        if not isinstance(name, str):
            continue
        if name.startswith("_") and name not in ("_init_args", "_init_kwargs"):
            continue
        if _is_plain(value):
            plain[name] = _plain(value, 0, left)
    return plain


def plain_value(value: Any) -> Any:
    """The same with EasyDict, Namespace and the like as dicts.

    Other objects stay what they are.

    Raises:
        UserError: it is nested absurdly deep, contains itself, or grows when the
            parts it repeats are written out.
    """
    return _plain(value, 0, [MAX_VALUES])


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise UserError(
            "the attributes of an object in the checkpoint are nested too deep to be "
            "real: get the file from a source you trust."
        )
    value = _contents(value)
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1, left) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item, depth + 1, left) for item in value)
    return value


def _contents(value: Any) -> Any:
    """The dict or list that an object of a known plain class amounts to."""
    if not isinstance(value, Stub):
        return value
    if value.entries or value.class_name in _DICTS:
        return value.entries
    if value.elements:
        return value.elements
    if value.class_name in _NAMESPACES:
        return value.state or {}
    return value


def _is_plain(value: Any) -> bool:
    value = _contents(value)
    return not isinstance(value, Stub | Tensor | Reference | memoryview)


def _is_module(value: Any) -> bool:
    if not isinstance(value, Stub) or not isinstance(value.state, dict):
        return False
    return "_parameters" in value.state or value.name.startswith(_SCRIPT)


def _parts(module: Stub) -> tuple[dict[str, Any], dict[str, Stub]]:
    """The tensors and the modules directly in a module, by name."""
    if not _is_module(module):
        raise _broken(module, "it is no network")
    state = module.state
    if "_parameters" not in state:  # TorchScript
        tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)}
        return tensors, {k: v for k, v in state.items() if _is_module(v)}
    groups = [_contents(state.get(group, {})) for group in _GROUPS]
    if not all(isinstance(group, dict) for group in groups):
        raise _broken(module, "its tensors are in no dict")
    parameters, buffers, modules = groups
    hidden = state.get("_non_persistent_buffers_set", ())
    if not isinstance(hidden, set | frozenset | list | tuple):
        raise _broken(module, "its list of passing buffers is none")
    kept = {name: value for name, value in buffers.items() if name not in hidden}
    tensors = {k: v for k, v in {**parameters, **kept}.items() if v is not None}
    children = {k: v for k, v in modules.items() if v is not None}
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _broken(module, f"its {brief(name)} is no tensor")
    for name, value in children.items():
        if not isinstance(name, str) or not _is_module(value):
            raise _broken(module, f"its {brief(name)} is no module")
    return tensors, children


def _tensors(
    module: Stub, prefix: str, above: tuple[int, ...], left: list[int]
) -> Iterator[tuple[str, Tensor]]:
    if id(module) in above:
        raise _broken(module, "it contains itself")
    left[0] -= 1
    if len(above) >= MAX_DEPTH or left[0] < 0:
        raise _broken(module, "its modules are nested too deep to be real")
    tensors, children = _parts(module)
    for name, value in tensors.items():
        yield f"{prefix}{name}", value
    for name, child in children.items():
        yield from _tensors(child, f"{prefix}{name}.", (*above, id(module)), left)


def _broken(module: Any, why: str) -> UserError:
    name = module.name if isinstance(module, Stub) else type(module).__name__
    return UserError(
        f"the object {name} in the checkpoint cannot be read ({why}): give the "
        "checkpoint that the training program wrote."
    )
