"""What the two graphs of MobileStyleGAN's OpenVINO files must be, and their tensors.

Most tensors have numbers for names there, so what a tensor is follows from the
operation that uses it. The graphs are followed from their outputs backwards, and each
operation, setting and scalar on the way has to be this network's. Only what computes
shapes from shapes is passed over: the shapes that it gives are checked instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stylegan_jax.convert_torch.readers.openvino import Layer, Network, Port
from stylegan_jax.convert_torch.rules.layout import State, as_array
from stylegan_jax.errors import UserError, printable

# Deeper than any network; a damaged graph can be a circle.
MAX_LAYERS = 64
# Relative difference of scalars that float32 rounded.
CLOSE = 1e-5

_KEEP = {"strides": "1,1", "dilations": "1,1", "auto_pad": "explicit"}
_PADDED = {**_KEEP, "pads_begin": "1,1", "pads_end": "1,1"}
_BARE = {**_KEEP, "pads_begin": "0,0", "pads_end": "0,0"}


class _Walk:
    """Follows a graph backwards, and names the constants that it finds."""

    def __init__(self, network: Network, where: object):
        self.state: dict[str, Any] = {}
        self.network = network
        self._where = where

    def output(self) -> Port:
        """What the graph gives; it must give one thing."""
        ends = [x for x in self.network.layers.values() if x.kind == "Result"]
        if len(ends) != 1 or len(ends[0].inputs) != 1:
            raise self.refused(f"it has {len(ends)} results instead of one")
        return ends[0].inputs[0]

    def layer(self, port: Port, kind: str, inputs: int, **settings: str) -> Layer:
        """The layer that gives a port, which must be this operation."""
        layer = self.network.layers[port[0]]
        if layer.kind != kind or len(layer.inputs) != inputs:
            raise self.refused(f"{layer.name} is {layer.kind} instead of {kind}")
        odd = [
            name
            for name, want in settings.items()
            if layer.attributes.get(name, "").replace(" ", "") != want
        ]
        if odd:
            raise self.refused(f"{layer.name} has another {' and '.join(odd)}")
        return layer

    def place(self, port: Port) -> int:
        """Which output of its layer a port is, from 0."""
        return port[1] - len(self.network.layers[port[0]].inputs)

    def shape(self, port: Port) -> tuple[int, ...]:
        """The shape that the file states for a port."""
        shapes, place = self.network.layers[port[0]].shapes, self.place(port)
        if not 0 <= place < len(shapes):
            raise self.refused(f"{self.network.layers[port[0]].name} has no such port")
        return shapes[place]

    def channels(self, port: Port) -> int:
        """The channels of a map [N, C, H, W], as the file states them."""
        shape = self.shape(port)
        if len(shape) != 4:
            name = self.network.layers[port[0]].name
            raise self.refused(f"{name} has the shape {list(shape)}")
        return shape[1]

    def is_constant(self, port: Port) -> bool:
        """Whether a port is a constant."""
        return port[0] in self.network.tensors

    def constant(self, port: Port, axes: int | None = None) -> Any:
        """The constant that a port is."""
        name = self.network.layers[port[0]].name
        if not self.is_constant(port):
            raise self.refused(f"{name} is no constant")
        tensor = self.network.tensors[port[0]]
        if axes is not None and len(tensor.shape) != axes:
            raise self.refused(f"{name} has the shape {list(tensor.shape)}")
        return tensor

    def values(self, port: Port, want: Sequence[float]) -> None:
        """Checks that a port is a constant of these values, whatever its shape."""
        tensor = self.constant(port)
        fits = tensor.size == len(want) and np.allclose(
            as_array(tensor).reshape(-1), want, rtol=CLOSE, atol=0
        )
        if not fits:
            name = self.network.layers[port[0]].name
            raise self.refused(f"{name} is none of this network's numbers")

    def dense(self, port: Port, name: str) -> Port:
        """Names weight and bias of a dense layer; gives what goes in."""
        total = self.layer(port, "Add", 2)
        product = self.layer(
            total.inputs[0], "MatMul", 2, transpose_a="false", transpose_b="true"
        )
        bias = total.inputs[1]
        if self.network.layers[bias[0]].kind == "Reshape":
            bias = self.layer(bias, "Reshape", 2).inputs[0]
        self.state[f"{name}.weight"] = self.constant(product.inputs[1], 2)
        self.state[f"{name}.bias"] = self.constant(bias)
        return product.inputs[0]

    def leaky(self, port: Port) -> Port:
        """A leaky ReLU of slope 0.2."""
        layer = self.layer(port, "PReLU", 2)
        self.values(layer.inputs[1], [0.2])
        return layer.inputs[0]

    def begin(self, port: Port) -> None:
        """Checks that a port is the graph's input."""
        self.layer(port, "Parameter", 0)

    def refused(self, why: str) -> UserError:
        return UserError(
            f"{self._where} is an OpenVINO file of another network than "
            f"MobileStyleGAN ({printable(why[:300])}): give those of random_face."
        )


