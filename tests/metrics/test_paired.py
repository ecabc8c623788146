import numpy as np
import pytest

from stylegan_jax.metrics.paired import compare, cosine, l2, shrink, summary


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (2, 3, 8, 8, 3)).astype(np.float32)


def test_l2_is_of_each_pair_alone(pair):
    x, y = pair
    np.testing.assert_allclose(l2(x, y), np.mean((x - y) ** 2, (1, 2, 3)), rtol=1e-6)
    np.testing.assert_array_equal(l2(x, x), np.zeros(3))


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
    assert set(compare(x, y)) == {"l2"}
    found = compare(
        x,
        y,
        lpips=lambda a, b: abs(a - b).mean((1, 2, 3)),
        embed=lambda a: a.mean((1, 2)),
        size=4,
    )
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ("l2", "lpips", "identity"), (3,)
    )
    np.testing.assert_allclose(found["l2"], l2(shrink(x, 4), shrink(y, 4)), rtol=1e-6)
    with pytest.raises(ValueError, match="l2"):
        compare(x, y[:, :4])


def test_means_have_their_deviation():
    found = summary({"l2": [1.0, 3.0]})
    assert found == {"l2": 2.0, "l2_std": 1.0}
