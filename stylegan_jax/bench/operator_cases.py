"""The differentiable operators of a network, with the shapes of its real layers."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.errors import UsageError
from stylegan_jax.models.stylegan2.discriminator import minibatch_std
from stylegan_jax.ops import (
    bias_act,
    conv2d,
    downsample2d,
    filter2d,
    modulated_conv2d,
    upsample2d,
)
from stylegan_jax.ops.modulated_conv2d import arg_specs
from stylegan_jax.ops.modulated_conv2d.arg_specs import ArgSpec
from stylegan_jax.ops.modulated_conv2d.table import KERNELS

FORWARD, GRADIENT, SECOND = "forward", "gradient", "second"
ORDERS = (FORWARD, GRADIENT, SECOND)

_FILTER = (0.125, 0.375, 0.375, 0.125)
# Width of w and z, images in a group of the minibatch statistics.
_W_DIM, _GROUP = 512, 4


@dataclasses.dataclass(frozen=True)
class Case:
    """An operator at the shapes of one layer.

    Attributes:
        name: such as ffhq1024/b64/conv0; the discriminator's begin with d.
        function: ``function(x, *rest)``; differentiable in all of them.
        make: gives (x, *rest).
        flops: of one forward pass.
        bilinear: whether weights are multiplied with x: then the gradient has two more
            passes of the same arithmetic, and else one.
        bends: whether the derivative depends on x, through an activation: the backward
            pass then needs the forward one.
        curved: whether the second derivative with respect to x is not 0.
    """

    name: str
    function: Callable[..., jax.Array]
    make: Callable[[], tuple[jax.Array, ...]]
    flops: float
    bilinear: bool = True
    bends: bool = False
    curved: bool = False

    def program(self, order: str) -> Callable[..., Any]:
        """The function of (v, x, *rest) that is timed; v has the result's shape."""
        if order == FORWARD:
            return lambda v, *arguments: self.function(*arguments)
        return self._gradient if order == GRADIENT else self._second

    def _gradient(self, v: jax.Array, *arguments: jax.Array) -> Any:
        """The result, and the gradients of <result, v> in every argument."""
        y, backward = jax.vjp(self.function, *arguments)
        return y, backward(v)

    def _second(self, v: jax.Array, *arguments: jax.Array) -> Any:
        """Gradients of the squared norm of the gradient in x, as R1 takes them."""

        def penalty(v: jax.Array, x: jax.Array, *rest: jax.Array) -> jax.Array:
            _, backward = jax.vjp(lambda y: self.function(y, *rest), x)
            return jnp.sum(jnp.square(backward(v)[0].astype(jnp.float32)))

        wanted = [i for i in range(1 + len(arguments)) if i != 1 or self.curved]
        return jax.grad(penalty, argnums=tuple(wanted))(v, *arguments)

    def passes(self, order: str) -> int:
        """How often the forward pass's arithmetic is needed, at the least."""
        if order == FORWARD:
            return 1
        if order == GRADIENT:
            return 3 if self.bilinear else 2
        return (3 if self.bilinear else 2) + self.bends

    def bytes(self, order: str, x: int, rest: int, y: int) -> int:
        """What the passes must read and write when each array is moved once a pass.

        Args:
            order: one of `ORDERS`.
            x: bytes of x.
            rest: of the other arguments.
            y: of the result.
        """
        forward, mask = x + rest + y, y * self.bends
        if order == FORWARD:
            return forward
        if order == GRADIENT:
            # Reads v, x, the rest and the mask; writes their gradients.
            return forward + (y + x + rest + mask) + (x + rest)
        # The gradient u in x from v; then v's and the rest's gradients from u and v.
        first = y + rest + mask + x
        then = x + y + rest + mask + y + rest
        return forward * self.bends + first + then


