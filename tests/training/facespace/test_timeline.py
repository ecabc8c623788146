import jax
import numpy as np
import pytest

from stylegan_jax.training.facespace.timeline import Timeline


def moments(line):
    at = jax.jit(line.at)
    return [jax.device_get(at(step)) for step in range(line.total)]


def test_phases_are_a_function_of_the_step():
    line = Timeline(steps=3, cycles=2, last=2, anneal=0.1, boost=100)
    assert (line.starts, line.total) == ((0, 3, 6, 9), 11)
    found = moments(line)
    rates = [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.01]
    np.testing.assert_allclose([m.rate for m in found], rates, rtol=1e-5)
    assert [m.propagation for m in found] == [1] * 3 + [0] * 8
    assert [m.pixel for m in found] == [1] * 9 + [100] * 2
    assert [i for i, m in enumerate(found) if m.fresh] == [0, 3, 6, 9]


@pytest.mark.parametrize("cycles", [0, 1])
def test_without_cycles_or_a_last_phase(cycles):
    line = Timeline(steps=2, cycles=cycles)
    found = moments(line)
    assert len(found) == 2 * (1 + cycles)
    assert [m.propagation for m in found] == [1, 1] + [0, 0] * cycles
    assert {float(m.pixel) for m in found} == {1.0}
