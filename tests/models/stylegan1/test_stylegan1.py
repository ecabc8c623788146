import jax
import jax.numpy as jnp
import numpy as np
import pytest
from slow_convs import compiled, slow

from stylegan_jax.models.stylegan1 import Discriminator, Generator
from stylegan_jax.models.stylegan1.layers import (
    Dense,
    double_correlated,
    double_transposed,
    halve,
    instance_norm,
    leaky_relu,
    smooth,
)
from stylegan_jax.models.stylegan1.synthesis import unstored_noise

TINY = {
    "num_blocks": 3,
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 2,
    "mapping_features": 12,
    "channel_base": 64,
    "channel_max": 8,
}


def _normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.fixture(scope="module")
def network():
    module = Generator(**TINY)
    variables = jax.jit(module.init)(jax.random.key(0), _normal(1, 1, 8))
    noisy = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + 0.3 if "noise_strength" in str(path[-1]) else leaf,
        variables,
    )
    return module, noisy


def test_the_gain_is_the_weights_alone():
    layer = Dense(4, lr_multiplier=0.1)
    x = _normal(0, 2, 3)
    variables = layer.init(jax.random.key(1), x)
    params = {**variables["params"], "bias": jnp.arange(4.0)}
    want = x @ params["weight"] * (2**0.5 * 0.1 / 3**0.5) + 0.1 * jnp.arange(4.0)
    np.testing.assert_allclose(layer.apply({"params": params}, x), want, rtol=1e-5)


def test_leaky_relu_has_no_gain():
    assert leaky_relu(jnp.array([-1.0, 2.0])).tolist() == pytest.approx([-0.2, 2.0])


def test_instance_norm():
    y = instance_norm(5 + 3 * _normal(0, 2, 16, 16, 4), 1e-8)
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), 1, atol=1e-5)


def test_smoothing_keeps_the_size_and_the_mean_inside():
    y = smooth(jnp.ones((1, 6, 6, 2)), (0.25, 0.5, 0.25))
    assert y.shape == (1, 6, 6, 2)
    np.testing.assert_allclose(y[0, 1:-1, 1:-1], 1)
    np.testing.assert_allclose(y[0, 0, 0], 0.75**2)


def _plain(x, kernel, **options):
    """A convolution as XLA has it, with XLA's own derivatives."""
    return jax.lax.conv_general_dilated(
        x, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def _plain_up(x, kernel):
    doubled = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
    return _plain(doubled, kernel, window_strides=(1, 1), padding="SAME")


def _plain_fused(x, kernel):
    """A transposed convolution with the sum of the kernel's four shifts."""
    k = jnp.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    k = k[1:, 1:] + k[:-1, 1:] + k[1:, :-1] + k[:-1, :-1]
    sides = ((2, 2), (2, 2))
    flipped = k[::-1, ::-1]
    return _plain(x, flipped, window_strides=(1, 1), padding=sides, lhs_dilation=(2, 2))


def _plain_down(x, kernel):
    n, height, width, _ = x.shape
    y = _plain(x, kernel, window_strides=(1, 1), padding="SAME")
    return y.reshape(n, height // 2, 2, width // 2, 2, -1).mean((2, 4))


@pytest.mark.parametrize(
    ("ours", "plain"),
    [
        (double_correlated, _plain_up),
        (double_transposed, _plain_fused),
        (halve, _plain_down),
    ],
)
def test_resampling_convolutions_and_their_derivatives(ours, plain):
    x, kernel = _normal(0, 2, 4, 6, 3), _normal(1, 3, 3, 3, 5)

    def both(form):
        def slope(x, kernel):
            # As in R1: the square of a gradient, differentiated for the kernel.
            return jax.grad(lambda x: jnp.sum(jnp.sin(form(x, kernel))))(x)

        def penalty(x, kernel):
            return jnp.sum(jnp.square(slope(x, kernel)))

        return jax.jit(
            lambda x, kernel: (
                form(x, kernel),
                slope(x, kernel),
                jax.grad(penalty, (0, 1))(x, kernel),
            )
        )(x, kernel)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3),
        both(ours),
        both(plain),
    )


@pytest.mark.parametrize("form", [double_correlated, double_transposed, halve])
def test_no_derivative_runs_through_a_loop(form):
    text = compiled(form, 2, _normal(0, 2, 10, 10, 4), _normal(1, 3, 3, 4, 5))
    assert "ENTRY" in text and not slow(text), "\n".join(slow(text))


def test_the_two_doublings_are_different_functions():
    x, kernel = _normal(0, 2, 4, 6, 3), _normal(1, 3, 3, 3, 5)
    fused, plain = double_transposed(x, kernel), double_correlated(x, kernel)
    assert not np.allclose(fused, plain, atol=0.1)


