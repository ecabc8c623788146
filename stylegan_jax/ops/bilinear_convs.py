"""Three kinds of 3x3 convolution as bilinear operators closed under differentiation.

StyleGAN2 needs first and second derivatives (R1, path length). XLA's own derivatives of
strided and dilated convolutions run through a naive loop on a CPU, some 200 times too
slow, and its second derivatives fall into it even where the first do not. Each operator
here is linear in both arguments, and the derivative of each is another of them:

    same(x, w)   dx: same(g, flip(w)^T)    dw: same_wgrad(x, g)
    down(x, w)   dx: up(g, w^T)            dw: down_wgrad(x, g)
    up(x, w)     dx: down(g, w^T)          dw: down_wgrad(g, x)^T

so every derivative, of any order, is one of five forward passes, each written in the
form that is fastest on the backend. Forward-mode differentiation is not defined.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from stylegan_jax.ops import winograd

_NHWC = ("NHWC", "HWIO", "NHWC")
# x [N,H,W,I] and g [N,H,W,O] as image and kernel of a convolution over (H, W) that sums
# over N: the weight gradient [k,l,I,O].
_WEIGHT_GRADIENT = ("CHWN", "IHWO", "HWNC")


@jax.custom_vjp
def same(x: jax.Array, w: jax.Array) -> jax.Array:
    """Correlates [N,H,W,I] with w [3,3,I,O] at stride 1, zero padding 1."""
    return lax.platform_dependent(x, w, cpu=_same_cpu, default=_same_conv)


@jax.custom_vjp
def same_wgrad(x: jax.Array, g: jax.Array) -> jax.Array:
    """Gradient of <same(x, w), g> with respect to w: [3,3,I,O]."""
    return lax.platform_dependent(x, g, cpu=_same_wgrad_cpu, default=_same_wgrad_conv)


@jax.custom_vjp
def down(x: jax.Array, w: jax.Array) -> jax.Array:
    """Correlates [N,2h+1,2w+1,I] with w [3,3,I,O] at stride 2: [N,h,w,O]."""
    return lax.platform_dependent(x, w, cpu=_down_cpu, default=_down_conv)


@jax.custom_vjp
def down_wgrad(x: jax.Array, g: jax.Array) -> jax.Array:
    """Gradient of <down(x, w), g> with respect to w: [3,3,I,O]."""
    return lax.platform_dependent(x, g, cpu=_down_wgrad_cpu, default=_down_wgrad_conv)


@jax.custom_vjp
def up(x: jax.Array, w: jax.Array) -> jax.Array:
    """Transposed convolution: y[2i+a,2j+b] += x[i,j] w[a,b], size 2h+1 x 2w+1."""
    return lax.platform_dependent(x, w, cpu=_up_cpu, default=_up_conv)


def _swap(w):
    return jnp.swapaxes(w, 2, 3)  # [k,l,O,I]


def _adjoint(w):
    return _swap(jnp.flip(w, (0, 1)))


def _save(function):
    def forward(a, b):
        return function(a, b), (a, b)

    return forward


def _match(gradients, primals):
    return tuple(g.astype(p.dtype) for g, p in zip(gradients, primals, strict=True))


def _same_bwd(res, g):
    x, w = res
    return _match((same(g, _adjoint(w)), same_wgrad(x, g)), res)


def _same_wgrad_bwd(res, v):
    x, g = res
    return _match((same(g, _adjoint(v)), same(x, v)), res)


def _down_bwd(res, g):
    x, w = res
    return _match((up(g, _swap(w)), down_wgrad(x, g)), res)


def _down_wgrad_bwd(res, v):
    x, g = res
    return _match((up(g, _swap(v)), down(x, v)), res)


def _up_bwd(res, g):
    x, w = res
    return _match((down(g, _swap(w)), _swap(down_wgrad(g, x))), res)


same.defvjp(_save(same), _same_bwd)
same_wgrad.defvjp(_save(same_wgrad), _same_wgrad_bwd)
down.defvjp(_save(down), _down_bwd)
down_wgrad.defvjp(_save(down_wgrad), _down_wgrad_bwd)
up.defvjp(_save(up), _up_bwd)


# Forms for accelerators: one library convolution each.


def _same_conv(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=_NHWC)


def _same_wgrad_conv(x, g):
    pad = ((1, 1), (1, 1))
    return lax.conv_general_dilated(
        x, g, (1, 1), pad, dimension_numbers=_WEIGHT_GRADIENT
    )


def _down_conv(x, w):
    return lax.conv_general_dilated(x, w, (2, 2), "VALID", dimension_numbers=_NHWC)


def _down_wgrad_conv(x, g):
    return lax.conv_general_dilated(
        x, g, (1, 1), "VALID", rhs_dilation=(2, 2), dimension_numbers=_WEIGHT_GRADIENT
    )


def _up_conv(x, w):
    return lax.conv_general_dilated(
        x,
        jnp.flip(w, (0, 1)),
        (1, 1),
        ((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=_NHWC,
    )


# Forms for a CPU: Winograd's, and matrix products over shifted views.


def _same_cpu(x, w):
    # Measured on 2 AVX-512 cores, 8 pictures: 2.9 times as quick as XLA's convolution
    # at 64x64 with 512 channels, 1.6 at 16x16, 2.1 and 1.2 with 256 and 128 channels at
    # 64x64; slower with fewer channels (0.7 with 64 at 256x256) or fewer tiles (0.8 at
    # 8x8), where the transforms cost more than the products.
    height, width = x.shape[1:3]
    if _takes_winograd(x.shape[:3], w):
        return winograd.correlate(x, w, height, width)
    return _same_conv(x, w)


def _takes_winograd(places, w, least=128):
    """Whether it pays for a kernel that is laid on places (N, H, W).

    ``least`` is the number of channels that each side must have.
    """
    # It takes a second to compile, and an encoder has fifty small convolutions: below
    # 4 GFLOP it saves some 10 ms a call.
    flops = 2 * math.prod(places) * math.prod(w.shape)
    enough = flops >= 4e9 and winograd.tiles(places) >= 96
    return enough and w.dtype == jnp.float32 and min(w.shape[2:]) >= least


def _views(x, stride, height, width):
    """The nine shifted views of x that meet the taps of a 3x3 kernel, row by row."""
    rows, cols = stride * (height - 1) + 1, stride * (width - 1) + 1
    return [
        x[:, a : a + rows : stride, b : b + cols : stride]
        for a in range(3)
        for b in range(3)
    ]


def _dot(x, w):
    # Sums over taps stay in float32 when the operands are narrower.
    return jnp.dot(x, w, preferred_element_type=jnp.float32)


def _wgrad_dot(view, g):
    return jnp.einsum("nhwi,nhwo->io", view, g, preferred_element_type=jnp.float32)


def _wgrad_taps(views, g):
    """[3,3,I,O] from nine views [N,h,w,I] and g [N,h,w,O]."""
    inputs, outputs = views[0].shape[3], g.shape[3]
    if g.shape[1] * g.shape[2] <= 64:
        # Small images: one product with the nine views side by side.
        w = _wgrad_dot(jnp.concatenate(views, 3), g)
    else:
        # A sum over pixels needs one side turned. Turned once, g serves nine products;
        # left to XLA, each view is turned on its own, which takes 1.3 times as long.
        turned = jnp.transpose(g, (3, 0, 1, 2)).reshape(outputs, -1)
        turned = lax.optimization_barrier(turned)
        w = jnp.stack([_dot(turned, v.reshape(-1, inputs)) for v in views])
        w = jnp.swapaxes(lax.optimization_barrier(w), 1, 2)
    return w.reshape(3, 3, inputs, outputs).astype(g.dtype)


def _same_wgrad_cpu(x, g):
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    # As above: 7.5 times as quick at 64x64 with 512 channels, 1.7 at 16x16, 2.5 with
    # 128 at 64x64; with 64 channels 0.7 there and 2.3 at 256x256.
    least = 64 if winograd.tiles(g.shape) >= 8192 else 128
    if _takes_winograd(g.shape[:3], _kernel(x, g), least):
        return winograd.weight_gradient(x, g)
    # Measured on 2 AVX-512 cores: the convolution is 1.3 to 4 times faster except for
    # tiny images (2.5 times slower at 4x4) and for large ones with many channels.
    if height * width > 64 and (height < 128 or channels < 128):
        return _same_wgrad_conv(x, g)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return _wgrad_taps(_views(padded, 1, height, width), g)


def _kernel(x, g):
    """Shape and dtype of the kernel between x and g."""
    return jax.ShapeDtypeStruct((3, 3, x.shape[3], g.shape[3]), x.dtype)


def _down_cpu(x, w):
    # Measured as above: 1.5 times as quick at 32x32 places with 512 channels, as is the
    # adjoint, and the weight gradient 1.3 times; 1.4, 1.3 and 1.1 at 16x16; slower at
    # 8x8 and with 64 channels.
    height, width = (x.shape[1] - 1) // 2, (x.shape[2] - 1) // 2
    if _takes_winograd((x.shape[0], height, width), w):
        return winograd.correlate(x, w, height, width, winograd.HALF)
    return _down_taps(x, w)


def _up_cpu(x, w):
    if _takes_winograd(x.shape[:3], w):
        return winograd.double(x, w)
    return _up_gemm(x, w)


def _down_wgrad_cpu(x, g):
    if _takes_winograd(g.shape[:3], _kernel(x, g)):
        return winograd.weight_gradient(x, g, winograd.HALF)
    return _wgrad_taps(_views(x, 2, g.shape[1], g.shape[2]), g)


def _down_taps(x, w):
    height, width = (x.shape[1] - 1) // 2, (x.shape[2] - 1) // 2
    kernels = w.reshape((9,) + w.shape[2:])
    products = [_dot(v, kernels[i]) for i, v in enumerate(_views(x, 2, height, width))]
    return functools.reduce(jnp.add, products).astype(x.dtype)


def _up_gemm(x, w):
    """One product gives all nine taps at every pixel; shifted sums place them.

    A stride-2 transposed 3x3 convolution has four output phases, with 4, 2, 2 and 1
    taps, and no wasted arithmetic.
    """
    n, h, ww, inputs = x.shape
    outputs = w.shape[3]
    kernel = jnp.transpose(w, (2, 0, 1, 3)).reshape(inputs, 9 * outputs)
    taps = _dot(x, kernel).reshape(n, h, ww, 3, 3, outputs)

    def place(a, b):
        """Tap (a, b) on the grid [h+1, w+1] of its phase, shifted by its offset."""
        down_, right = a // 2, b // 2
        rows, cols = (down_, 1 - down_), (right, 1 - right)
        return jnp.pad(taps[:, :, :, a, b], ((0, 0), rows, cols, (0, 0)))

    even_even = place(0, 0) + place(2, 0) + place(0, 2) + place(2, 2)
    even_odd = place(0, 1) + place(2, 1)
    odd_even = place(1, 0) + place(1, 2)
    odd_odd = place(1, 1)
    even = jnp.stack([even_even, even_odd], 3)  # [N,h+1,w+1,2,O]
    odd = jnp.stack([odd_even, odd_odd], 3)
    y = jnp.stack([even, odd], 2).astype(x.dtype)  # [N,h+1,2,w+1,2,O]
    y = y.reshape(n, 2 * h + 2, 2 * ww + 2, outputs)
    return y[:, : 2 * h + 1, : 2 * ww + 1]
