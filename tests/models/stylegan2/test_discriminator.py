import functools
import itertools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import tiny_discriminator

from stylegan_jax.losses.regularisers import r1_penalty
from stylegan_jax.models.stylegan2 import Discriminator
from stylegan_jax.models.stylegan2.discriminator import minibatch_std

ARCHITECTURES = ["resnet", "skip", "orig"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def one_hot(module, n):
    return np.eye(n, module.c_dim, dtype=np.float32) if module.c_dim else None


def images(module, n=4, seed=0):
    return noise(n, *module.image_shape, seed=seed)


@functools.cache
def jitted(module):
    return jax.jit(module.apply)


def outputs_of(module, variables, *inputs):
    """Results of all submodules by path."""
    _, state = module.apply(
        variables, *inputs, capture_intermediates=True, mutable=["intermediates"]
    )
    flat = flax.traverse_util.flatten_dict(state["intermediates"], sep="/")
    return {path.removesuffix("/__call__"): out[0] for path, out in flat.items()}


def plain_minibatch_std(x, group_size, num_channels):
    """Group by group, in float64: image i is in group i mod (N / size)."""
    x = np.float64(x)
    n = len(x)
    groups = n // min(group_size, n)
    maps = np.zeros((*x.shape[:3], num_channels))
    for group in range(groups):
        members = [i for i in range(n) if i % groups == group]
        spread = np.sqrt(np.var(x[members], axis=0) + 1e-8)
        for f, part in enumerate(np.split(spread, num_channels, axis=2)):
            maps[members, :, :, f] = part.mean()
    return np.concatenate([x, maps], 3)


@pytest.mark.parametrize(
    "n, group_size, num_channels",
    [(8, 4, 1), (6, 3, 2), (4, 4, 1), (2, 4, 3), (6, 2, 1), (1, 4, 1), (3, 1, 2)],
)
def test_minibatch_std(n, group_size, num_channels):
    # Images of quite different spread, so that groups are told apart.
    x = noise(n, 3, 2, 6) * np.arange(1, n + 1, dtype=np.float32).reshape(n, 1, 1, 1)
    y = jax.jit(minibatch_std, static_argnums=(1, 2))(x, group_size, num_channels)
    np.testing.assert_allclose(
        y, plain_minibatch_std(x, group_size, num_channels), atol=1e-4
    )


def test_minibatch_std_is_taken_in_float32():
    x = jnp.asarray(1000 + noise(4, 2, 2, 8), jnp.float16)  # squares overflow it
    y = minibatch_std(x, 4)
    assert y.dtype == jnp.float16
    expected = plain_minibatch_std(np.asarray(x, np.float32), 4, 1)
    np.testing.assert_allclose(y[..., -1], expected[..., -1], rtol=1e-3)


def test_minibatch_std_of_one_image_many_times_has_a_gradient():
    x = np.ones((4, 2, 2, 3), np.float32)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(minibatch_std(x, 4)[..., -1])))(x)
    np.testing.assert_array_equal(gradient, 0.0)


