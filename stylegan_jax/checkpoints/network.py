"""What the classes behind `load` share: a module, its weights, its document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.checkpoints.model_file import ModelFile
from stylegan_jax.checkpoints.structure import (
    build_module,
    config_of,
    fit_variables,
    variable_shapes,
)
from stylegan_jax.errors import UserError


class Network:
    """A network with its weights; a family of model files has a subclass of its own.

    Attributes:
        MODULE: the class of the Linen module.
        module: the Linen module.
        variables: its collections, ``params`` among them.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE: ClassVar[type[nn.Module]]

    def __init__(
        self,
        module: Any,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        self.module = module
        self.variables = variables
        self.metadata = dict(metadata or {})
        # Compiles when it is called and not before.
        self._apply = jax.jit(module.apply)

    @staticmethod
    def example(module: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shapes of inputs that the module can be initialised with."""
        raise NotImplementedError

    @classmethod
    def from_file(cls, model: ModelFile, *, where: object) -> Self:
        """Makes the network that a model file holds.

        Args:
            model: what `read_model` returned.
            where: what to name in errors, e.g. the file's path.

        Raises:
            UserError: the config makes no such network or the tensors do not fit it.
        """
        module = build_module(cls.MODULE, model.config, where=where)
        variables = fit_variables(
            model.variables, module.init, *cls.example(module), where=where
        )
        return cls(module, variables, metadata=model.metadata)

    @classmethod
    def with_variables(
        cls, config: Mapping[str, Any], variables: Mapping[str, Any]
    ) -> Self:
        """The network of this config with these weights; raises as `from_file`."""
        module = build_module(cls.MODULE, config, where="the config")
        fitted = fit_variables(
            variables, module.init, *cls.example(module), where="the config"
        )
        return cls(module, fitted)

    @classmethod
    def shapes(cls, config: Mapping[str, Any], *, where: object) -> dict[str, Any]:
        """The tensors of a network of this config: path → its shape and type.

        Raises:
            UserError: the config makes no such network.
        """
        module = build_module(cls.MODULE, config, where=where)
        return variable_shapes(module.init, *cls.example(module), where=where)

    @property
    def params(self) -> Any:
        """The trained parameters."""
        return self.variables["params"]

    @property
    def config(self) -> dict[str, Any]:
        """The constructor fields of the module."""
        return config_of(self.module)


def check_pictures(x: Any, name: str = "x") -> jax.Array:
    """Pictures as [N, H, W, C] float32.

    Raises:
        UserError: integers, another rank, or no pictures.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise UserError(
            f"{name} must be floats in [-1, 1], got {x.dtype}: convert with "
            "x / 127.5 - 1."
        )
    if x.ndim != 4 or not len(x):
        raise UserError(
            f"{name} must be [N, H, W, C] with at least one picture, got "
            f"{list(x.shape)}."
        )
    return x.astype(jnp.float32)
