"""Fused kernels, their bodies interpreted on a CPU, against XLA's form."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from jax.test_util import check_grads

from stylegan_jax.ops import make_filter, modulated_conv2d
from stylegan_jax.ops.modulated_conv2d import (
    arg_specs,
    explain,
    pallas_gpu,
    pallas_tpu,
    traffic,
)
from stylegan_jax.ops.modulated_conv2d.arg_specs import ArgSpec
from stylegan_jax.ops.modulated_conv2d.problem import Epilogue, Problem

KERNELS = ["pallas_tpu", "pallas_gpu"]
F = make_filter([1, 3, 3, 1])
# In float32 to a few roundings of a sum. Against float32, a bfloat16 result has its
# operands' and its own roundings of 2^-9 and the sum of theirs, a random walk.
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}


def spec(x, outputs, *, size=3, up=1, dtype="float32", **extra):
    """A layer of any size; by default all that a layer can have."""
    layer = {"demodulate": True, "noise": True, "act": "lrelu", "clamp": 2.0} | extra
    w = (size, size, x[3], outputs)
    return ArgSpec(
        x=x, w=w, up=up, dtype=dtype, resample_filter=F if up == 2 else (), **layer
    )


PICTURE = {"size": 1, "noise": False, "act": "linear", "demodulate": False}
# Odd sizes; several bands of rows, the last one not whole; more channels than lanes;
# pixels in groups that fill the lanes; a picture.
LAYERS = {
    "odd": spec((2, 5, 7, 5), 4),
    "odd_up": spec((2, 5, 7, 5), 4, up=2),
    "bands": spec((1, 36, 8, 3), 2, clamp=None),
    "bands_up": spec((1, 36, 8, 3), 2, up=2, demodulate=False),
    "wide": spec((1, 2, 8, 4), 130, noise=False),
    "wide_up": spec((1, 2, 8, 4), 130, up=2, act="linear"),
    "groups": spec((1, 3, 12, 32), 32),
    "groups_up": spec((1, 3, 6, 64), 32, up=2),
    "single_up": spec((1, 2, 3, 128), 64, up=2),
    "picture": spec((2, 3, 7, 5), 3, **PICTURE),
    "picture_of_groups": spec((2, 3, 16, 32), 3, **PICTURE),
}
LOW = ["odd_up", "groups", "picture"]
# On a GPU, several programs to an image and to the channels; there are no groups.
GPU = ["odd", "odd_up", "bands_up", "wide", "picture"]
CASES = [(name, "float32", "pallas_tpu") for name in LAYERS]
CASES += [(name, "bfloat16", "pallas_tpu") for name in LOW]
CASES += [(name, "float32", "pallas_gpu") for name in GPU]
CASES += [("odd", "bfloat16", "pallas_gpu")]


def arguments(layer, seed=0):
    return arg_specs.make(layer, seed)


def call(layer, implementation):
    options = layer.options() | {"implementation": implementation}
    return lambda arrays: modulated_conv2d(**arrays, **options)


def relative(y, expected):
    y, expected = np.asarray(y, np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(y - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("name, dtype, implementation", CASES)
def test_equals_xla(name, dtype, implementation):
    layer = dataclasses.replace(LAYERS[name], dtype=dtype)
    arrays = arguments(layer)
    y = jax.jit(call(layer, implementation))(arrays)
    assert (y.shape, y.dtype) == (layer.y, jnp.dtype(dtype))
    # The reference takes the same x in float32.
    arrays["x"] = arrays["x"].astype(jnp.float32)
    expected = jax.jit(call(layer, "xla"))(arrays)
    assert relative(y, expected) < TOLERANCE[dtype]


def test_float16_on_a_gpu_does_not_overflow():
    layer = spec((1, 4, 4, 16), 4, dtype="float16", clamp=None)
    arrays = arguments(layer) | {"styles": jnp.full((1, 16), 3000.0)}
    arrays["x"], arrays["w"] = arrays["x"] * 256, arrays["w"] * 100
    y = jax.jit(call(layer, "pallas_gpu"))(arrays)
    arrays["x"] = arrays["x"].astype(jnp.float32)
    assert relative(y, jax.jit(call(layer, "xla"))(arrays)) < 5e-3


@pytest.mark.parametrize(
    "name, implementation", [("odd", "pallas_tpu"), ("odd_up", "pallas_gpu")]
)
def test_gradients_of_all_arguments_equal_xlas(name, implementation):
    layer = LAYERS[name]
    arrays = arguments(layer)

    def gradients(implementation):
        layer_ = call(layer, implementation)
        return jax.jit(jax.grad(lambda arrays: jnp.sum(jnp.sin(layer_(arrays)))))

    ours, expected = (gradients(i)(arrays) for i in (implementation, "xla"))
    for key in arrays:
        assert relative(ours[key], expected[key]) < 1e-5, key


@pytest.mark.parametrize(
    "up, implementation", [(1, "pallas_tpu"), (2, "pallas_tpu"), (1, "pallas_gpu")]
)
def test_derivatives_of_order_two(up, implementation):
    layer = spec((1, 2, 3, 2), 1, up=up, act="linear", clamp=None)
    arrays = arguments(layer)

    @jax.jit
    def f(arrays):
        return jnp.sum(jnp.tanh(call(layer, implementation)(arrays)))

    check_grads(f, (arrays,), order=2, modes=["rev"], atol=2e-2, rtol=2e-2)


def test_second_derivatives_equal_xlas():
    """Path length: the gradient of a gradient's norm, through every part of a layer."""
    layer = spec((2, 3, 5, 4), 3)
    arrays = arguments(layer)

    def penalty(implementation):
        def response(arrays):
            return jnp.sum(jnp.sin(call(layer, implementation)(arrays)))

        def squares(arrays):
            gradients = jax.grad(response)(arrays)
            return sum(jnp.sum(jnp.square(g)) for g in gradients.values())

        return jax.jit(jax.grad(squares))

    ours, expected = (penalty(i)(arrays) for i in ("pallas_tpu", "xla"))
    for key in arrays:
        assert relative(ours[key], expected[key]) < 1e-4, key


