import numpy as np
import pytest
from scipy import ndimage

from stylegan_jax.errors import UserError
from stylegan_jax.metrics.swd import (
    SlicedWasserstein,
    laplacian_pyramid,
    level_sizes,
    sliced_distance,
    swd,
)


def _textures(seed, number=96, size=32, channels=3, smooth=1.5):
    noise = np.random.default_rng(seed).random((number, size, size, channels))
    noise = ndimage.gaussian_filter(noise, (0, smooth, smooth, 0))
    noise = (noise - noise.mean()) / noise.std() * 40 + 128
    return np.clip(noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def real():
    return _textures(0)


def test_equal_sets_are_at_zero(real):
    got = swd(real, real)
    assert list(got) == ["swd/32", "swd/16", "swd/mean"]
    assert set(got.values()) == {0.0}


def test_mean_is_that_of_the_levels(real):
    got = swd(real, _textures(1))
    assert got["swd/mean"] == pytest.approx((got["swd/32"] + got["swd/16"]) / 2)


def test_symmetric_and_deterministic(real):
    other = _textures(1, smooth=3)
    there, back = swd(real, other), swd(other, real)
    assert there == pytest.approx(back, rel=1e-6)
    assert there == swd(real, other)
    assert there != swd(real, other, seed=1)


def test_order_of_the_pictures_does_not_matter(real):
    other = _textures(1)
    shuffled = np.random.default_rng(0).permutation(other)
    # The order of float32 sums is all that differs.
    assert swd(real, shuffled) == pytest.approx(swd(real, other), rel=1e-3)
    assert swd(real, real[::-1])["swd/mean"] < 1e-3


def test_another_kind_of_picture_is_farther_than_another_draw(real):
    near, far = swd(real, _textures(1)), swd(real, _textures(1, smooth=4))
    assert far["swd/32"] > 3 * near["swd/32"]
    assert far["swd/16"] > 2 * near["swd/16"]


def test_a_shift_of_half_the_pictures_is_seen_where_it_lies(real):
    # A shift of all of them is normalised away; of half, it is a second mode of the
    # brightness, which lives in the low band alone.
    shifted = real // 2
    shifted[::2] += 60
    near, far = swd(real, _textures(1)), swd(real, shifted)
    assert far["swd/16"] > 3 * near["swd/16"]
    assert far["swd/32"] < 1.3 * near["swd/32"]


def test_blur_hits_the_finest_band_alone():
    sharp, other = _textures(0, 256, smooth=0.5), _textures(1, 256, smooth=0.5)
    blurred = ndimage.gaussian_filter(other.astype(float), (0, 1, 1, 0))
    near, far = swd(sharp, other), swd(sharp, blurred.round().astype(np.uint8))
    assert far["swd/32"] > 2.5 * near["swd/32"]
    assert far["swd/16"] < 1.5 * near["swd/16"]


def test_the_cache_gives_what_the_function_gives(real):
    metric = SlicedWasserstein(real, seed=3)
    for seed in (1, 2):
        assert metric(_textures(seed)) == swd(real, _textures(seed), seed=3)


def test_distance_in_one_dimension_is_that_of_the_sorted_values():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 1)).astype(np.float32)
    expected = np.abs(np.sort(a[:, 0]) - np.sort(b[:, 0])).mean()
    assert sliced_distance(a, b, seed=0) == pytest.approx(expected, rel=1e-5)


def test_pyramid_matches_the_papers_filters():
    # As in progressive_growing_of_gans/metrics/sliced_wasserstein.py: a 5×5 binomial
    # kernel with mirrored edges, by scipy there as here.
    images = _textures(0, number=2, size=32)
    taps = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(taps, taps)[None, :, :, None]
    full = images.astype(np.float32)
    small = ndimage.convolve(full, kernel, mode="mirror")[:, ::2, ::2]
    up = np.zeros_like(full)
    up[:, ::2, ::2] = small
    band = full - ndimage.convolve(up, 4 * kernel, mode="mirror")
    got = laplacian_pyramid(images, 2)
    np.testing.assert_allclose(got[0], band, atol=1e-3)
    np.testing.assert_allclose(got[1], small, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((16, 16), [(16, 16)]),
        ((64, 64), [(64, 64), (32, 32), (16, 16)]),
        ((48, 32), [(48, 32), (24, 16)]),
        ((31, 64), [(31, 64)]),
    ],
)
def test_levels_end_at_16_pixels(size, expected):
    assert level_sizes(*size) == expected


def test_grey_and_constant_pictures_have_a_distance():
    grey = _textures(0, number=8, channels=1)
    constant = np.full_like(grey, 7)
    assert np.isfinite(list(swd(grey, constant).values())).all()


@pytest.mark.parametrize(
    ("real", "fake", "sentence"),
    [
        (np.zeros((2, 8, 8, 3), "u1"), np.zeros((2, 8, 8, 3), "u1"), "at least 16"),
        (np.zeros((2, 16, 16, 3), "u1"), np.zeros((3, 16, 16, 3), "u1"), "one shape"),
        (np.zeros((2, 16, 16, 3), "u1"), np.zeros((2, 16, 16, 3)), "fake.*float64"),
        (np.zeros((0, 16, 16, 3), "u1"), np.zeros((0, 16, 16, 3), "u1"), "at least on"),
        (np.zeros((16, 16, 3), "u1"), np.zeros((16, 16, 3), "u1"), "N, H, W, C"),
    ],
)
def test_refusals(real, fake, sentence):
    with pytest.raises(UserError, match=sentence):
        swd(real, fake)
