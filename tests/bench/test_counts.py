import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.experimental import pallas as pl

from stylegan_jax.bench import counts
from stylegan_jax.bench.counts import Product
from stylegan_jax.ops import bilinear_convs

X, W = jnp.ones((2, 9, 8, 4)), jnp.ones((3, 3, 4, 6))
SQUARE = jnp.ones((16, 16))
PLAIN = Product("float32", "default")


def counted(f, *args, platform="cpu"):
    return counts.count(jax.jit(f).trace(*args).jaxpr, platform)


def conv(x, w, strides=(1, 1), padding="SAME", **options):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=numbers, **options
    )


CONVOLUTIONS = {
    "same": conv,
    "strided": functools.partial(conv, strides=(2, 2), padding="VALID"),
    "padded unevenly": functools.partial(conv, padding=((0, 2), (3, 1))),
    "spread": functools.partial(conv, padding=((2, 2), (2, 2)), lhs_dilation=(2, 2)),
    "apart": functools.partial(conv, padding="VALID", rhs_dilation=(2, 3)),
    "in groups": lambda x, w: conv(
        x, w[:, :, :2], padding="SAME", feature_group_count=2
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_count_as_xla_counts_them(name):
    f = CONVOLUTIONS[name]
    compiled = jax.jit(f).lower(X, W).compile()
    found = counted(f, X, W)
    assert found.flops == compiled.cost_analysis()["flops"]
    assert set(found.products) == {PLAIN}


def test_a_product_counts_two_operations_for_each_pair():
    found = counted(lambda a, b: jnp.einsum("bij,bkj->bik", a, b),
                    jnp.ones((3, 4, 5)), jnp.ones((3, 7, 5)))  # fmt: skip
    assert found.products == {PLAIN: 2 * 3 * 4 * 5 * 7}


def test_number_format_and_precision_are_told_apart():
    half = SQUARE.astype(jnp.bfloat16)

    def f(x, h):
        precise = jnp.dot(x, x, precision="highest")
        return precise + jnp.dot(x, x, precision="high") + jnp.dot(h, h)

    each = 2 * 16**3
    assert counted(f, SQUARE, half).products == {
        Product("float32", "highest"): each,
        Product("float32", "high"): each,
        Product("bfloat16", "default"): each,
    }


def test_the_precision_of_the_context_counts():
    with jax.default_matmul_precision("tensorfloat32"):
        found = counted(lambda x: x @ x, SQUARE)
    assert set(found.products) == {Product("float32", "high")}


def test_what_no_result_needs_is_left_out():
    def f(x):
        unused = jax.jit(lambda y: (y @ y, y @ y @ y))(x)
        return unused[0]

    assert counted(f, SQUARE).flops == 2 * 16**3


def test_a_scan_counts_its_rounds_and_a_while_loop_is_told():
    def scanned(x):
        return lax.scan(lambda c, _: (c @ c, None), x, length=7)[0]

    def looped(x):
        return lax.while_loop(lambda c: jnp.sum(c) < 9, lambda c: c @ c, x)

    assert counted(scanned, SQUARE).products == {PLAIN: 7 * 2 * 16**3}
    found = counted(looped, SQUARE)
    assert found.unknown_loops == 1 and found.products == {PLAIN: 2 * 16**3}


def test_of_branches_the_costliest_counts():
    def f(x):
        branches = (lambda y: y, lambda y: y @ y, lambda y: y + y)
        return lax.switch(jnp.int32(0) + x[0, 0].astype(int), branches, x)

    assert counted(f, SQUARE).products == {PLAIN: 2 * 16**3}


@pytest.mark.parametrize(("platform", "products"), [("cpu", 2), ("tpu", 1)])
def test_the_form_of_the_platform_counts(platform, products):
    def f(x):
        return lax.platform_dependent(
            x, cpu=lambda y: y @ y @ y, default=lambda y: y @ y
        )

    found = counted(f, SQUARE, platform=platform)
    assert found.products == {PLAIN: products * 2 * 16**3}


def test_custom_derivatives_and_remat_are_followed():
    def loss(w):
        return jnp.sum(jnp.square(jax.checkpoint(bilinear_convs.same)(X, w)))

    forward = counts.convolution_flops(
        X.shape,
        W.shape,
        (2, 9, 8, 6),
        {
            "dimension_numbers": lax.conv_dimension_numbers(
                X.shape, W.shape, ("NHWC", "HWIO", "NHWC")
            ),
            "padding": ((1, 1), (1, 1)),
            "window_strides": (1, 1),
            "lhs_dilation": (1, 1),
            "rhs_dilation": (1, 1),
        },
    )
    # Forward and the weights' gradient; the input's gradient is not needed.
    found = counted(jax.grad(loss), W, platform="tpu")
    assert sum(found.products.values()) == 2 * forward


def test_second_derivatives_are_counted():
    def penalty(w):
        gradient = jax.grad(lambda x: jnp.sum(jnp.square(conv(x, w))))(X)
        return jnp.sum(jnp.square(gradient))

    f = jax.grad(penalty)
    compiled = jax.jit(f).lower(W).compile()
    assert counted(f, W).flops == pytest.approx(
        compiled.cost_analysis()["flops"], rel=0.02
    )


def kernel(x_ref, o_ref):
    o_ref[...] = jnp.dot(x_ref[...], x_ref[...])


def call(x, estimate=None):
    block = pl.BlockSpec((16, 16), lambda i: (i, 0))
    return pl.pallas_call(
        kernel,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        grid=(x.shape[0] // 16,),
        in_specs=[block],
        out_specs=block,
        cost_estimate=estimate,
    )(x)


def test_a_kernel_counts_by_its_own_estimate():
    estimate = pl.CostEstimate(flops=1000, bytes_accessed=77, transcendentals=0)
    found = counted(lambda x: call(x, estimate) + 1, jnp.ones((64, 16)))
    assert found.products == {PLAIN: 1000}
    assert (found.kernels, found.kernel_bytes) == (1, 77)


def test_a_kernel_without_an_estimate_counts_its_body_over_the_grid():
    found = counted(call, jnp.ones((64, 16)))
    assert found.products == {PLAIN: 4 * 2 * 16**3}
    assert (found.kernels, found.kernel_bytes) == (1, 2 * 64 * 16 * 4)


def test_elementwise_operations_count_once_for_each_element():
    found = counted(lambda x: jnp.tanh(x) * 2 + jnp.sum(x), SQUARE)
    assert found.products == {}
    assert found.elementwise == 4 * 256


def test_barriers_compute_nothing():
    traced = jax.jit(lambda x: lax.optimization_barrier(x)).trace(jnp.zeros(1000))
    assert counts.count(traced.jaxpr, "cuda").flops == 0