def cases(
    network: str, *, batch: int, dtype: str, platform: str
) -> Iterator[tuple[str, Case]]:
    """The operators of a network's generator and discriminator.

    Args:
        network: a name of ``arg_specs.specs``, such as ffhq256.
        batch: images.
        dtype: of the activations, ``float32`` or ``bfloat16``.
        platform: such as cuda; decides the implementations.

    Yields:
        Name of the implementation, and the case.

    Raises:
        UsageError: for an unknown network.
    """
    if network not in arg_specs.NETWORKS:
        raise UsageError(
            f"--network {network} is unknown: choose {', '.join(arg_specs.NETWORKS)}."
        )
    specs = arg_specs.specs(network, batch=batch, dtype=dtype)
    for name, spec in specs.items():
        for implementation in implementations(platform):
            yield implementation, _modulated(name, spec, implementation)
    channels = _channels(specs)
    shared = _Builder(network, batch, jnp.dtype(dtype))
    top = max(channels)
    for side, width in sorted(channels.items()):
        yield "xla", shared.bias_act(side, width)
        if side > min(channels):
            yield "xla", shared.upsample_image(side)
    for side, width in sorted(channels.items(), reverse=True):
        if side == top:
            yield "xla", shared.conv(side, "fromrgb", 1, 3, width)
        if side == min(channels):
            yield from (("xla", case) for case in shared.epilogue(side, width))
        else:
            after = channels[side // 2]
            yield "xla", shared.conv(side, "conv0", 3, width, width)
            yield "xla", shared.conv(side, "conv1", 3, width, after, down=2)
            yield "xla", shared.conv(side, "skip", 1, width, after, down=2)
            yield "xla", shared.filter(side, width)
            yield "xla", shared.downsample(side, width)
    yield "xla", shared.dense("mapping/fc", _W_DIM, _W_DIM)


def implementations(platform: str) -> list[str]:
    """What may run a modulated convolution on a platform.

    Kernels of another platform would be interpreted, and their time mean nothing.
    """
    return ["xla", *(name for name, own in KERNELS.items() if own == platform)]


def _channels(specs: Mapping[str, ArgSpec]) -> dict[int, int]:
    """Channels by side, as the second layer of every block has them."""
    return {
        spec.x[1]: spec.w[3] for name, spec in specs.items() if name.endswith("conv1")
    }


def _modulated(name: str, spec: ArgSpec, implementation: Any) -> Case:
    names = ["x", "w", "styles", *(["noise"] if spec.noise else []), "bias"]

    def function(*arguments: jax.Array) -> jax.Array:
        call: dict[str, Any] = dict(zip(names, arguments, strict=True))
        return modulated_conv2d(**call, **spec.options(), implementation=implementation)

    def make() -> tuple[jax.Array, ...]:
        arrays = arg_specs.make(spec, 0)
        return tuple(arrays[n] for n in names)

    bends = spec.act != "linear" or spec.clamp is not None
    return Case(name, function, make, float(spec.flops), bends=bends)


@dataclasses.dataclass(frozen=True)
class _Builder:
    """Makes the cases that are no modulated convolutions."""

    network: str
    batch: int
    dtype: Any

    def conv(
        self, side: int, layer: str, size: int, inputs: int, outputs: int, down: int = 1
    ) -> Case:
        options: dict[str, Any] = {"down": 2, "resample_filter": _FILTER}
        pixels = self.batch * (side // down) ** 2
        return Case(
            f"{self.network}/d/b{side}/{layer}",
            functools.partial(conv2d, **(options if down == 2 else {})),
            self._maker((side, side, inputs), (size, size, inputs, outputs)),
            2.0 * pixels * size**2 * inputs * outputs,
        )

    def bias_act(self, side: int, width: int) -> Case:
        return Case(
            f"{self.network}/b{side}/bias_act",
            functools.partial(bias_act, act="lrelu"),
            self._maker((side, side, width), (width,)),
            4.0 * self.batch * side**2 * width,
            bilinear=False,
            bends=True,
        )

    def upsample_image(self, side: int) -> Case:
        # Two of the four taps meet a pixel that is not a zero, along each axis.
        return Case(
            f"{self.network}/b{side}/upsample",
            functools.partial(upsample2d, f=_FILTER),
            self._maker((side // 2, side // 2, 3)),
            2.0 * 2 * self.batch * 3 * (side * side // 2 + side * side),
            bilinear=False,
        )

    def downsample(self, side: int, width: int) -> Case:
        return Case(
            f"{self.network}/d/b{side}/downsample",
            functools.partial(downsample2d, f=_FILTER),
            self._maker((side, side, width)),
            2.0 * 4 * self.batch * width * (side * side // 2 + side * side // 4),
            bilinear=False,
        )

    def filter(self, side: int, width: int) -> Case:
        """The low-pass filter in front of a strided convolution."""
        wide = side + 1
        return Case(
            f"{self.network}/d/b{side}/filter",
            functools.partial(filter2d, f=_FILTER, padding=1),
            self._maker((side, side, width)),
            2.0 * 4 * self.batch * width * (wide * side + wide * wide),
            bilinear=False,
        )

    def dense(self, layer: str, inputs: int, outputs: int) -> Case:
        def function(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
            return bias_act(x @ w, b, act="lrelu")

        return Case(
            f"{self.network}/{layer}",
            function,
            # Mapping, styles and the discriminator's end are always in float32.
            self._maker((inputs,), (inputs, outputs), (outputs,), dtype=jnp.float32),
            2.0 * self.batch * inputs * outputs,
            bends=True,
        )

    def epilogue(self, side: int, width: int) -> Iterator[Case]:
        name = f"{self.network}/d/b{side}"
        yield Case(
            f"{name}/mbstd",
            functools.partial(minibatch_std, group_size=_GROUP),
            self._maker((side, side, width), dtype=jnp.float32),
            5.0 * self.batch * side**2 * width,
            bilinear=False,
            bends=True,
            curved=True,
        )
        yield Case(
            f"{name}/conv",
            conv2d,
            self._maker(
                (side, side, width + 1), (3, 3, width + 1, width), dtype=jnp.float32
            ),
            2.0 * self.batch * side**2 * 9 * (width + 1) * width,
        )
        yield self.dense(f"d/b{side}/fc", side * side * width, width)

    def _maker(
        self, x: tuple[int, ...], *rest: tuple[int, ...], dtype: Any = None
    ) -> Callable[[], tuple[jax.Array, ...]]:
        """Draws x [batch, *x] and the other arrays."""
        shapes = [(self.batch, *x), *rest]
        return lambda: _normals(shapes, dtype or self.dtype)


def _normals(shapes: list[tuple[int, ...]], dtype: Any) -> tuple[jax.Array, ...]:
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.standard_normal(s, np.float32), dtype) for s in shapes)
