import numpy as np
import pytest

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.direction_fit import (
    class_distance,
    classes_of,
    fit_plane,
    held_out,
    spearman,
)

METHODS = ("logistic", "svm")


def latents(number=600, width=12, noise=0.0, seed=0):
    """Stretched latents, a direction, and labels that it parts."""
    rng = np.random.default_rng(seed)
    stretch = np.linspace(0.1, 2.0, width)
    w = (rng.standard_normal((number, width)) * stretch + 3).astype(np.float32)
    true = rng.standard_normal(width)
    true /= np.linalg.norm(true)
    values = (w - w.mean(0)) @ true + noise * rng.standard_normal(number)
    return w, true, values


def objective(x, y, theta, method, l2):
    """The documented sum, written apart from the program."""
    margin = y * (x @ theta[:-1] + theta[-1])
    loss = np.logaddexp(0, -margin)
    if method == "svm":
        loss = np.clip(1 - margin, 0, None) ** 2
    rows = np.where(y > 0, (y > 0).sum(), (y < 0).sum())
    total = (loss * len(y) / (2 * rows)).sum()
    return total + 0.5 * l2 * (theta[:-1] ** 2).sum()


@pytest.mark.parametrize("method", METHODS)
def test_the_plane_minimises_the_documented_sum(method):
    w, _, values = latents(200, 5, noise=1.0)
    positive = values > 0.7  # classes of unlike sizes
    plane = fit_plane(w, positive, method=method, l2=2.0)
    mean, scale = w.mean(0), np.sqrt(np.mean((w - w.mean(0)) ** 2))
    x = (w.astype(np.float64) - mean) / scale
    theta = np.append(plane.normal * scale, plane.offset + plane.normal @ mean)
    y = np.where(positive, 1.0, -1.0)
    least = objective(x, y, theta, method, 2.0)
    rng = np.random.default_rng(1)
    for size in (1e-2, 0.1, 1):
        for _ in range(20):
            other = theta + size * rng.standard_normal(len(theta))
            assert objective(x, y, other, method, 2.0) > least


@pytest.mark.parametrize("method", METHODS)
def test_a_true_direction_is_found(method):
    w, true, values = latents(2000)
    positive = values > np.median(values)
    plane = fit_plane(w, positive, method=method, l2=0.1)
    assert plane.unit @ true > 0.97
    assert ((plane.scores(w) > 0) == positive).mean() > 0.97
    assert class_distance(w, positive, plane.unit) > 0


def test_the_models_own_scale_changes_nothing():
    w, _, values = latents(300, noise=0.5)
    positive = values > 0
    small = fit_plane(w * 1e-3 + 5, positive)
    np.testing.assert_allclose(small.unit, fit_plane(w, positive).unit, atol=2e-3)


def test_held_out_figures():
    w, _, values = latents(400, noise=0.3)
    found = held_out(w, values > 0, values, method="logistic", l2=1.0)
    assert found == held_out(w, values > 0, values, method="logistic", l2=1.0)
    assert found["accuracy"] > 0.85 and found["spearman"] > 0.85
    rows = [rows for rows, _ in found["curve"]]
    assert rows == sorted(rows) and rows[-1] == 320
    assert found["curve"][-1][1] > found["curve"][0][1]
    # Labels by chance are not learnt, however well they are fitted.
    chance = np.random.default_rng(2).permutation(values)
    found = held_out(w, chance > 0, chance, method="logistic", l2=1.0)
    assert abs(found["balanced_accuracy"] - 0.5) < 0.1


def test_spearman():
    a = np.array([1.0, 2, 3, 4])
    assert spearman(a, np.exp(a)) == pytest.approx(1)
    assert spearman(a, -a) == pytest.approx(-1)
    assert spearman(a, np.array([1.0, 1, 2, 2])) == pytest.approx(2 / 5**0.5)
    assert spearman(a, np.ones(4)) is None


def test_classes():
    read = np.array([0.05, 0.4, 0.6, 0.95], np.float32)
    used, positive = classes_of(read, binary=True)
    assert used.all() and positive.tolist() == [False, False, True, True]
    used, _ = classes_of(read, binary=True, keep_confident=0.95)
    assert used.tolist() == [True, False, False, True]
    ages = np.array([10.0, 20, 30, 40, 50])
    assert classes_of(ages, binary=False)[1].tolist() == [False] * 3 + [True] * 2
    assert classes_of(ages, binary=False, threshold=15)[1].sum() == 4
    used, positive = classes_of(ages, binary=False, tails=0.25)
    assert used.tolist() == [True, True, False, True, True]
    assert positive[used].tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"binary": True, "tails": 0.3}, "--tails is for numbers"),
        ({"binary": True, "keep_confident": 0.3}, "from 0.5 to 1"),
        ({"binary": False, "keep_confident": 0.9}, "--keep-confident is for prob"),
        ({"binary": False, "tails": 0.6}, "above 0 to 0.5"),
        ({"binary": False, "tails": 0.1, "threshold": 1}, "either --threshold"),
    ],
)
def test_classes_that_cannot_be(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        classes_of(np.arange(4.0), **options)


def test_refusals():
    w, _, values = latents(50)
    with pytest.raises(UsageError, match="choose from logistic, svm"):
        fit_plane(w, values > 0, method="tree")
    with pytest.raises(UsageError, match="from 0 up"):
        fit_plane(w, values > 0, l2=float("nan"))
    with pytest.raises(UserError, match="needs both"):
        fit_plane(w, np.ones(50, bool))
    with pytest.raises(UserError, match="psi above 0"):
        fit_plane(np.ones((50, 3)), values > 0)