@pytest.mark.parametrize("act", ["linear", "lrelu"])
def test_slope_at_zero_and_at_the_clamp(act):
    """What the backward pass reads from the result is what jax derives."""
    layer = spec((1, 2, 2, 3), 2, act=act, noise=False)
    arrays = arguments(layer)
    for scale in (0.0, 50.0):
        at = arrays | {"x": arrays["x"] * scale, "bias": arrays["bias"] * 0}

        def gradient(implementation, at=at):
            f = call(layer, implementation)
            return jax.jit(jax.grad(lambda bias: jnp.sum(f(at | {"bias": bias}))))

        ours, expected = (gradient(i)(at["bias"]) for i in ("pallas_gpu", "xla"))
        np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("implementation", KERNELS)
def test_in_vmap(implementation):
    layer = spec((1, 3, 5, 3), 2, up=2)
    arrays = [arguments(layer, seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *arrays)
    together = jax.jit(jax.vmap(call(layer, implementation)))(stacked)
    for y, one in zip(together, arrays, strict=True):
        assert relative(y, jax.jit(call(layer, "xla"))(one)) < 1e-5


def shard(f, check_vma):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows, all_ = PartitionSpec("data"), PartitionSpec()
    specs = {"x": rows, "w": all_, "styles": rows, "bias": all_, "noise": rows}
    return jax.jit(
        jax.shard_map(
            f, mesh=mesh, in_specs=(specs,), out_specs=rows, check_vma=check_vma
        )
    )


def test_in_shard_map():
    """Interpreted, a kernel cannot run under the check of what varies."""
    layer = spec((4, 3, 5, 3), 2)
    arrays = arguments(layer)

    def gradient(arrays, implementation="pallas_tpu"):
        f = call(layer, implementation)
        return jax.grad(lambda x: jnp.sum(jnp.sin(f(arrays | {"x": x}))))(arrays["x"])

    expected = jax.jit(functools.partial(gradient, implementation="xla"))(arrays)
    assert relative(shard(gradient, False)(arrays), expected) < 1e-5


@pytest.mark.parametrize("up", [1, 2])
def test_a_layer_with_kernels_for_other_chips_passes_shard_maps_check(up):
    """What a TPU would take is traced on every platform, training steps among them."""
    layer = spec((2, 2, 32, 128), 64, up=up)
    arrays = arguments(layer)
    chosen = explain(arrays["x"], arrays["w"], **layer.options())
    assert (chosen["tpu"].implementation == "pallas_tpu") == (up == 2)
    y = shard(call(layer, None), True)(arrays)
    assert relative(y, jax.jit(call(layer, "xla"))(arrays)) < 1e-5


def test_a_cpu_takes_xla_though_a_tpu_would_not():
    layer = spec((1, 2, 32, 128), 128)
    arrays = arguments(layer)
    run = jax.jit(call(layer, None))
    lowered = run.trace(arrays).lower(lowering_platforms=("cpu",)).as_text()
    assert "stablehlo.convolution" in lowered
    assert "tpu_custom_call" not in lowered
    lowered = run.trace(arrays).lower(lowering_platforms=("tpu",)).as_text()
    assert "stablehlo.convolution" not in lowered
    assert "tpu_custom_call" in lowered


def test_refusals():
    cases = [
        ("pallas_tpu", {"act": "swish"}, "activation swish"),
        ("pallas_gpu", {"gain": -1.0}, "gain -1.0"),
        ("pallas_gpu", {"up": 2, "resample_filter": (0.5, 0.5)}, "2 filter taps"),
        ("pallas_tpu", {"up": 2}, "0 filter taps instead of 4"),
    ]
    x, w, styles = jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 2)), jnp.zeros((1, 2))
    for implementation, options, reason in cases:
        with pytest.raises(NotImplementedError, match=reason):
            modulated_conv2d(x, w, styles, implementation=implementation, **options)
    tpu = functools.partial(modulated_conv2d, implementation="pallas_tpu")
    with pytest.raises(NotImplementedError, match="float16 on a TPU"):
        tpu(x.astype(jnp.float16), w, styles)
    with pytest.raises(NotImplementedError, match="1x1 kernels other than a picture's"):
        tpu(x, jnp.zeros((1, 1, 2, 9)), styles)
    with pytest.raises(NotImplementedError, match="does not fit into 32 MiB of VMEM"):
        shapes = (1, 4, 4096, 512), (3, 3, 512, 512), (1, 512)
        jax.eval_shape(tpu, *(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes))


