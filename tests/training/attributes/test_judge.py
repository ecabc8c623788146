import numpy as np
import pytest

from stylegan_jax.training.attributes.judge import judge, ranks


def test_binary_figures():
    read, true = np.asarray([0.9, 0.4, 0.6, 0.1]), np.asarray([1, 1, 0, 0])
    found = judge("binary", read, true)
    assert found == {"accuracy": 0.5, "accuracy_balanced": 0.5, "auc": 0.75}
    assert judge("binary", np.full(4, 0.5), true)["auc"] == 0.5
    assert judge("binary", read, np.ones(4)) == {"accuracy": 0.5}


def test_numbers():
    true = np.asarray([1.0, 2.0, 3.0, 10.0])
    found = judge("number", true**2, true)
    assert found["spearman"] == pytest.approx(1)
    assert found["correlation"] == pytest.approx(np.corrcoef(true**2, true)[0, 1])
    assert found["mae"] == pytest.approx((0 + 2 + 6 + 90) / 4)
    assert judge("number", np.ones(4), true) == {"mae": 3.0}


def test_equals_share_their_place():
    np.testing.assert_array_equal(ranks(np.asarray([5, 1, 5, 0])), [2.5, 1, 2.5, 0])
