"""Averages between ticks, and numbers that stay broken."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.training.figures import Figures

NAN, INF = float("nan"), float("inf")


def feed(figures, name, values, start=0):
    """One metric's values, a step of 8 images each."""
    for step, value in enumerate(values):
        figures.add(start + 8 * step, {name: jnp.float32(value)})


def test_averages_since_the_last_tick():
    figures = Figures(3, "a lower rate")
    for step in range(4):
        metrics = {"loss/b": jnp.float32(step), "loss/a": jnp.float32(1)}
        if step == 2:
            metrics["reg/r1"] = jnp.float32(7)  # not every step has it
        figures.add(8 * step, metrics)
    found = figures.fetch()
    assert found == {"loss/a": 1, "loss/b": 1.5, "reg/r1": 7, "nonfinite": 0}
    assert all(type(value) is float for value in found.values())
    assert list(found) == ["loss/a", "loss/b", "reg/r1", "nonfinite"]
    assert figures.fetch() == {"nonfinite": 0}


def test_finite_values_alone_are_averaged():
    figures = Figures(3, "a lower rate")
    feed(figures, "loss/g_main", [1, NAN, INF, 3])
    assert figures.fetch() == {"loss/g_main": 2, "nonfinite": 0}


def test_none_where_nothing_is_finite():
    figures = Figures(3, "a lower rate")
    feed(figures, "loss/g_main", [NAN, -INF])
    assert figures.fetch() == {"loss/g_main": None, "nonfinite": 0}


def test_replaced_elements_are_summed():
    figures = Figures(3, "a lower rate")
    for g, d in ((0, 2), (5, 0), (1, 1)):
        figures.add(0, {"nonfinite/g": np.float32(g), "nonfinite/d": np.float32(d)})
    assert figures.fetch() == {"nonfinite": 9}


def test_a_streak_names_metric_and_images():
    figures = Figures(3, "a lower rate")
    feed(figures, "loss/d_main", [1, NAN, INF, NAN])
    with pytest.raises(UserError) as caught:
        figures.fetch()
    assert str(caught.value) == (
        "loss/d_main has not been finite for 3 steps in a row, from image 8 to image "
        "24: go back to an earlier checkpoint with a lower rate."
    )


def test_gradients_count_as_broken_while_elements_are_replaced():
    figures = Figures(2, "a lower rate")
    feed(figures, "nonfinite/g", [1, 0, 3, 2])
    with pytest.raises(
        UserError, match=r"^gradient of g has .* 2 .* from image 16 to image 24:"
    ):
        figures.fetch()


def test_streaks_go_on_across_ticks():
    figures = Figures(4, "a lower rate")
    feed(figures, "loss/g_main", [NAN, 1, NAN, NAN])
    figures.fetch()
    feed(figures, "loss/g_main", [NAN], start=32)
    figures.fetch()
    feed(figures, "loss/g_main", [NAN], start=40)
    with pytest.raises(UserError, match="4 steps in a row, from image 16 to image 40"):
        figures.fetch()


def test_a_good_value_ends_a_streak():
    figures = Figures(2, "a lower rate")
    for start in range(0, 64, 16):
        feed(figures, "loss/g_main", [NAN, 1], start)
        figures.fetch()


def test_metrics_have_streaks_of_their_own():
    figures = Figures(2, "a lower rate")
    feed(figures, "loss/g_main", [NAN])
    feed(figures, "loss/d_main", [NAN])
    assert figures.fetch() == {
        "loss/d_main": None,
        "loss/g_main": None,
        "nonfinite": 0,
    }
