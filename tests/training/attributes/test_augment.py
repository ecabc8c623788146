"""How pictures are changed before the network in training sees them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.training.attributes.augment import Jitter, jitter_pictures

# A slope from left to right, another from top to bottom.
LINE = np.linspace(-0.5, 0.5, 32, dtype=np.float32)
SLOPES = np.stack([np.tile(LINE, (32, 1)), np.tile(LINE[:, None], (1, 32))], -1)
IMAGES = np.repeat(np.concatenate([SLOPES, SLOPES[..., :1]], -1)[None], 8, 0)
KEYS = jax.random.split(jax.random.key(0), 8)
jittered = jax.jit(jitter_pictures, static_argnums=(2, 3))


def changed(**options):
    return np.asarray(jittered(jnp.asarray(IMAGES), KEYS, 32, Jitter(**options)))


def test_nothing_but_the_border_changes_without_jitter():
    found = changed(mirror=False)
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], IMAGES[:, 1:-1, 1:-1], atol=1e-5)


def test_some_are_mirrored():
    found = changed(mirror=True)
    across = found[:, 16, 24, 0] - found[:, 16, 8, 0]
    assert set(np.sign(across)) == {-1.0, 1.0}
    np.testing.assert_allclose(np.abs(across), 16 / 31, rtol=1e-4)


def test_zoom_makes_a_slope_gentler_or_steeper():
    found = changed(mirror=False, zoom=(0.5, 0.5))
    steep = found[:, 16, 20, 0] - found[:, 16, 12, 0]
    np.testing.assert_allclose(steep, 2 * 8 / 31, rtol=1e-3)
    found = changed(mirror=False, zoom=(0.8, 1.2))
    assert len(np.unique(np.round(found[:, 16, 20, 0], 4))) > 4


def test_each_picture_depends_on_its_own_key_alone():
    options = Jitter(True, (0.6, 1.1), 0.1, 10.0, 0.3, (1, 2), 0.05)
    whole = jittered(jnp.asarray(IMAGES), KEYS, 24, options)
    part = jittered(jnp.asarray(IMAGES[5:]), KEYS[5:], 24, options)
    assert whole.shape == (8, 24, 24, 3)
    np.testing.assert_allclose(whole[5:], part, atol=1e-5)
    assert float(jnp.abs(whole).max()) <= 1
