"""Networks of NVIDIA's TensorFlow programs, as their pickles hold them.

A pickle is a tuple of three (G, D, Gs), each with its own variables by local name and
its components, e.g. ``mapping`` and ``synthesis``, which are networks again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.readers.modules import plain_value
from stylegan_jax.convert_torch.readers.values import Stub, Tensor, brief
from stylegan_jax.errors import UserError

# Progressive GAN's pickles (1) have another layout.
VERSIONS = (2, 3, 4)
MAX_DEPTH = 8
MAX_NETWORKS = 64


@dataclasses.dataclass(frozen=True)
class TFNetwork:
    """A network of `dnnlib.tflib`.

    Attributes:
        name: its name in its TensorFlow graph, e.g. ``"G_mapping"``.
        func_name: the function that built it, e.g. ``"G_main"``; its source text is
            in the pickle and is not looked at.
        static_kwargs: the arguments of that function, plain values.
        variables: its own variables by local name, e.g. ``"Dense0/weight"``; read
            from the file when asked for.
        components: its parts by the name they are used under, e.g. ``"mapping"``.
    """

    name: str
    func_name: str
    static_kwargs: dict[str, Any]
    variables: dict[str, Tensor]
    components: dict[str, TFNetwork]

    def arrays(self) -> dict[str, np.ndarray]:
        """Its own variables, read."""
        return {name: value.array() for name, value in self.variables.items()}

    def all_variables(self) -> dict[str, Tensor]:
        """All variables by NVIDIA's names, e.g. ``"G_mapping/Dense0/weight"``.

        Those of a component have the component's own `name` in front.
        """
        found = dict(self.variables)
        for part in self.components.values():
            for name, value in part.all_variables().items():
                found[f"{part.name}/{name}"] = value
        return found


def is_tf_network(value: Any) -> bool:
    """Whether an object of a checkpoint is a `dnnlib.tflib` network."""
    return (
        isinstance(value, Stub)
        and value.class_name == "Network"
        and ("tflib" in value.name or "tfutil" in value.name)
    )


def tf_networks(root: Any) -> tuple[TFNetwork, ...]:
    """The networks of a TensorFlow-era pickle, in its order: G, D, Gs.

    Args:
        root: the root object of the checkpoint, a tuple of networks or one of them.

    Raises:
        UserError: it holds something else, or a network of an unknown version.
    """
    parts = root if isinstance(root, tuple | list) else (root,)
    if not parts or not all(is_tf_network(part) for part in parts):
        raise UserError(
            "the checkpoint holds no networks of NVIDIA's TensorFlow programs: give "
            "the .pkl file that such a program wrote."
        )
    left = [MAX_NETWORKS]
    return tuple(_network(part, 0, left) for part in parts)


def _network(stub: Stub, depth: int, left: list[int]) -> TFNetwork:
    state = stub.state
    if not isinstance(state, dict):
        raise _broken(stub, "it has no state")
    version = state.get("version")
    if version not in VERSIONS:
        raise _broken(stub, f"its version is {brief(version)}")
    left[0] -= 1
    if depth > MAX_DEPTH or left[0] < 0:
        raise _broken(stub, "its components are too many or nested too deep")
    name, function = state.get("name"), state.get("build_func_name")
    if not isinstance(name, str) or not isinstance(function, str):
        raise _broken(stub, "it has no name")
    kwargs = plain_value(state.get("static_kwargs"))
    components = _entries(state.get("components", {}))
    if not isinstance(kwargs, dict) or not isinstance(components, dict):
        raise _broken(stub, "its arguments are no dict")
    if not all(map(is_tf_network, components.values())):
        raise _broken(stub, "a component is no network")
    return TFNetwork(
        name=name,
        func_name=function,
        static_kwargs=kwargs,
        variables=dict(_variables(stub, state.get("variables"))),
        components={
            key: _network(part, depth + 1, left) for key, part in components.items()
        },
    )


def _entries(value: Any) -> Any:
    # An EasyDict arrives as a stub.
    return value.entries if isinstance(value, Stub) else value


def _variables(stub: Stub, pairs: Any) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(pairs, list):
        raise _broken(stub, "it has no variables")
    names = set()
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise _broken(stub, "its variables are no pairs")
        name, value = pair
        if isinstance(value, np.generic):  # TensorFlow returns scalars as such
            value = Tensor.of_scalar(value)
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _broken(stub, f"its variable {brief(name)} is no array")
        if name in names:
            raise _broken(stub, f"it has two variables {brief(name)}")
        names.add(name)
        yield name, value


def _broken(stub: Stub, why: str) -> UserError:
    return UserError(
        f"the network {stub.name} in the checkpoint cannot be read ({why}): give the "
        ".pkl file that NVIDIA's program wrote."
    )