def chosen(name, platform, **options):
    table = arg_specs.specs(name.partition("/")[0], **options)
    layer = table[name]
    x = jax.ShapeDtypeStruct(layer.x, layer.dtype)
    w = jax.ShapeDtypeStruct(layer.w, jnp.float32)
    return explain(x, w, noise=layer.noise, **layer.options())[platform]


def test_the_table_and_its_reasons():
    for name, platform, implementation, reason in [
        ("ffhq256/b256/conv0", "tpu", "pallas_tpu", "XLA moves 8 times the floor"),
        ("ffhq256/b16/conv1", "tpu", "xla", "the weights outweigh 16 columns"),
        ("ffhq256/b256/torgb", "tpu", "xla", "at the floor"),
        ("ffhq1024/b1024/torgb", "tpu", "pallas_tpu", "pixels in groups"),
        ("ffhq1024/b1024/conv1", "cuda", "pallas_gpu", "memory binds: 144 operations"),
        ("ffhq1024/b64/conv1", "cuda", "xla", "arithmetic binds: 2153 operations"),
        ("ffhq256/b8/conv1", "cuda", "xla", "fits into the L2 cache"),
        ("ffhq256/b256/conv1", "default", "xla", "no kernel for other platforms"),
    ]:
        choice = chosen(name, platform, dtype="bfloat16")
        assert choice.implementation == implementation, name
        assert reason in choice.reason


def test_float32_without_tf32_is_left_to_cudnn():
    assert chosen("ffhq256/b256/conv1", "cuda").implementation == "pallas_gpu"
    with jax.default_matmul_precision("highest"):
        assert chosen("ffhq256/b256/conv1", "cuda").implementation == "xla"


@pytest.mark.parametrize("kernel", [pallas_tpu, pallas_gpu])
def test_products_are_as_exact_as_jax_is_told(kernel):
    def precision(dtype):
        problem = Problem(
            (1, 8, 8, 4), (3, 3, 4, 4), dtype, 1, (), Epilogue(), noise=False
        )
        return kernel.configure(problem).precision

    assert precision("float32") == jax.lax.Precision.DEFAULT
    with jax.default_matmul_precision("highest"):
        assert precision("float32") == jax.lax.Precision.HIGHEST
        assert precision("bfloat16") == jax.lax.Precision.DEFAULT


def test_a_declining_kernel_is_named_with_its_reason():
    x = jax.ShapeDtypeStruct((8, 64, 64, 512), jnp.float32)
    w = jax.ShapeDtypeStruct((3, 3, 512, 512), jnp.float32)
    choice = explain(x, w, act="swish")["tpu"]
    assert choice.implementation == "xla"
    assert choice.reason == "pallas_tpu declines: activation swish"


def test_blocks_are_counted_as_they_are_copied():
    band = (1, 8, 4, 128)
    count = functools.partial(traffic.block_bytes, (2, 3), itemsize=4)
    assert count(band, lambda n, i: (n, i, 0, 0)) == 6 * 8 * 4 * 128 * 4
    assert count(band, lambda n, i: (0, 0, 0, 0)) == 8 * 4 * 128 * 4
    assert count((1, 128), lambda n, i: (n, 0)) == 2 * 128 * 4
    # The first row's halo is row 0 itself, which the second program also asks for.
    assert count((1, 1), lambda n, i: (n, max(i - 1, 0))) == 4 * 4


def test_a_kernel_declares_what_it_moves():
    layer = arg_specs.specs("ffhq256")["ffhq256/b256/conv1"]
    arrays = jax.eval_shape(lambda: arguments(layer))
    jaxpr = jax.make_jaxpr(call(layer, "pallas_tpu"))(arrays)
    costs = []

    def visit(value):
        if isinstance(value, tuple | list):
            for item in value:
                visit(item)
        for equation in getattr(getattr(value, "jaxpr", value), "eqns", ()):
            if equation.primitive.name == "pallas_call":
                costs.append(equation.params["cost_estimate"])
            for parameter in equation.params.values():
                visit(parameter)

    visit(jaxpr)
    assert costs[0].flops == layer.flops
    assert layer.floor_bytes < costs[0].bytes_accessed < 1.1 * layer.floor_bytes
