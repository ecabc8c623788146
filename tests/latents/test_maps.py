import sys

import numpy as np
import pytest

from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.latents.maps import METHODS, lay_out, principal_axes, random_axes

BENT = ("tsne", "lle")


def clusters(each=10, width=12):
    """Three groups far apart, and which point is of which."""
    rng = np.random.default_rng(0)
    centres = 20 * rng.standard_normal((3, width))
    points = np.concatenate([c + rng.standard_normal((each, width)) for c in centres])
    return points, np.repeat(np.arange(3), each)


def nearest(points):
    """For each point, which other one is nearest."""
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return apart.argmin(1)


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn", reason="needs the maps extra")


def test_random_axes_are_orthonormal_and_of_their_seed():
    axes = random_axes(50, 2, 3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-12)
    np.testing.assert_array_equal(axes, random_axes(50, 2, 3))
    assert np.abs(axes - random_axes(50, 2, 4)).max() > 0.1
    # No direction is preferred: over many seeds the mean axis is nothing.
    mean = np.mean([random_axes(3, 1, seed)[:, 0] for seed in range(2000)], axis=0)
    assert np.abs(mean).max() < 0.05


def test_principal_axes_find_the_plane():
    rng = np.random.default_rng(0)
    plane = random_axes(9, 2, 1)
    coordinates = rng.standard_normal((40, 2)) * (5, 2)
    found = lay_out(coordinates @ plane.T + 7, "pca")
    assert sum(found.figures["explained"]) == pytest.approx(1)
    assert found.figures["explained"][0] > found.figures["explained"][1]
    # Distances in the plane are kept.
    both = found.points, coordinates
    mine, theirs = (np.linalg.norm(x[:, None] - x[None], axis=2) for x in both)
    np.testing.assert_allclose(mine, theirs, atol=1e-9)
    assert "100% of the variance" in found.notes[0]


def test_the_explained_variance_is_numpys():
    points = np.random.default_rng(1).standard_normal((30, 6)) * np.arange(1, 7)
    points -= points.mean(0)
    axes, shares = principal_axes(points)
    values = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(shares, values / values.sum())
    laid = points @ axes.T
    np.testing.assert_allclose(np.cov(laid.T), np.diag(values), atol=1e-10)
    found = lay_out(points, "random", seed=5)
    turned = points @ random_axes(6, 2, 5)
    np.testing.assert_allclose(found.points, turned)
    assert sum(found.figures["explained"]) == pytest.approx(
        (turned**2).sum() / (points**2).sum()
    )


@pytest.mark.parametrize("method", BENT)
def test_bent_maps_keep_neighbours_and_are_the_same_again(method, sklearn):
    points, groups = clusters()
    found, again = (lay_out(points, method, seed=2) for _ in range(2))
    np.testing.assert_array_equal(found.points, again.points)
    assert found.points.shape == (30, 2)
    np.testing.assert_allclose(found.points.mean(0), 0, atol=1e-6)
    assert (groups[nearest(found.points)] == groups).mean() > 0.9


@pytest.mark.parametrize(
    ("method", "name", "value", "sentence"),
    [
        ("tsne", "perplexity", 7 / 3, "perplexity 2.33, fewer than 30 for 8 points"),
        ("lle", "neighbours", 4, "4 neighbours, fewer than 12 for 8 points"),
    ],
)
def test_what_is_adapted_to_few_points_is_said(method, name, value, sentence, sklearn):
    points = np.random.default_rng(0).standard_normal((8, 20))
    found = lay_out(points, method)
    assert found.figures[name] == pytest.approx(value)
    assert sentence in found.notes
    given = lay_out(points, method, **{name: 3})
    assert given.figures[name] == 3 and "fewer" not in given.notes[0]


@pytest.mark.parametrize("method", METHODS)
def test_points_that_are_one_are_not_torn_apart(method):
    found = lay_out(np.ones((5, 3)), method)
    assert not found.points.any() and found.notes == ("all points are the same",)


def test_what_a_map_cannot_show_is_said():
    found = lay_out(np.eye(8), "pca")
    assert "equally far apart" in found.notes[-1]
    assert "equally" not in str(lay_out(np.diag(np.arange(1, 9)), "pca").notes)
    line = lay_out(np.arange(5.0)[:, None], "pca")
    assert "the points have 1 dimension" in line.notes
    np.testing.assert_allclose(line.points, [(x, 0) for x in (-2, -1, 0, 1, 2)])


@pytest.mark.parametrize(
    ("points", "method", "options", "sentence"),
    [
        (np.eye(4), "umap", {}, "unknown method 'umap': choose from random"),
        (np.eye(1), "pca", {}, r"at least two points .* got \[1, 1\]"),
        (np.eye(3)[0], "pca", {}, "at least two points"),
        (np.full((4, 4), np.nan), "pca", {}, "finite"),
        (np.eye(3), "tsne", {}, "t-SNE needs at least 4 points, got 3: take pca"),
        (np.eye(3), "lle", {}, "embedding needs at least 4 points"),
        (np.eye(6), "tsne", {"perplexity": 6}, "from 1 to below the 6 points"),
        (np.eye(6), "tsne", {"perplexity": 0.5}, "got 0.5"),
        (np.eye(6), "lle", {"neighbours": 6}, "from 1 to 5 of 6 points, got 6"),
    ],
)
def test_refusals(points, method, options, sentence):
    with pytest.raises(UserError, match=sentence):
        lay_out(points, method, **options)


def test_unknown_options_are_wrong_usage():
    with pytest.raises(UsageError):
        lay_out(np.eye(4), "none")


@pytest.mark.parametrize("method", BENT)
@pytest.mark.parametrize("package", ["sklearn", "threadpoolctl"])
def test_without_the_package_the_extra_is_named(method, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(MissingExtra, match=r"stylegan_jax\[maps\]"):
        lay_out(np.random.default_rng(0).standard_normal((8, 3)), method)