def mapping_state(network: Network, where: object) -> State:
    """The tensors of the mapping network, ``fc{i}.weight`` [O, I] and ``fc{i}.bias``.

    Raises:
        UserError: the graph is another network's.
    """
    walk = _Walk(network, where)
    port, found = walk.output(), 0
    # Behind the last layer comes the product of the input and its own size.
    while walk.is_constant(walk.layer(port, "Multiply", 2).inputs[1]):
        scaled = walk.layer(port, "Multiply", 2)
        walk.values(scaled.inputs[1], [2**0.5])
        port = walk.dense(walk.leaky(scaled.inputs[0]), f"{found}")
        found += 1
        if found > MAX_LAYERS:
            raise walk.refused("it has too many layers")
    _normalised(walk, port)
    return {
        f"fc{found - 1 - int(name.split('.')[0])}.{name.split('.')[1]}": tensor
        for name, tensor in walk.state.items()
    }


def _normalised(walk: _Walk, port: Port) -> None:
    """Checks x times (mean of x² + 1e-8) to the power of -1/2."""
    product = walk.layer(port, "Multiply", 2)
    walk.begin(product.inputs[0])
    factor = walk.layer(product.inputs[1], "Multiply", 2)
    walk.values(factor.inputs[0], [1.0])
    inverse = walk.layer(factor.inputs[1], "Power", 2)
    walk.values(inverse.inputs[1], [-1.0])
    root = walk.layer(inverse.inputs[0], "Power", 2)
    walk.values(root.inputs[1], [0.5])
    total = walk.layer(root.inputs[0], "Add", 2)
    walk.values(total.inputs[1], [1e-8])
    mean = walk.layer(total.inputs[0], "ReduceMean", 2, keep_dims="true")
    walk.values(mean.inputs[1], [1])
    square = walk.layer(mean.inputs[0], "Power", 2)
    walk.values(square.inputs[1], [2.0])
    walk.begin(square.inputs[0])


def synthesis_state(network: Network, where: object) -> State:
    """The tensors of the synthesis network, by names that say what they are.

    Raises:
        UserError: the graph is another network's.
    """
    walk = _Synthesis(network, where)
    port = walk.haar(walk.output())
    total = walk.layer(port, "Add", 2)
    walk.state["to_wavelets.bias"] = walk.constant(total.inputs[1], 4)
    conv = walk.layer(total.inputs[0], "Convolution", 2, **_BARE)
    walk.state["to_wavelets.kernel"] = walk.constant(conv.inputs[1], 4)
    port = walk.modulated(conv.inputs[0], "to_wavelets.style", 1)
    number = 0
    while walk.is_separable(port):
        for i in (1, 0):
            port = walk.separable(port, f"{number}.conv{i}")
        port = walk.modulated(walk.haar(port), f"{number}.up", None)
        number += 1
        if number > MAX_LAYERS:
            raise walk.refused("it has too many blocks")
    walk.first(port)
    # Blocks were met from the last to the first.
    return {_from_the_front(name, number): t for name, t in walk.state.items()}


def _from_the_front(name: str, number: int) -> str:
    block, dot, rest = name.partition(".")
    return f"block{number - int(block)}{dot}{rest}" if block.isdigit() else name


