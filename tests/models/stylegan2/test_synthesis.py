"""Layers, latents and noise of the synthesis network, through ``Generator``."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import tiny_generator

from stylegan_jax.models.stylegan2.synthesis import SynthesisLayer, ToRGB, layer_noise

ARCHITECTURES = ["skip", "resnet", "orig"]
KEYS = jax.random.split(jax.random.key(3), 6)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def latents(module, n=3, seed=0):
    return noise(n, module.num_ws, module.w_dim, seed=seed)


@functools.cache
def synthesis(noise_mode="none", **fields):
    """The tiny generator's variables, and its jitted synthesis of them."""
    module, variables = tiny_generator(**fields)

    def draw(variables, w_plus, keys=None):
        return module.apply(
            variables,
            w_plus,
            noise_mode=noise_mode,
            noise_keys=keys,
            method="synthesis",
        )

    return module, variables, jax.jit(draw)


def outputs_of(module, variables, w_plus, noise_mode="none", keys=None, kind=None):
    """Results of the submodules that are called ``kind`` (None: all), by path."""

    def wanted(submodule, method):
        return method == "__call__" and kind in (None, submodule.name)

    _, state = module.apply(
        variables,
        w_plus,
        noise_mode=noise_mode,
        noise_keys=keys,
        method="synthesis",
        capture_intermediates=wanted,
        mutable=["intermediates"],
    )
    flat = flax.traverse_util.flatten_dict(state["intermediates"], sep="/")
    return {
        path.removeprefix("synthesis/").removesuffix("/__call__"): outputs[0]
        for path, outputs in flat.items()
    }


def replaced(variables, match, value):
    """Variables with every leaf whose path has ``match`` filled with ``value``."""
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    assert any(match in path for path in flat)
    filled = {
        path: np.full_like(leaf, value) if match in path else leaf
        for path, leaf in flat.items()
    }
    return flax.traverse_util.unflatten_dict(filled, sep="/")


# Which latent each layer reads: the convolutions in order, and ToRGB that of the first
# convolution above it.
LATENT_OF = {
    "b4/conv1": 0,
    "b8/conv0": 1,
    "b8/conv1": 2,
    "b16/conv0": 3,
    "b16/conv1": 4,
}
TORGB_OF = {"b4/torgb": 1, "b8/torgb": 3, "b16/torgb": 5}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_layer_reads_its_latent(architecture):
    module, variables = tiny_generator(architecture=architecture)
    expected = dict(LATENT_OF)
    for name, index in TORGB_OF.items():
        if architecture == "skip" or name == "b16/torgb":
            expected[name] = index

    @jax.jit
    def styles(w_plus):
        found = outputs_of(module, variables, w_plus, kind="affine")
        return {path.removesuffix("/affine"): y for path, y in found.items()}

    w_plus = latents(module)
    before = styles(w_plus)
    assert set(before) == set(expected)
    for k in range(module.num_ws):
        moved = w_plus.copy()
        moved[:, k] += 1.0
        after = styles(moved)
        changed = {name for name in before if np.any(before[name] != after[name])}
        assert changed == {name for name, index in expected.items() if index == k}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_latent_reaches_the_image(architecture):
    module, variables, draw = synthesis(architecture=architecture)
    w_plus = latents(module)
    image = draw(variables, w_plus)
    for k in range(module.num_ws):
        moved = w_plus.copy()
        moved[1, k] += 1.0
        change = np.abs(draw(variables, moved) - image).max((1, 2, 3))
        assert change[1] > 1e-3
        assert change[0] < 1e-5 and change[2] < 1e-5


def test_last_latent_scales_the_last_torgb_alone():
    """The image is affine in it: ToRGB does not demodulate."""
    module, variables, draw = synthesis()
    w_plus = latents(module)
    step = noise(module.w_dim, seed=1)
    images = []
    for factor in (-1.0, 0.0, 1.0):
        moved = w_plus.copy()
        moved[:, -1] += factor * step
        images.append(np.asarray(draw(variables, moved)))
    assert np.abs(images[2] - images[1]).max() > 0.1
    np.testing.assert_allclose(images[0] + images[2], 2 * images[1], atol=1e-4)


