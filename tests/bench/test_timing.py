import time

import jax
import jax.numpy as jnp
import pytest
from jax import monitoring

from stylegan_jax.bench.timing import (
    Budget,
    Compilation,
    Timing,
    measure,
    measure_once,
    timing_of,
)


def test_a_timing_says_median_range_and_spread():
    timing = timing_of([0.3, 0.1, 0.2])
    assert timing.to_json() == {
        "median": 0.2,
        "min": 0.1,
        "max": 0.3,
        "spread": pytest.approx(1.0),
        "repeats": 3,
        "calls": 1,
    }


@pytest.mark.parametrize(
    ("budget", "once", "count"),
    [
        (Budget(7), 100.0, 7),
        (Budget(seconds=1.0), 0.1, 10),
        (Budget(seconds=1.0), 60.0, 3),
        (Budget(seconds=1.0), 1e-6, 100),
    ],
)
def test_repeats_follow_from_the_budget(budget, once, count):
    assert budget.count(once) == count


def test_the_warm_up_does_not_count():
    slept = iter([0.2])

    def call():
        time.sleep(next(slept, 0.01))
        return jnp.zeros(())

    timing = measure(call, Budget(3))
    assert len(timing.seconds) == 3 and timing.calls == 1
    assert 0.01 <= min(timing.seconds) and max(timing.seconds) < 0.2


def test_short_calls_are_grouped_and_the_figure_is_of_one():
    count = 0

    def call():
        nonlocal count
        count += 1
        time.sleep(2e-4)
        return jnp.zeros(())

    timing = measure(call, Budget(2))
    assert timing.calls >= 2 and count > 2 * timing.calls
    assert 2e-4 <= timing.median < 5e-2


def test_a_long_call_runs_once_more_than_it_counts():
    count = 0

    def call():
        nonlocal count
        count += 1
        time.sleep(0.11)
        return jnp.zeros(())

    timing = measure(call, Budget(2))
    assert len(timing.seconds) == 2 and count == 3


def test_waits_for_what_the_device_still_computes():
    matrix = jnp.ones((600, 600))
    program = jax.jit(lambda x: x @ x @ x @ x).lower(matrix).compile()
    began = time.perf_counter()
    jax.block_until_ready(program(matrix))
    alone = time.perf_counter() - began
    assert measure_once(lambda: program(matrix)) > alone / 20


def test_compiling_is_timed_and_hits_of_the_cache_are_counted():
    with Compilation() as compilation:
        jax.jit(lambda x: x + 1).lower(jnp.ones(3)).compile()
        monitoring.record_event("/jax/compilation_cache/cache_hits")
    monitoring.record_event("/jax/compilation_cache/cache_hits")
    assert compilation.seconds > 0 and compilation.cached >= 1
    seen = compilation.cached
    monitoring.record_event("/jax/compilation_cache/cache_hits")
    assert compilation.cached == seen


def test_a_timing_of_one_repeat_has_no_spread():
    assert Timing((0.5,)).spread == 0
