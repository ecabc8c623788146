import numpy as np
import pytest

from stylegan_jax.metrics.paired import (
    compare,
    cosine,
    l1,
    l2,
    retention,
    shrink,
    summary,
)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (2, 3, 8, 8, 3)).astype(np.float32)


def test_l2_is_of_each_pair_alone(pair):
    x, y = pair
    np.testing.assert_allclose(l2(x, y), np.mean((x - y) ** 2, (1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(l2(x, x), np.zeros(3))


def test_l1_is_of_each_pair_alone(pair):
    x, y = pair
    np.testing.assert_allclose(l1(x, y), np.abs(x - y).mean((1, 2, 3)), rtol=1e-6)


def test_cosine():
    a = np.array([[3, 0], [1, 1], [0, 2], [0, 0]], np.float32)
    b = np.array([[9, 0], [1, 0], [0, -1], [1, 0]], np.float32)
    np.testing.assert_allclose(cosine(a, b), [1, np.sqrt(0.5), -1, 0], atol=1e-6)


def test_large_pictures_are_averaged(pair):
    x = pair[0]
    blocks = x.reshape(3, 4, 2, 4, 2, 3).mean((2, 4))  # [N,h,2,w,2,C]
    np.testing.assert_allclose(shrink(x, 4), blocks, atol=1e-6)
    assert shrink(x, 8) is x and shrink(x) is x
    assert shrink(x[:, :4], 6).shape == (3, 4, 6, 3)


def test_what_is_compared(pair):
    x, y = pair
    assert set(compare(x, y)) == {"l1", "l2"}
    found = compare(
        x,
        y,
        lpips=lambda a, b: abs(a - b).mean((1, 2, 3)),
        embed=lambda a: a.mean((1, 2)),
        size=4,
    )
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ("l1", "l2", "lpips", "identity"), (3,)
    )
    np.testing.assert_allclose(found["l2"], l2(shrink(x, 4), shrink(y, 4)), rtol=1e-6)
    with pytest.raises(ValueError, match="l1 compares"):
        compare(x, y[:, :4])


def test_means_have_their_deviation():
    found = summary({"l2": [1.0, 3.0]})
    assert found == {"l2": 2.0, "l2_std": 1.0}


def test_what_becomes_of_an_attribute():
    source = np.array([0.1, 0.2, 0.8, 0.9])
    target = 1 - source
    found = retention(source + 0.05, target, source, binary=True)
    assert found["output"] == pytest.approx(0.55)
    assert found["source"] == found["target"] == pytest.approx(0.5)
    assert found["correlation_source"] == pytest.approx(1)
    assert found["correlation_target"] == pytest.approx(-1)
    assert (found["kept_source"], found["kept_target"]) == (1, 0)


def test_a_number_that_does_not_vary_correlates_with_nothing():
    found = retention(np.array([3.0, 4.0]), np.array([5.0, 5.0]), None, binary=False)
    assert found == {"output": 3.5, "target": 5.0, "correlation_target": None}