def test_architectures_are_one_network_where_the_skips_are_zero():
    module, variables, orig = synthesis(architecture="orig")
    w_plus = latents(module)
    # Without biases every layer is positively homogeneous.
    variables = replaced(variables, "/conv0/bias", 0.0)
    variables = replaced(variables, "/conv1/bias", 0.0)
    variables = replaced(variables, "/torgb/bias", 0.0)
    image = np.asarray(orig(variables, w_plus))
    assert np.abs(image).max() > 0.1

    def with_zeros(architecture, name):
        _, full, draw = synthesis(architecture=architecture)
        full = flax.traverse_util.flatten_dict(full, sep="/")
        own = flax.traverse_util.flatten_dict(variables, sep="/")
        merged = {
            path: own[path] if path in own else np.zeros_like(leaf)
            for path, leaf in full.items()
        }
        extra = {path.split("/")[3] for path in set(merged) - set(own)}
        assert extra == {name}
        return draw(flax.traverse_util.unflatten_dict(merged, sep="/"), w_plus)

    np.testing.assert_allclose(with_zeros("skip", "torgb"), image, atol=1e-5)
    # Two blocks of the resnet add two paths, each with half of the variance.
    np.testing.assert_allclose(with_zeros("resnet", "skip"), image / 2, atol=1e-5)


def test_noise_modes():
    module, variables, none = synthesis("none")
    _, _, const = synthesis("const")
    _, _, random = synthesis("random")
    w_plus = latents(module)
    silent = none(variables, w_plus)
    np.testing.assert_array_equal(const(variables, w_plus), const(variables, w_plus))
    keys = KEYS[:3]
    images = [silent, const(variables, w_plus), random(variables, w_plus, keys)]
    for i in range(3):
        for j in range(i):
            assert np.abs(images[i] - images[j]).min((1, 2)).max() > 1e-3

    # At the start of training all strengths are 0 and the modes are one.
    quiet = replaced(variables, "noise_strength", 0.0)
    for image in (const(quiet, w_plus), random(quiet, w_plus, keys)):
        np.testing.assert_allclose(image, none(quiet, w_plus), atol=1e-6)


def test_random_noise_is_its_sample_s_own():
    module, variables, draw = synthesis("random")
    w_plus = latents(module)
    image = draw(variables, w_plus, KEYS[:3])
    # The middle sample elsewhere in the batch, among others.
    others = latents(module, seed=1)
    others[0] = w_plus[1]
    moved = draw(variables, others, KEYS[jnp.asarray([1, 4, 5])])
    np.testing.assert_allclose(moved[0], image[1], atol=1e-5)
    # The same latents with another key.
    other_keys = draw(variables, w_plus, KEYS[3:])
    assert np.all(np.abs(other_keys - image).max((1, 2, 3)) > 1e-2)


def test_layer_noise():
    def draw(keys, layer):
        return np.asarray(layer_noise(keys, layer, (40, 30)))

    y = draw(KEYS, 2)
    assert y.shape == (6, 40, 30, 1)
    assert np.mean(y) == pytest.approx(0.0, abs=0.05)
    assert np.std(y) == pytest.approx(1.0, abs=0.05)
    for i, key in enumerate(KEYS):
        np.testing.assert_array_equal(y[i : i + 1], draw(key[None], 2))
    # No two images and no two layers share theirs.
    several = np.concatenate([y, draw(KEYS, 3)]).reshape(12, -1)
    correlations = np.corrcoef(several) - np.eye(12)
    assert np.abs(correlations).max() < 0.15


def test_each_layer_has_its_own_noise():
    """All else is zero, so that a layer's result is its noise."""
    module, variables = tiny_generator()
    zero = jax.tree.map(np.zeros_like, variables)
    zero = replaced(zero, "noise_strength", 1.0)
    w_plus = jnp.zeros((2, module.num_ws, module.w_dim))

    @jax.jit
    def maps(keys):
        found = outputs_of(module, zero, w_plus, "random", keys)
        layers = [y for path, y in found.items() if path in LATENT_OF]
        return [y[:, :4, :4, 0].ravel() for y in layers]

    several = np.stack(maps(KEYS[:2]))
    assert len(several) == 5
    assert len(np.unique(several.round(5))) == several.size


def test_without_noise_inputs():
    module, variables, draw = synthesis("random", use_noise=False)
    assert set(variables) == {"params", "moving_stats"}
    assert not any(
        "noise" in path for path in flax.traverse_util.flatten_dict(variables, sep="/")
    )
    image = draw(variables, latents(module))  # without keys
    np.testing.assert_array_equal(draw(variables, latents(module), KEYS[:3]), image)


