import pytest

from stylegan_jax.ops import make_filter


def test_unit_sum_and_proportions():
    f = make_filter([1, 3, 3, 1])
    assert f == (0.125, 0.375, 0.375, 0.125)
    assert make_filter([2.0]) == (1.0,)
    assert make_filter([3, -1]) == (1.5, -0.5)


def test_is_static_under_jit():
    assert hash(make_filter([1, 2, 1])) == hash(make_filter((2.0, 4.0, 2.0)))


@pytest.mark.parametrize("taps", [[], [0.0], [1, -1]])
def test_refuses_a_zero_sum(taps):
    with pytest.raises(ValueError, match="taps with a non-zero sum, got"):
        make_filter(taps)
