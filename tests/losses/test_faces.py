import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.losses import faces
from stylegan_jax.models.features.vgg import vgg_convs


def test_saturated_pixels_are_cut_off_and_keep_their_slope():
    x = jnp.array([-3.0, -0.5, 1.7])
    np.testing.assert_allclose(faces.shown(x), [-1, -0.5, 1])
    y = jnp.array([0.0, 0.0, 0.0])
    slope = jax.grad(lambda x: jnp.sum((faces.shown(x) - y) ** 2))(x)
    np.testing.assert_allclose(slope, [-2, -1, 2])
    # Where what is seen is right, nothing pulls.
    same = jax.grad(lambda x: jnp.sum((faces.shown(x) - 1) ** 2))(jnp.array([1.7]))
    assert same == 0


def test_pixels_are_counted_from_0_to_1():
    x = jnp.ones((2, 4, 4, 3))
    found = faces.pixel(x, jnp.stack([-x[0], x[1]]))
    np.testing.assert_allclose(found, [1, 0])


def test_features_are_the_13_convolutions_before_their_rectifiers():
    assert tuple(f"conv{c.tag}" for c in vgg_convs(16)) == faces.VGG_TAPS
    x = {tap: jnp.full((1, 2, 2, 3), i) for i, tap in enumerate(faces.VGG_TAPS)}
    y = {tap: jnp.zeros((1, 2, 2, 3)) for tap in faces.VGG_TAPS}
    np.testing.assert_allclose(faces.feature(x, y), [sum(i**2 for i in range(13))])


@pytest.mark.parametrize("side", [4, 16, 12])
def test_a_pyramid_sees_the_same_shift_at_every_size(side):
    x = jnp.zeros((1, side, side, 3))
    levels = {4: 1, 16: 3, 12: 2}[side]
    # Only the coarsest level sees a constant.
    found = faces.pyramid(x, x + 2)
    np.testing.assert_allclose(found, [1 / levels], rtol=1e-6)
    assert faces.pyramid(x, x) == 0


def test_a_pyramid_prefers_what_is_near():
    x = np.zeros((3, 16, 16, 1), np.float32)
    x[0, 8, 8] = x[1, 8, 9] = x[2, 0, 15] = 1
    near = faces.pyramid(x[:1], x[1:2])
    far = faces.pyramid(x[:1], x[2:])
    assert near < far
    np.testing.assert_allclose(faces.pixel(x[:1], x[1:2]), faces.pixel(x[:1], x[2:]))


def test_pull_is_a_mean():
    w = jnp.ones((2, 3, 4)).at[1].set(3)
    np.testing.assert_allclose(faces.pull(w, jnp.ones(4)), [0, 4])
