import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.data.augment import diffaugment, parse_policy
from stylegan_jax.errors import UsageError


def pictures(n=4, height=16, width=24, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(-1, 1, (n, height, width, channels)), jnp.float32)


def keys_of(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def test_an_image_depends_on_its_own_key_alone():
    images, keys = pictures(6), keys_of(6)
    run = jax.jit(diffaugment)
    together = run(images, keys)
    alone = run(images[2:3], keys[2:3])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-5)
    assert np.abs(together[0] - images[0]).max() > 0.01


def test_translation_moves_up_to_an_eighth_over_zeros():
    image = pictures(1)
    moved = np.asarray(
        diffaugment(jnp.repeat(image, 300, 0), keys_of(300), "translation")
    )
    wide = np.pad(image[0], ((2, 2), (3, 3), (0, 0)))
    windows = {(y, x): wide[y : y + 16, x : x + 24] for y in range(5) for x in range(7)}
    seen = set()
    for result in moved:
        match = [at for at, w in windows.items() if np.array_equal(result, w)]
        assert len(match) == 1
        seen |= set(match)
    assert seen == set(windows)


def test_cutout_clears_at_most_half_of_the_sides():
    cut = np.asarray(diffaugment(jnp.ones((300, 16, 24, 1)), keys_of(300), "cutout"))
    hole = cut[..., 0] == 0
    height, width = hole.any(2).sum(1), hole.any(1).sum(1)
    np.testing.assert_array_equal(hole.sum((1, 2)), height * width)
    assert (height.max(), width.max()) == (8, 12)
    assert (height.min(), width.min()) == (4, 6)


def test_colour_keeps_within_its_ranges():
    images = pictures(500, 4, 4)
    changed = np.asarray(diffaugment(images, keys_of(500), "color"))
    shift = changed.mean((1, 2, 3)) - np.asarray(images).mean((1, 2, 3))
    assert -0.5 <= shift.min() < -0.45 and 0.45 < shift.max() <= 0.5

    def parts(x):
        grey = x.mean(3)
        return (x - grey[..., None]).std((1, 2, 3)), grey.std((1, 2))

    colour, grey = (a / b for a, b in zip(parts(changed), parts(images), strict=True))
    assert 0.5 <= grey.min() < 0.55 and 1.45 < grey.max() <= 1.5 + 1e-5
    saturation = colour / grey
    assert saturation.min() < 0.1 and 1.9 < saturation.max() <= 2 + 1e-5


def test_gradient_and_r1_go_through():
    images = pictures()

    @jax.jit
    def total(x):
        return jnp.sum(diffaugment(x, keys_of(4)) ** 2)

    def penalty(scale):
        return jnp.sum(jax.grad(lambda x: total(x) * scale)(images) ** 2)

    step = pictures(seed=1)
    slope = float(jnp.sum(jax.grad(total)(images) * step))
    expected = float(total(images + step) - total(images - step)) / 2
    assert slope == pytest.approx(expected, rel=1e-3)
    assert float(jax.grad(penalty)(1.0)) == pytest.approx(2 * float(penalty(1.0)))


@pytest.mark.parametrize("policy", ["", "colour", "color,color", "color;cutout"])
def test_a_policy_that_is_not_understood_is_refused(policy):
    with pytest.raises(UsageError, match="color, translation, cutout"):
        parse_policy(policy)


def test_a_policy_keeps_its_order():
    assert parse_policy("cutout, color") == ("cutout", "color")
