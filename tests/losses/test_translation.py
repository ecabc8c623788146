"""Losses of picture-to-picture translation against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from stylegan_jax.losses import translation

RNG = np.random.default_rng(0)


def scales(n=3):
    """What a discriminator of two scales with three layers gives."""
    return [
        [RNG.standard_normal((n, s, s, c)).astype(np.float32) for c in (4, 5, 1)]
        for s in (6, 3)
    ]


def test_least_squares_sum_over_the_scales():
    found = scales()
    for wanted in (0.0, 1.0):
        expected = sum(np.mean((s[-1] - wanted) ** 2, (1, 2, 3)) for s in found)
        got = translation.gan(found, wanted, "lsgan")
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_logistic_is_the_cross_entropy():
    found = scales()
    for wanted in (0.0, 1.0):
        expected = 0
        for layers in found:
            p = 1 / (1 + np.exp(-layers[-1].astype(np.float64)))
            expected += -np.mean(
                wanted * np.log(p) + (1 - wanted) * np.log(1 - p), (1, 2, 3)
            )
        got = translation.gan(found, wanted, "logistic")
        np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_features_match_but_for_the_scores():
    a, b = scales(), scales()
    expected = np.zeros(3)
    for one, other in zip(a, b, strict=True):
        for x, y in zip(one[:-1], other[:-1], strict=True):
            # Two layers before the scores, two scales.
            expected += 4 / 2 / 2 * np.mean(np.abs(x - y), (1, 2, 3))
    np.testing.assert_allclose(translation.feature_matching(a, b), expected, rtol=1e-5)
    a[0][-1][:] = 100
    np.testing.assert_allclose(translation.feature_matching(a, b), expected, rtol=1e-5)


def test_perceptual_distance_weighs_the_deep_features_most():
    def features(shift):
        return {
            tap: np.full((2, 4, 4, 3), shift, np.float32)
            for tap in translation.VGG_TAPS
        }

    found = translation.perceptual(features(0.0), features(2.0))
    np.testing.assert_allclose(found, 2 * (1 / 32 + 1 / 16 + 1 / 8 + 1 / 4 + 1))
    other = features(0.0)
    other["relu5_1"] = other["relu5_1"] + 1
    np.testing.assert_allclose(translation.perceptual(features(0.0), other), 1.0)


def test_edges_lie_on_both_sides_of_a_border():
    numbers = np.zeros((1, 4, 5), np.int32)
    numbers[0, :, 3:] = 7
    edges = np.asarray(translation.instance_edges(numbers))
    assert edges.shape == (1, 4, 5, 1)
    np.testing.assert_array_equal(edges[0, :, :, 0], np.tile([0, 0, 1, 1, 0], (4, 1)))


def test_a_kind_of_loss_that_there_is_not():
    with pytest.raises(KeyError):
        translation.gan(scales(), 1.0, "hinge")
