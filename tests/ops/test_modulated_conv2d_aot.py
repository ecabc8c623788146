"""The kernels compile for chips that are not there, and the programs hold them."""

import importlib.util
import re

import jax
import jax.numpy as jnp
import pytest

from stylegan_jax.bench import targets
from stylegan_jax.ops import make_filter, modulated_conv2d
from stylegan_jax.ops.modulated_conv2d import arg_specs
from stylegan_jax.ops.modulated_conv2d.arg_specs import ArgSpec

pytestmark = pytest.mark.aot

KERNELS = {"v5e-1": "pallas_tpu", "h100": "pallas_gpu"}
CUSTOM_CALLS = {"v5e-1": "tpu_custom_call", "h100": "triton"}
MODULES = {"v5e-1": "libtpu", "h100": "jax_cuda13_plugin"}
F = make_filter([1, 3, 3, 1])


@pytest.fixture(params=KERNELS, scope="module")
def chip(request):
    """A target's name and the sharding that compiles for its first device."""
    name = request.param
    if importlib.util.find_spec(MODULES[name]) is None:
        pytest.skip(f"needs {MODULES[name]}")
    with pytest.MonkeyPatch.context() as patch:
        # libtpu reads these when it is loaded: no chip is looked for, none is locked.
        for key in ("TPU_SKIP_MDS_QUERY", "ALLOW_MULTIPLE_LIBTPU_LOAD"):
            patch.setenv(key, targets.ENVIRONMENT[key])
        device = targets.devices_of(targets.find_target(name))[0]
        yield name, jax.sharding.SingleDeviceSharding(device)


def compiled(layer, sharding, implementation, function=None):
    """A layer's program as text; ``function`` makes another of the layer's."""
    arrays = jax.eval_shape(lambda: arg_specs.make(layer, 0))
    arrays = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), arrays
    )
    options = layer.options() | {"implementation": implementation}

    def run(arrays):
        return modulated_conv2d(**arrays, **options)

    function = run if function is None else function(run)
    return jax.jit(function).lower(arrays).compile().as_text()


def spec(x, outputs, *, up=1, size=3, dtype="float32", noise=True):
    taps = F if up == 2 else ()
    w = (size, size, x[3], outputs)
    return ArgSpec(x, w, up, size == 3, noise, "lrelu", 256.0, dtype, taps)


ODD = {
    "odd": spec((2, 21, 19, 40), 72),
    "odd_up": spec((2, 21, 19, 40), 200, up=2),
    "tiny": spec((1, 5, 3, 2), 1, dtype="bfloat16"),
    "tiny_up": spec((1, 5, 3, 2), 1, up=2, dtype="bfloat16"),
    "picture": spec((2, 21, 19, 40), 3, size=1, noise=False),
}
REAL = ["b64/conv0", "b256/conv1", "b512/conv0", "b1024/conv0", "b1024/conv1"]


@pytest.mark.parametrize("layer", ODD)
def test_odd_sizes_compile(layer, chip):
    name, sharding = chip
    text = compiled(ODD[layer], sharding, KERNELS[name])
    assert CUSTOM_CALLS[name] in text


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layer", [*REAL, "b1024/torgb"])
def test_real_layers_compile(layer, dtype, chip):
    name, sharding = chip
    layers = arg_specs.specs("ffhq1024", batch=2, dtype=dtype)
    text = compiled(layers[f"ffhq1024/{layer}"], sharding, KERNELS[name])
    assert CUSTOM_CALLS[name] in text
    assert "modulated_conv2d_" in text


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_compiles_at_the_highest_precision(dtype, chip):
    name, sharding = chip
    layer = spec((2, 16, 32, 128), 128, up=2, dtype=dtype)
    with jax.default_matmul_precision("highest"):
        assert CUSTOM_CALLS[name] in compiled(layer, sharding, KERNELS[name])


def test_what_the_table_takes_is_in_the_program(chip):
    """Lowered for the chip on a machine without it, forwards and backwards."""
    name, sharding = chip
    layer = arg_specs.specs("ffhq1024", batch=8)["ffhq1024/b512/conv1"]

    def gradient(run):
        return jax.grad(lambda arrays: jnp.sum(jnp.sin(run(arrays))))

    for function, kernels in ((None, 1), (gradient, 2)):
        text = compiled(layer, sharding, None, function)
        names = re.findall(r"modulated_conv2d_same[\w.]* = ", text)
        assert len(names) >= kernels or text.count(CUSTOM_CALLS[name]) >= kernels


def test_in_vmap(chip):
    name, sharding = chip
    layer = spec((2, 16, 32, 128), 128)
    text = compiled(
        layer,
        sharding,
        KERNELS[name],
        lambda run: (
            lambda arrays: jax.vmap(lambda x: run(arrays | {"x": x}))(
                jnp.stack([arrays["x"]] * 2)
            )
        ),
    )
    assert CUSTOM_CALLS[name] in text