class _Synthesis(_Walk):
    """The parts of the synthesis network."""

    def is_separable(self, port: Port) -> bool:
        """Whether a map comes from a 1x1 convolution, and so from a block."""
        conv = self.layer(self._behind(port)[0], "Convolution", 2)
        return tuple(self.constant(conv.inputs[1], 4).shape[2:]) == (1, 1)

    def separable(self, port: Port, name: str) -> Port:
        """A convolution of each channel, one of 1x1, and what follows."""
        conv = self._finished(port, name, _BARE)
        self.state[f"{name}.pointwise"] = self.constant(conv.inputs[1], 4)
        each = self.layer(conv.inputs[0], "GroupConvolution", 2, **_PADDED)
        self.state[f"{name}.depthwise"] = self.constant(each.inputs[1], 5)
        return self.modulated(each.inputs[0], f"{name}.style", 9)

    def first(self, port: Port) -> None:
        """The convolution of the learned constant."""
        conv = self._finished(port, "first", _PADDED)
        self.state["first.kernel"] = self.constant(conv.inputs[1], 4)
        port = self.modulated(conv.inputs[0], "first.style", 9)
        # Repeated for every picture, by shapes that follow from the latent's.
        if self.network.layers[port[0]].kind == "Tile":
            port = self.layer(port, "Tile", 2).inputs[0]
        if self.network.layers[port[0]].kind == "Broadcast":
            port = self.layer(port, "Broadcast", 2).inputs[0]
        self.state["const"] = self.constant(port, 4)

    def modulated(self, port: Port, name: str, taps: int | None) -> Port:
        """A map times its style; gives the map.

        Args:
            port: the product.
            name: of the style's dense layer.
            taps: the style is divided by the root of as many times the channels; None
                where it is not divided.
        """
        product = self.layer(port, "Multiply", 2)
        style, x = product.inputs
        if taps is not None:
            scaled = self.layer(style, "Multiply", 2)
            fan_in = max(1, taps * self.channels(port))
            self.values(scaled.inputs[1], [fan_in**-0.5])
            style = scaled.inputs[0]
        shaped = self.layer(style, "Reshape", 2)
        begin = self.dense(shaped.inputs[0], name)
        self.begin(begin)
        return x

    def haar(self, port: Port) -> Port:
        """The inverse Haar transform; gives the map of sub-bands."""
        left, right = self._halves(port, "1,2")
        low, vertical = self._halves(left, "2,1")
        horizontal, diagonal = self._halves(right, "2,1")
        bands = self.layer(low, "VariadicSplit", 3)
        number = self.channels(low)
        self.values(bands.inputs[1], [1])
        self.values(bands.inputs[2], [number, 3 * number])
        for place, band in enumerate((vertical, horizontal, diagonal)):
            squeezed = self.layer(band, "Squeeze", 2)
            self.values(squeezed.inputs[1], [2])
            details = self.layer(squeezed.inputs[0], "VariadicSplit", 3)
            self.values(details.inputs[1], [2])
            self.values(details.inputs[2], [1, 1, 1])
            if self.place(squeezed.inputs[0]) != place:
                raise self.refused(f"{squeezed.name} is another sub-band")
            shaped = self.layer(details.inputs[0], "Reshape", 2)
            whole = shaped.inputs[0]
            fits = self.shape(details.inputs[0])[1:3] == (number, 3)
            if not fits or (whole[0], self.place(whole)) != (low[0], 1):
                raise self.refused(f"{shaped.name} has other sub-bands")
        if self.place(low) != 0:
            raise self.refused(f"{bands.name} gives the sub-bands in another order")
        return bands.inputs[0]

    def _halves(self, port: Port, strides: str) -> tuple[Port, Port]:
        """The two maps that a doubling along one axis puts together."""
        total = self.layer(port, "Add", 2)
        found = []
        for sign, half in zip((1, -1), total.inputs, strict=True):
            spread = self.layer(
                half,
                "GroupConvolutionBackpropData",
                2,
                **{**_BARE, "strides": strides, "output_padding": "0,0"},
            )
            kernel = self.constant(spread.inputs[1], 5)
            size = [int(n) for n in strides.split(",")]
            if list(kernel.shape[1:]) != [1, 1, *size]:
                raise self.refused(f"{spread.name} has another kernel")
            want = [0.5**0.5, sign * 0.5**0.5] * int(kernel.shape[0])
            self.values(spread.inputs[1], want)
            found.append(spread.inputs[0])
        return found[0], found[1]

    def _behind(self, port: Port) -> tuple[Port, Port, Port]:
        """What comes before noise, bias and leaky ReLU; the noise and the bias."""
        biased = self.layer(self.leaky(port), "Add", 2)
        noisy = self.layer(biased.inputs[0], "Add", 2)
        return (*noisy.inputs, biased.inputs[1])

    def _finished(self, port: Port, name: str, settings: Mapping[str, str]) -> Layer:
        """The convolution of a layer, whose noise and bias are named."""
        conv, noise, bias = self._behind(port)
        self.state[f"{name}.noise"] = self.constant(noise, 4)
        self.state[f"{name}.bias"] = self.constant(bias, 4)
        return self.layer(conv, "Convolution", 2, **settings)