def test_minibatch_std_refuses_a_broken_group():
    with pytest.raises(ValueError) as error:
        minibatch_std(jnp.zeros((6, 2, 2, 4)), 4)
    assert str(error.value) == (
        "Minibatch standard deviation needs a batch that is a multiple of its group "
        "size, got 6 images in groups of 4."
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes_of_every_kind(architecture):
    kinds = [*itertools.product([0, 3], [(4, 4), (3, 5)], [1, 4, 6], [2])]
    for c_dim, grid, channels, blocks in [*kinds, (0, (4, 4), 3, 3)]:
        module = Discriminator(
            num_blocks=blocks,
            c_dim=c_dim,
            base_grid=grid,
            img_channels=channels,
            mapping_layers=1,
            channel_base=32,
            architecture=architecture,
        )
        scale = 2 ** (blocks - 1)
        size = (grid[0] * scale, grid[1] * scale, channels)
        assert module.image_shape == size
        x, c = (jax.ShapeDtypeStruct((2, *s), np.float32) for s in (size, (c_dim,)))
        logits, variables = jax.eval_shape(
            module.init_with_output, jax.random.key(0), x, c if c_dim else None
        )
        assert (logits.shape, logits.dtype) == ((2,), jnp.float32)
        assert set(variables) == {"params"}
        assert ("mapping" in variables["params"]) == bool(c_dim)


@pytest.mark.parametrize(
    "architecture, c_dim, base_grid, img_channels",
    [
        ("resnet", 0, (4, 4), 4),
        ("resnet", 3, (3, 5), 1),
        ("skip", 0, (3, 5), 6),
        ("skip", 3, (4, 4), 1),
        ("orig", 0, (4, 4), 1),
        ("orig", 3, (3, 5), 6),
    ],
)
def test_runs(architecture, c_dim, base_grid, img_channels):
    module, variables = tiny_discriminator(
        architecture=architecture,
        c_dim=c_dim,
        base_grid=base_grid,
        img_channels=img_channels,
        num_blocks=2,
    )
    logits = np.asarray(jitted(module)(variables, images(module), one_hot(module, 4)))
    assert logits.shape == (4,)
    assert np.all(np.isfinite(logits))
    assert np.diff(np.sort(logits)).min() > 1e-5 * np.abs(logits).max()


@pytest.mark.parametrize("architecture", ["skip", "orig"])  # resnet: test_golden.py
def test_r1_has_a_gradient_for_every_weight(architecture):
    module, variables = tiny_discriminator(
        architecture=architecture, c_dim=3, mapping_layers=1, num_blocks=2
    )
    x, c = images(module), one_hot(module, 4)

    @jax.jit
    @jax.grad
    def gradients(params):
        def logits(x):
            return module.apply({"params": params}, x, c)

        return jnp.sum(r1_penalty(logits, x)[0])

    found = flax.traverse_util.flatten_dict(gradients(variables["params"]), sep="/")
    for path, leaf in found.items():
        assert np.all(np.isfinite(leaf)), path
        if path.endswith("weight"):  # biases only move the corners of the leaky ReLUs
            assert np.all(np.any(leaf != 0, axis=-1)), path


def test_names_of_the_variables():
    params = tiny_discriminator()[1]["params"]
    assert set(params) == {"b16", "b8", "b4"}
    assert set(params["b16"]) == {"fromrgb", "conv0", "conv1", "skip"}
    assert set(params["b8"]) == {"conv0", "conv1", "skip"}
    assert set(params["b4"]) == {"conv", "fc", "out"}
    assert set(params["b8"]["skip"]) == {"weight"}
    params = tiny_discriminator(architecture="skip")[1]["params"]
    assert set(params["b8"]) == {"fromrgb", "conv0", "conv1"}
    assert set(params["b4"]) == {"fromrgb", "conv", "fc", "out"}
    params = tiny_discriminator(architecture="orig", c_dim=3)[1]["params"]
    assert set(params["b8"]) == {"conv0", "conv1"}
    assert set(params["b4"]) == {"conv", "fc", "out"}
    assert {"embed", "fc0", "fc7"} <= set(params["mapping"])


def zeros_elsewhere(variables, full):
    """``full`` with the values of ``variables``, and 0 for what these do not have."""
    own = flax.traverse_util.flatten_dict(variables, sep="/")
    merged = {
        path: own.get(path, np.zeros_like(leaf))
        for path, leaf in flax.traverse_util.flatten_dict(full, sep="/").items()
    }
    assert set(own) < set(merged)
    return flax.traverse_util.unflatten_dict(merged, sep="/")


def test_architectures_are_one_network_where_the_skips_are_zero():
    fields = {"mbstd_num_channels": 0}  # whose epsilon has a scale
    orig, variables = tiny_discriminator(architecture="orig", **fields)
    # Without biases every layer is positively homogeneous.
    variables = jax.tree.map(
        lambda p: np.zeros_like(p) if p.ndim == 1 else p, variables
    )
    x = images(orig)
    logits = np.asarray(jitted(orig)(variables, x))
    assert np.abs(logits).min() > 1e-2
    for architecture, scale in [("skip", 1.0), ("resnet", 0.5)]:
        module, full = tiny_discriminator(architecture=architecture, **fields)
        # Two blocks of the resnet add two paths, each with half of the variance.
        np.testing.assert_allclose(
            jitted(module)(zeros_elsewhere(variables, full), x),
            logits * scale,
            rtol=1e-4,
        )


def test_images_are_judged_by_group():
    module, variables = tiny_discriminator(num_blocks=2, mbstd_group_size=2)
    x = images(module)
    logits = jitted(module)(variables, x)
    other = x.copy()  # jax may still be reading x
    other[2] = images(module, seed=1)[0]
    change = np.abs(np.asarray(jitted(module)(variables, other) - logits))
    assert np.all(change[[0, 2]] > 1e-4)  # group 0 holds images 0 and 2
    assert np.all(change[[1, 3]] < 1e-5)
    alone, variables = tiny_discriminator(num_blocks=2, mbstd_num_channels=0)
    change = jitted(alone)(variables, x) - jitted(alone)(variables, other)
    assert np.all(np.abs(np.asarray(change))[[0, 1, 3]] < 1e-5)


def test_labels_matter_by_projection():
    module, variables = tiny_discriminator(c_dim=3, mapping_layers=1, num_blocks=2)
    x, c = images(module), one_hot(module, 4)
    logits = jitted(module)(variables, x, c)
    others = jitted(module)(variables, x, np.roll(c, 1, 0))
    assert np.all(np.abs(logits - others) > 1e-4)
    parts = jax.jit(functools.partial(outputs_of, module))(variables, x, c)
    features, label = np.float64(parts["b4/out"]), np.float64(parts["mapping"])
    assert features.shape == label.shape == (4, 8)
    expected = np.sum(features * label, 1) / 8**0.5
    np.testing.assert_allclose(logits, expected, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype, low", [("bfloat16", 2), ("float16", 4)])
def test_top_blocks_compute_in_low_precision(architecture, dtype, low):
    module, variables = tiny_discriminator(
        architecture=architecture, dtype=dtype, low_precision_blocks=low, num_blocks=4
    )
    expected_b8 = dtype if low == 4 else "float32"
    shapes = jax.eval_shape(
        functools.partial(outputs_of, module), variables, images(module)
    )
    dtypes = jax.tree.map(lambda leaf: leaf.dtype.name, shapes)
    for block, expected in zip(
        ("b4", "b8", "b16", "b32"), ("float32", expected_b8, dtype, dtype), strict=True
    ):
        inside = {d for path, d in dtypes.items() if path.startswith(f"{block}/")}
        assert inside == {expected}
    # An image is handed down as it came.
    image = dtypes["b32"][1]
    assert image == ("float32" if architecture == "skip" else None)
    assert dtypes["b4"] == "float32"
    assert dtypes["b4/out"] == "float32"
    assert dtypes["__call__"] == "float32"


@pytest.mark.parametrize("dtype, tolerance", [("bfloat16", 5e-2), ("float16", 1e-2)])
def test_low_precision_is_close(dtype, tolerance):
    """A dozen roundings of relative size 2^-8 (bfloat16) or 2^-11."""
    full, variables = tiny_discriminator(num_blocks=2)
    low, _ = tiny_discriminator(num_blocks=2, dtype=dtype)

    @functools.partial(jax.jit, static_argnums=0)
    def penalties_and_logits(module, x):
        return r1_penalty(lambda x: module.apply(variables, x), x)

    x = images(full)
    for ours, expected in zip(
        penalties_and_logits(low, x), penalties_and_logits(full, x), strict=True
    ):
        assert ours.dtype == jnp.float32
        error = np.linalg.norm(ours - expected) / np.linalg.norm(expected)
        assert 1e-5 < error < tolerance


def test_conv_clamp_bounds_every_convolution():
    module, variables = tiny_discriminator(num_blocks=2, conv_clamp=0.25)
    run = jax.jit(functools.partial(outputs_of, module))
    outputs = run(variables, images(module))
    bounded = {
        path: np.abs(y).max()
        for path, y in outputs.items()
        if path.split("/")[-1] in ("fromrgb", "conv0", "conv1", "conv")
    }
    assert len(bounded) == 4
    for path, largest in bounded.items():
        # The second layer of a residual block has half of the variance.
        bound = 0.25 * (0.5**0.5 if path.endswith("conv1") else 1.0)
        assert largest == pytest.approx(bound), path


def refused(message, x=None, c=None, **fields):
    module = Discriminator(**{"num_blocks": 2} | fields)
    x = jnp.zeros((2, 8, 8, 3)) if x is None else x
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: module.init(jax.random.key(0), x, c))


def test_refuses_what_does_not_fit():
    refused(
        "^Unknown discriminator architecture 'dense', choose from resnet, skip, orig.",
        architecture="dense",
    )
    refused("^Unknown dtype 'half', choose from float32, bfloat16", dtype="half")
    shape = r"x in Discriminator has shape \(2, 8, 6, 3\), expected \(any, 8, 8, 3\)"
    refused(shape, x=jnp.zeros((2, 8, 6, 3)))
    refused(r"expected \(any, 8, 8, 1\)", img_channels=1)
    refused("it needs c of shape", c_dim=3)
    refused("got 6 images in groups of 4", x=jnp.zeros((6, 8, 8, 3)))
    refused("needs at least two blocks, got 1", num_blocks=1)
