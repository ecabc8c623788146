"""Sources inside the training step: a sample's own key decides, and Pillow agrees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data.augment import pair_source
from stylegan_jax.errors import UsageError


def keys(num, seed=0):
    return jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(
        jnp.arange(num)
    )


def pictures(num, size=16, channels=3):
    values = np.random.default_rng(1).integers(0, 256, (num, size, size, channels))
    return values.astype(np.uint8)


def floats(values):
    return jnp.asarray(values, jnp.float32) / 127.5 - 1


def flipped(before, after):
    """Which samples are mirrored; the others must be as they were."""
    found = [np.array_equal(a, b[:, ::-1]) for a, b in zip(after, before, strict=True)]
    for a, b, turned in zip(after, before, found, strict=True):
        assert turned or np.array_equal(a, b)
    return np.array(found)


@pytest.mark.parametrize("mode", pair_source.MIRRORS)
def test_pairs_are_mirrored_alike_apart_or_never(mode):
    source, target = pictures(64, 4, 1), pictures(64, 8)
    ours, theirs = (
        flipped(before, np.asarray(after))
        for before, after in zip(
            (source, target),
            pair_source.mirror(floats(source), floats(target), keys(64), mode),
            strict=True,
        )
        for before in [np.asarray(floats(before))]
    )
    if mode == "none":
        assert not ours.any() and not theirs.any()
        return
    assert 16 < ours.sum() < 48
    assert (ours == theirs).all() if mode == "together" else 16 < (ours ^ theirs).sum()


@pytest.fixture(scope="module")
def degraded():
    """Eight pictures, degraded as one batch."""
    images = floats(pictures(8))
    make = jax.jit(lambda x, k: pair_source.degrade(x, k, (1, 2, 4, 16)))
    return images, make, np.asarray(make(images, keys(8)))


def test_a_sample_is_the_same_in_any_batch(degraded):
    images, make, whole = degraded
    np.testing.assert_array_equal(make(images, keys(8)), whole)
    part = make(images[4:6], keys(8)[4:6])
    np.testing.assert_allclose(part, whole[4:6], atol=1e-6)
    both = (np.asarray(x) for x in pair_source.mirror(images, images, keys(8), "apart"))
    one = pair_source.mirror(images[5:6], images[5:6], keys(8)[5:6], "apart")
    for x, y in zip(both, one, strict=True):
        np.testing.assert_array_equal(x[5:6], y)
    assert np.abs(np.asarray(make(images, keys(8, seed=1))) - whole).max() > 0.1


def test_every_factor_is_drawn_and_does_what_it_does_alone(degraded):
    images, _, whole = degraded
    alone = {f: np.asarray(pair_source.degrade_by(images, f)) for f in (1, 2, 4, 16)}
    drawn = []
    for i, picture in enumerate(whole):
        near = [f for f, x in alone.items() if np.abs(x[i] - picture).max() < 1e-5]
        assert len(near) == 1
        drawn += near
    assert len(set(drawn)) > 1
    np.testing.assert_array_equal(alone[1], images)


@pytest.mark.parametrize("factor", [2, 3, 8, 32])
@pytest.mark.parametrize("size", [None, (20, 12)])
def test_pillow_gives_the_same(factor, size):
    # Only 0 and 255: the cubic overshoots everywhere, and clipping matters.
    array = (pictures(1, 32)[0, :24] > 127).astype(np.uint8) * 255
    low = tuple(max(1, round(n / factor)) for n in (32, 24))
    small = Image.fromarray(array).resize(low, Image.Resampling.BICUBIC)
    height, width = size or (24, 32)
    want = small.resize((width, height), Image.Resampling.BILINEAR)
    got = pair_source.degrade_by(floats(array)[None], factor, size)
    levels = (np.asarray(got)[0] + 1) * 127.5
    assert np.abs(levels - np.asarray(want)).max() < 2


def test_classes_become_planes():
    labels = jnp.asarray([[[[0], [2]], [[1], [7]]]], jnp.uint8)
    planes = np.asarray(pair_source.one_hot(labels, 3))
    assert planes.shape == (1, 2, 2, 3) and planes.dtype == np.float32
    assert planes[0].reshape(4, 3).tolist() == [
        [1, 0, 0],
        [0, 0, 1],
        [0, 1, 0],
        [0] * 3,
    ]
    with pytest.raises(ValueError, match="expected"):
        pair_source.one_hot(jnp.zeros((1, 2, 2, 3), jnp.uint8), 3)


@pytest.mark.parametrize("factors", [(), (0, 2), (1.5,)])
def test_what_makes_no_sense_is_refused(factors):
    images = floats(pictures(2))
    with pytest.raises(UsageError, match="factors"):
        pair_source.degrade(images, keys(2), factors)
    with pytest.raises(UsageError, match="together"):
        pair_source.mirror(images, images, keys(2), "both")
    with pytest.raises(ValueError, match="keys"):
        pair_source.degrade(images, keys(3))
