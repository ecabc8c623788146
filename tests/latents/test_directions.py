import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.errors import UserError
from stylegan_jax.latents.directions import (
    closed_form_directions,
    deviations,
    fix_signs,
    move_to_coordinates,
    principal_directions,
    project_out,
    span_of,
    without_span,
)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_principal_directions_are_those_of_a_singular_value_decomposition():
    w = (draw(200, 6) * [3, 2.5, 2, 1, 0.5, 0.1] + 7).astype(np.float32)
    units, widths = principal_directions(w, 4)
    centred = w.astype(np.float64) - w.astype(np.float64).mean(0)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(units, fix_signs(vectors[:4]), atol=1e-9)
    np.testing.assert_allclose(widths, values[:4] / np.sqrt(199), rtol=1e-9)
    np.testing.assert_allclose(deviations(w, units), widths, rtol=1e-9)


def test_closed_form_directions_are_those_of_the_weights():
    weights = [draw(6, channels, seed=channels) for channels in (3, 5, 9)]
    units, values = closed_form_directions(weights, 6)
    below = np.concatenate([weight.T for weight in weights])  # A of the paper
    _, singular, vectors = np.linalg.svd(below)
    np.testing.assert_allclose(units, fix_signs(vectors), atol=1e-9)
    np.testing.assert_allclose(values, singular**2, rtol=1e-9)
    # Nothing moves the styles more than the first.
    others = draw(50, 6)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    assert (np.linalg.norm(others @ below.T, axis=1) ** 2 < values[0]).all()


def test_signs():
    units = np.array([[0.6, -0.8], [0.8, 0.6], [0.0, 0.0]])
    assert fix_signs(units).tolist() == [[-0.6, 0.8], [0.8, 0.6], [0, 0]]
    np.testing.assert_array_equal(fix_signs(-units), fix_signs(units))


def test_too_many_directions():
    with pytest.raises(UserError, match="from 1 to 3 directions here, got 4"):
        principal_directions(draw(4, 9), 4)
    with pytest.raises(UserError, match="from 1 to 5"):
        closed_form_directions([draw(5, 2)], 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.booleans(), st.booleans())
def test_nothing_of_the_others_is_left(seed, number, layered, dependent):
    others = list(draw(number, 8, seed=seed))
    if layered:
        others[0] = draw(3, 8, seed=seed + 1)
    if dependent:
        others.append(others[-1] * -2)
    direction = draw(8, seed=seed + 2)
    left = project_out(direction, others)
    assert left.shape == ((3, 8) if layered else (8,))
    for other in others:
        products = np.sum(left * other, axis=-1)
        assert np.abs(products).max() < 1e-12 * max(1, np.abs(other).max())
    # What was taken away is in the span: taking it again changes nothing.
    np.testing.assert_allclose(project_out(left, others), left, atol=1e-12)


def test_what_is_in_the_span_is_refused():
    a, b = draw(2, 4)
    with pytest.raises(UserError, match="nothing is left"):
        project_out(2 * a - b, [a, b])
    with pytest.raises(UserError, match=r"\[4\], \[5\]"):
        project_out(a, [draw(5)])


def test_span():
    a, b = draw(2, 4)
    assert span_of(np.stack([a, 1e6 * a, 0 * a])).shape == (1, 4)
    assert span_of(np.stack([a, 1e-9 * b])).shape == (2, 4)
    left = without_span(draw(7, 4, seed=3), np.stack([a, b]))
    assert np.abs(left @ np.stack([a, b]).T).max() < 1e-12


def test_moving_to_coordinates():
    w, other = draw(2, 5, 8).astype(np.float32), draw(1, 5, 8, seed=1)
    directions = [draw(8, seed=2), draw(5, 8, seed=3)]
    moved = move_to_coordinates(w, other, directions, layers=[1, 3])
    np.testing.assert_array_equal(moved[:, [0, 2, 4]], w[:, [0, 2, 4]])
    for layer in (1, 3):
        rows = np.stack([directions[0], directions[1][layer]])
        want = np.broadcast_to(other[:, layer] @ rows.T, (2, 2))
        np.testing.assert_allclose(moved[:, layer] @ rows.T, want, atol=1e-5)
        # All else of the face stays.
        across = np.linalg.svd(rows)[2][2:]
        np.testing.assert_allclose(
            moved[:, layer] @ across.T, w[:, layer] @ across.T, atol=1e-5
        )
    half = move_to_coordinates(w, other, directions, layers=[1, 3], share=0.5)
    np.testing.assert_allclose(half, (w + moved) / 2, atol=1e-6)
    none = move_to_coordinates(w, other, directions, share=0)
    np.testing.assert_array_equal(none, w)


def test_moves_that_do_not_fit():
    w = np.zeros((3, 5, 8))
    with pytest.raises(UserError, match=r"got \[2, 5, 8\]"):
        move_to_coordinates(w, np.zeros((2, 5, 8)), [np.ones(8)])
    with pytest.raises(UserError, match=r"got \[7\]"):
        move_to_coordinates(w, w, [np.ones(8), np.ones(7)])
