"""The pickles of NVIDIA's TensorFlow programs: (G, D, Gs), three networks."""

from __future__ import annotations

from typing import Any

from stylegan_jax.convert_torch.readers.tflib import (
    TFNetwork,
    is_tf_network,
    tf_networks,
)
from stylegan_jax.convert_torch.rules import (
    stylegan1_tensorflow,
    stylegan2_tensorflow,
)
from stylegan_jax.convert_torch.sources.nvidia_pickle import LICENCE
from stylegan_jax.convert_torch.sources.part import Source, SourcePart, layout_of
from stylegan_jax.errors import UserError

# The programs pickle them in this order.
ORDER = ("G", "D", "Gs")
PARTS = {"Gs": "g_ema", "G": "g", "D": "d"}


def find(root: Any, where: object) -> Source | None:
    """The networks of a TensorFlow pickle; None where the file is something else.

    Raises:
        UserError: a network has no counterpart in this program.
    """
    found = list(root) if isinstance(root, tuple | list) else [root]
    if not found or not all(is_tf_network(item) for item in found):
        return None
    networks = tf_networks(tuple(found))
    names = ORDER if len(found) == len(ORDER) else [n.name for n in networks]
    by_name = dict(zip(names, networks, strict=True))
    parts = []
    for theirs, ours in PARTS.items():
        network = by_name.get(theirs)
        if network is not None:
            parts.append(_part(ours, network, f"{where} ({theirs})"))
    if not parts:
        raise UserError(
            f"{where} holds TensorFlow networks called {', '.join(map(str, names))}: "
            "this program knows G, D and Gs."
        )
    return Source("NVIDIA's TensorFlow StyleGAN", tuple(parts), LICENCE)


def variables(network: TFNetwork) -> dict[str, Any]:
    """All variables, those of components under the component's role.

    ``mapping/Dense0/weight``, whatever the component calls itself in its graph.
    """
    found: dict[str, Any] = dict(network.variables)
    for role, component in network.components.items():
        for name, value in variables(component).items():
            found[f"{role}/{name}"] = value
    return found


def _part(name: str, network: TFNetwork, where: str) -> SourcePart:
    state, left = stylegan2_tensorflow.settled(variables(network), where=where)
    hints = {
        "where": where,
        "static_kwargs": network.static_kwargs,
        "stated_resolution": network.static_kwargs.get("resolution"),
    }
    if stylegan2_tensorflow.is_generator(state):
        layouts, family = stylegan2_tensorflow.LAYOUTS, "stylegan2.generator"
    elif stylegan2_tensorflow.is_discriminator(state):
        layouts, family = stylegan2_tensorflow.LAYOUTS, "stylegan2.discriminator"
    elif stylegan1_tensorflow.is_generator(state):
        layouts, family = stylegan1_tensorflow.LAYOUTS, "stylegan1.generator"
    elif stylegan1_tensorflow.is_discriminator(state):
        layouts, family = stylegan1_tensorflow.LAYOUTS, "stylegan1.discriminator"
    else:
        raise UserError(
            f"{where} is a TensorFlow network of a kind that this program does not "
            f"know: its variables begin with {', '.join(sorted(state)[:4]) or 'none'}."
        )
    return SourcePart(name, layout_of(layouts, family), state, hints, tuple(left))
