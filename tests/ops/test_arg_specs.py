"""The named layers are those of the networks."""

import jax
import jax.numpy as jnp
import pytest

from stylegan_jax.models.stylegan2 import Generator
from stylegan_jax.ops import modulated_conv2d
from stylegan_jax.ops.modulated_conv2d import arg_specs


def test_layers_of_ffhq1024():
    table = arg_specs.specs("ffhq1024", batch=4)
    assert len(table) == 26  # 17 convolutions, 9 torgb
    first, last = table["ffhq1024/b4/conv1"], table["ffhq1024/b1024/conv0"]
    assert (first.x, first.w, first.up) == ((4, 4, 4, 512), (3, 3, 512, 512), 1)
    assert (last.x, last.w, last.up) == ((4, 512, 512, 64), (3, 3, 64, 32), 2)
    assert last.y == (4, 1024, 1024, 32)
    rgb = table["ffhq1024/b64/torgb"]
    assert (rgb.w, rgb.demodulate, rgb.noise) == ((1, 1, 512, 3), False, False)


@pytest.mark.parametrize("name", ["ffhq64", "ffhq256e"])
def test_kernels_are_those_of_the_model(name):
    resolution, base = arg_specs.NETWORKS[name]
    model = Generator(
        num_blocks=resolution.bit_length() - 2, channel_base=base, mapping_layers=1
    )
    draw = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 512)))
    synthesis = draw["params"]["synthesis"]
    kernels = {
        f"{name}/{block}/{layer}": tuple(leaves["weight"].shape)
        for block, layers in synthesis.items()
        for layer, leaves in layers.items()
        if layer != "const"
    }
    assert kernels == {k: spec.w for k, spec in arg_specs.specs(name).items()}


def test_work_and_floor_of_a_layer():
    spec = arg_specs.specs("ffhq256", batch=8)["ffhq256/b256/conv0"]
    assert spec.flops == 2 * 8 * 128 * 128 * 9 * 256 * 128
    assert spec.floor_bytes == 4 * (
        8 * 128 * 128 * 256 + 8 * 256 * 256 * 128 + 9 * 256 * 128
    )


def test_arguments_fit_the_operator():
    for spec in arg_specs.specs("ffhq64", batch=1, dtype="bfloat16").values():
        assert spec.clamp == 256.0
        arrays = jax.eval_shape(lambda spec=spec: arg_specs.make(spec, 0))
        y = jax.eval_shape(
            lambda arrays, spec=spec: modulated_conv2d(**arrays, **spec.options()),
            arrays,
        )
        assert (y.shape, y.dtype) == (spec.y, jnp.bfloat16)


def test_arguments_repeat_with_their_seed():
    spec = arg_specs.specs("ffhq64", batch=1)["ffhq64/b8/conv0"]
    one, two, other = (arg_specs.make(spec, seed) for seed in (1, 1, 2))
    for key in ("x", "w", "styles", "noise", "bias"):
        assert jnp.array_equal(one[key], two[key])
        assert not jnp.array_equal(one[key], other[key])


def test_refuses_an_unknown_network():
    with pytest.raises(ValueError, match="No network is named 'ffhq2048', choose"):
        arg_specs.specs("ffhq2048")
