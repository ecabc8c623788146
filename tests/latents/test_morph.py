import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stylegan_jax.errors import UsageError
from stylegan_jax.latents.morph import EASINGS, frame_times, latents_at, slerp


@pytest.mark.parametrize("easing", EASINGS)
def test_easings_go_from_0_to_1_and_never_back(easing):
    values = [EASINGS[easing](t) for t in np.linspace(0, 1, 51)]
    assert values[0] == 0 and values[-1] == pytest.approx(1)
    assert np.all(np.diff(values) > 0)
    assert values[25] == pytest.approx(0.5)


def test_frames_of_a_line_and_of_a_circle():
    assert frame_times(3, 2, loop=False) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert frame_times(2, 2, loop=True) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    with pytest.raises(UsageError, match="at least two"):
        frame_times(1, 2, loop=True)
    with pytest.raises(UsageError, match="at least 1 frame"):
        frame_times(2, 0, loop=True)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("easing", EASINGS)
def test_films_pass_their_keys_exactly(spherical, easing):
    rng = np.random.default_rng(0)
    keys = rng.standard_normal((3, 16)).astype(np.float32)
    times = frame_times(3, 4, loop=True)
    path = latents_at(keys, times, 4, easing=easing, spherical=spherical)
    np.testing.assert_array_equal(path[::4], keys)
    # The circle closes: the last step goes back to the first key.
    assert np.linalg.norm(path[-1] - keys[0]) < np.linalg.norm(path[-1] - keys[2])


def test_a_part_of_the_times_gives_the_same_frames():
    keys = np.random.default_rng(1).standard_normal((2, 6, 8)).astype(np.float32)
    times = frame_times(2, 8, loop=False)
    whole = latents_at(keys, times, 8, easing="smooth")
    np.testing.assert_array_equal(
        latents_at(keys, times[3:5], 8, easing="smooth"), whole[3:5]
    )
    np.testing.assert_allclose(whole[4], keys.mean(0), atol=1e-6)


vectors = arrays(
    np.float32, 8, elements=st.floats(-4, 4, width=32, allow_subnormal=False)
).filter(lambda v: np.linalg.norm(v) > 0.1)


@given(vectors, vectors, st.floats(0, 1))
def test_the_arc_keeps_lengths(start, end, share):
    cosine = np.dot(start, end) / (np.linalg.norm(start) * np.linalg.norm(end))
    point = slerp(start, end, share)
    assert np.isfinite(point).all()
    if abs(cosine) < 0.999:
        length = (1 - share) * np.linalg.norm(start) + share * np.linalg.norm(end)
        assert np.linalg.norm(point) == pytest.approx(length, rel=1e-3)


def test_unknown_easing():
    with pytest.raises(UsageError, match="choose from linear, cosine"):
        latents_at(np.zeros((2, 3)), [(0, 0)], 1, easing="bounce")
