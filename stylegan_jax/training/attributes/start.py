"""The weights that a network's body may start from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from stylegan_jax.checkpoints.attributes import AttributeNetwork
from stylegan_jax.checkpoints.features import ResNetFeatures
from stylegan_jax.checkpoints.load import find_model, load
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.weights import THERE, weights_path, weights_state
from stylegan_jax.checkpoints.weights_registry import REGISTRY, find_weights
from stylegan_jax.errors import UserError
from stylegan_jax.models.attributes import AttributeNet
from stylegan_jax.training.attributes.state import AttributeState
from stylegan_jax.training.updates import placed

BODY = "backbone"


@dataclasses.dataclass(frozen=True)
class Start:
    """A body of residual blocks from a file.

    Attributes:
        name: what the configuration calls it.
        params: its parameters.
        batch_stats: its running statistics.
        source: its file and hash, JSON values.
        licence: of its weights.
    """

    name: str
    params: Mapping[str, Any]
    batch_stats: Mapping[str, Any]
    source: Mapping[str, Any]
    licence: str

    def check(self, shapes: Any, module: AttributeNet) -> None:
        """Refuses a body of another shape than the network's.

        Args:
            shapes: of the network's variables.
            module: the network.

        Raises:
            UserError: it does not fit.
        """
        own = (shapes["params"][BODY], shapes["batch_stats"][BODY])
        if _layout(own) != _layout((self.params, self.batch_stats)):
            raise UserError(
                f"init.backbone={self.name} is no body of {module.num_layers} layers "
                f"and width {module.width}: set model.num_layers and model.width to "
                "its own, or begin with fresh weights (--config.init.backbone=None)."
            )

    def adopt(self, state: AttributeState) -> AttributeState:
        """A fresh state with this body in it."""
        params = {**state.params, BODY: self.params}
        stats = {**state.batch_stats, BODY: self.batch_stats}
        return state.replace(
            params=placed(params, state.params),
            ema_params=placed(params, state.ema_params),
            batch_stats=placed(stats, state.batch_stats),
        )


def open_start(name: str | None) -> Start | None:
    """Opens the body of ``init.backbone``.

    Args:
        name: of weights in the user's cache, or a model file or run's folder of the
            families features.resnet and attributes; None for fresh weights.

    Raises:
        UserError: there is no such model, or it is of another family.
    """
    if name is None:
        return None
    if name in REGISTRY:
        if weights_state(name) != THERE:
            raise UserError(
                f"init.backbone={name} is not in the cache: run "
                f"{find_weights(name).command}, or begin with fresh weights "
                "(--config.init.backbone=None)."
            )
        file = weights_path(name)
    else:
        file = find_model(name)
    network = load(file)
    if isinstance(network, AttributeNetwork):
        params, stats = (network.variables[k][BODY] for k in ("params", "batch_stats"))
    elif isinstance(network, ResNetFeatures):
        # The classes of ImageNet are of no use here.
        params = {k: v for k, v in network.variables["params"].items() if k != "fc"}
        stats = network.variables["batch_stats"]
    else:
        raise UserError(
            f"init.backbone={name} is a {network.metadata.get('family')} and no "
            "ResNet: give resnet50, a model file of the family features.resnet or "
            "attributes, or None."
        )
    return Start(
        name=str(name),
        params=params,
        batch_stats=stats,
        source={"file": file.name, "sha256": sha256_of(file)},
        licence=network.metadata.get("licence", "not stated"),
    )


def _layout(tree: Any) -> dict[str, tuple[int, ...]]:
    """The shape of every leaf by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): tuple(leaf.shape) for path, leaf in leaves}
