"""Cadences: no due is lost or doubled, wherever a run is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.training.schedule import Every


def dues(every, counts):
    pairs = zip(counts, counts[1:], strict=False)
    return [now for before, now in pairs if every.due(before, now)]


@given(st.integers(1, 500), st.lists(st.integers(0, 10_000), min_size=2))
@settings(deadline=None)
def test_dues_over_any_partition(period, counts):
    """As many as there are multiples, if no step is longer than the period."""
    counts = sorted(counts)
    fine = []
    for before, now in zip(counts, counts[1:], strict=False):
        fine += range(before, now, period)
    fine.append(counts[-1])
    expected = counts[-1] // period - counts[0] // period
    assert len(dues(Every(period / 1000), fine)) == expected


@given(st.integers(1, 300), st.integers(1, 50), st.integers(0, 40), st.integers(1, 40))
@settings(deadline=None)
def test_a_resumed_run_keeps_the_cadence(period, batch, first, rest):
    counts = [batch * i for i in range(first + rest + 1)]
    every, again = Every(period / 1000), Every(period / 1000)
    whole = dues(every, counts)
    assert whole == dues(every, counts[: first + 1]) + dues(again, counts[first:])


@given(st.integers(1, 5000), st.integers(1, 50))
@settings(deadline=None)
def test_due_at_the_multiple_itself(period, times):
    """In floats 0.07 * 1000 is more than 70: the due would come a step late."""
    now = period * times
    assert Every(period / 1000).due(now - 1, now)
    assert not Every(period / 1000).due(now, now)


def test_at_most_once_in_a_step():
    assert dues(Every(0.01), [0, 35, 35, 39, 40]) == [35, 40]


def test_periods_that_are_no_whole_images():
    assert dues(Every(0.0025), range(11)) == [3, 5, 8, 10]


@pytest.mark.parametrize("kimg", [0, -1, float("inf")])
def test_never(kimg):
    assert not Every(kimg).due(0, 10**9)