def dtypes_of(module, variables, **options):
    """The dtype of every submodule's result; blocks give features and image."""
    shapes = jax.eval_shape(
        lambda v, w: outputs_of(module, v, w, **options), variables, latents(module)
    )
    return jax.tree.map(lambda leaf: leaf.dtype.name, shapes)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_top_blocks_compute_in_low_precision(architecture, dtype):
    module, variables = tiny_generator(
        architecture=architecture, dtype=dtype, low_precision_blocks=2, num_blocks=4
    )
    dtypes = dtypes_of(module, variables, noise_mode="const")
    for block, expected in zip(
        ("b4", "b8", "b16", "b32"), ("float32", "float32", dtype, dtype), strict=True
    ):
        convolutions = ["conv1"] if block == "b4" else ["conv0", "conv1"]
        if architecture == "resnet" and block != "b4":
            convolutions.append("skip")
        assert {dtypes[f"{block}/{name}"] for name in convolutions} == {expected}
        features, image = dtypes[block]
        assert features == expected
        assert image in (None, "float32")
        assert dtypes.get(f"{block}/torgb", "float32") == "float32"
    # Styles and the final image are float32 everywhere.
    assert {d for path, d in dtypes.items() if path.endswith("affine")} == {"float32"}
    assert dtypes["synthesis" if "synthesis" in dtypes else "b32"][-1] == "float32"
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("f4")}


def convolved(jaxpr, found):
    """(height, dtype) of the images that enter a convolution of a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            x, w = (v.aval for v in equation.invars)
            assert x.dtype == w.dtype
            found.add((x.shape[1], x.dtype.name))
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    convolved(inner, found)
    return found


def test_the_convolutions_themselves_are_in_low_precision():
    """Not float32 products whose result is rounded."""
    module, variables = tiny_generator(dtype="bfloat16", low_precision_blocks=1)
    program = jax.make_jaxpr(
        lambda w: module.apply(variables, w, noise_mode="const", method="synthesis")
    )(latents(module))
    assert convolved(program.jaxpr, set()) == {
        (4, "float32"),
        (8, "float32"),
        (8, "bfloat16"),  # the last block's conv0, which doubles the size
        (16, "bfloat16"),
    }


@pytest.mark.parametrize("dtype, tolerance", [("bfloat16", 3e-2), ("float16", 4e-3)])
def test_low_precision_is_close(dtype, tolerance):
    """A dozen roundings of relative size 2^-8 (bfloat16) or 2^-11."""
    module, variables, full = synthesis("const")
    _, _, low = synthesis("const", dtype=dtype)
    expected = full(variables, latents(module))
    image = low(variables, latents(module))
    assert image.dtype == jnp.float32
    error = np.linalg.norm(image - expected) / np.linalg.norm(expected)
    assert 1e-5 < error < tolerance


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_conv_clamp_bounds_every_layer(architecture):
    module, variables = tiny_generator(architecture=architecture, conv_clamp=0.25)
    outputs = jax.jit(lambda w: outputs_of(module, variables, w))(latents(module))
    layers = {
        path: np.abs(y).max()
        for path, y in outputs.items()
        if path.split("/")[-1] in ("conv0", "conv1", "torgb")
    }
    assert len(layers) == 5 + (3 if architecture == "skip" else 1)
    for path, largest in layers.items():
        # The second layer of a residual block has half of the variance.
        halved = architecture == "resnet" and path in ("b8/conv1", "b16/conv1")
        assert largest == pytest.approx(0.25 * (0.5**0.5 if halved else 1.0)), path


def test_layers_start_with_unit_variance():
    x, w = noise(2, 18, 18, 32), noise(2, 8, seed=1)
    layer = SynthesisLayer(64, (18, 18), 0)
    init = functools.partial(layer.init_with_output, noise_mode="const")
    y, made = jax.jit(functools.partial(init, noise_keys=None))(jax.random.key(0), x, w)
    # 1.04 by the leaky ReLU's slope.
    assert np.mean(np.square(y[:, 1:-1, 1:-1])) == pytest.approx(1.04, rel=0.1)
    params = made["params"]
    assert params["weight"].shape == (3, 3, 32, 64)
    assert np.std(params["weight"]) == pytest.approx(1.0, rel=0.05)
    assert np.std(made["noise"]["noise_const"]) == pytest.approx(1.0, rel=0.2)
    assert not np.any(params["bias"])
    assert params["noise_strength"] == 0.0
    assert np.all(params["affine"]["bias"] == 1.0)

    init = jax.jit(ToRGB(64).init_with_output)
    y, made = init(jax.random.key(0), x, np.zeros_like(w))  # so that all styles are 1
    assert np.var(y) == pytest.approx(1.0, rel=0.1)
    params = made["params"]
    assert params["weight"].shape == (1, 1, 32, 64)
    assert np.all(params["affine"]["bias"] == 1.0)
    assert not np.any(params["bias"])