def test_noise_modes(network):
    module, variables = network
    w_plus = _normal(2, 2, 6, 8)

    @jax.jit
    def draw(w_plus, keys):
        return tuple(
            module.apply(
                variables, w_plus, noise_mode=mode, noise_keys=keys, method="synthesis"
            )
            for mode in ("const", "none", "random")
        )

    keys = jax.random.split(jax.random.key(0), 2)
    const, none, random = draw(w_plus, keys)
    assert const.shape == (2, 16, 16, 3) and const.dtype == jnp.float32
    other = draw(w_plus, keys[::-1])
    np.testing.assert_array_equal(const, other[0])
    np.testing.assert_array_equal(none, other[1])
    assert not np.allclose(random, other[2])
    assert not np.allclose(const, none) and not np.allclose(const, random)


def test_a_model_without_maps_draws_the_same_const_noise_always(network):
    module, variables = network
    bare = module.clone(stored_noise=False)
    without = {k: v for k, v in variables.items() if k != "noise"}
    shapes = jax.eval_shape(bare.init, jax.random.key(0), _normal(1, 1, 8))
    assert set(shapes) == {"params", "moving_stats"}
    maps = {}
    for k in range(3):
        size = (4 << k, 4 << k)
        for half, layer in enumerate(("conv0" if k else "input", "conv1")):
            still = unstored_noise(2 * k + half, size)
            maps.setdefault(f"b{4 << k}", {})[layer] = {"noise_const": still}
    w_plus = _normal(2, 1, 6, 8)
    draw = jax.jit(bare.apply, static_argnames=("method", "noise_mode"))
    same = jax.jit(module.apply, static_argnames=("method", "noise_mode"))
    got = draw(without, w_plus, method="synthesis", noise_mode="const")
    want = same(
        {**without, "noise": {"synthesis": maps}},
        w_plus,
        method="synthesis",
        noise_mode="const",
    )
    np.testing.assert_allclose(got, want, atol=1e-5)
    # Figures of this release: a change would change everyone's pictures.
    key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 3)
    np.testing.assert_array_equal(
        unstored_noise(3, (8, 8)), jax.random.normal(key, (8, 8))
    )


def test_truncation_pulls_the_first_layers_to_the_mean(network):
    module, variables = network
    w_avg = jnp.arange(8.0)
    variables = {**variables, "moving_stats": {"mapping": {"w_avg": w_avg}}}
    z = _normal(3, 2, 8)
    w = module.apply(variables, z, method="w")
    w_plus = module.apply(
        variables, z, truncation_psi=0.5, truncation_cutoff=2, method="mapping"
    )
    np.testing.assert_allclose(w_plus[:, 2:], jnp.repeat(w[:, None], 4, 1), rtol=1e-6)
    np.testing.assert_allclose(w_plus[:, 0], (w + w_avg) / 2, rtol=1e-5)


def test_without_noise_there_are_no_noise_tensors():
    module = Generator(**TINY, use_noise=False)
    shapes = jax.eval_shape(module.init, jax.random.key(0), _normal(1, 1, 8))
    assert "noise" not in shapes
    names = [str(path) for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    assert not any("noise" in name for name in names)


def test_a_generator_may_be_wider_than_high():
    module = Generator(**{**TINY, "base_grid": (4, 6)})
    y, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), _normal(1, 1, 8))
    assert y.shape == (1, *module.image_shape) == (1, 16, 24, 3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"noise_mode": "loud"}, "Unknown noise mode 'loud'"),
        ({"noise_mode": "random"}, "needs noise_keys"),
        ({"noise_keys": jax.random.key(0)}, "noise_keys in Generator.synthesis"),
    ],
)
def test_wrong_noise_is_refused(network, options, sentence):
    module, variables = network
    with pytest.raises(ValueError, match=sentence):
        module.apply(variables, _normal(2, 2, 6, 8), method="synthesis", **options)


def test_the_discriminator_scores_and_uses_its_group():
    module = Discriminator(num_blocks=2, channel_base=32, channel_max=8)
    x = _normal(0, 4, 8, 8, 3)
    variables = jax.jit(module.init)(jax.random.key(1), x)
    scores = jax.jit(module.apply)(variables, x)
    assert scores.shape == (4,) and scores.dtype == jnp.float32
    alone = jax.jit(module.apply)(variables, jnp.repeat(x[:1], 4, 0))
    assert not np.allclose(scores[0], alone[0])


def test_the_discriminator_picks_the_score_of_the_label():
    module = Discriminator(num_blocks=2, c_dim=3, channel_base=32, channel_max=8)
    x, c = _normal(0, 1, 8, 8, 3).repeat(3, 0), jnp.eye(3)
    variables = jax.jit(module.init)(jax.random.key(1), x, c)
    scores = jax.jit(module.apply)(variables, x, c)
    assert len({round(float(s), 4) for s in scores}) == 3
    with pytest.raises(ValueError, match=r"needs c of shape \[N, 3\]"):
        module.apply(variables, x)


def test_a_discriminator_of_one_block_is_refused():
    module = Discriminator(num_blocks=1)
    with pytest.raises(ValueError, match="at least two blocks, got 1"):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
