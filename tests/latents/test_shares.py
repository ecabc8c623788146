import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.morph import frame_times
from stylegan_jax.latents.shares import (
    find_face,
    labels,
    parse_faces,
    parse_shares,
    random_shares,
    shares_at,
)

NAMES = ("anna.png", "bela.jpg", "carla", "2", "a=b.png")


@pytest.mark.parametrize(
    ("word", "face"),
    [
        ("anna.png", 0),
        ("anna", 0),
        ("bela", 1),
        ("1", 0),
        ("5", 4),
        ("2", 3),  # a name counts before a number
        ("a=b", 4),
        ("0", None),
        ("6", None),
        ("ann", None),
        ("", None),
        ("٣", None),  # another script's 3
    ],
)
def test_faces_are_found_by_name_or_number(word, face):
    assert find_face(word, NAMES) == face


def test_accents_may_be_written_either_way():
    composed, apart = "Jos\u00e9", "Jose\u0301"
    assert find_face(composed, (f"{apart}.png", "b")) == 0
    assert find_face(apart, (f"{composed}.png", "b")) == 0


def test_suggestions_are_as_short_as_they_may_be():
    names = [f"00000/img{i:08d}.png" for i in range(3)]
    with pytest.raises(UsageError) as caught:
        parse_faces(["img00000007"], names)
    assert "did you mean img0000000" in str(caught.value)
    assert "00000/" not in str(caught.value)


def test_names_that_read_as_weights_are_named_by_number():
    with pytest.raises(UsageError, match=r"faces by number \(3=.5\)"):
        parse_shares("x=b,c=.5", ("x=b,c", "d"))


def test_a_stem_of_two_names_means_neither():
    names = ("a.png", "a.jpg", "b")
    assert find_face("a", names) is None and find_face("a.jpg", names) == 1
    assert labels(names) == ["1 a.png", "2 a.jpg", "3 b"]
    assert labels(("a.png", "b.jpg")) == ["1 a", "2 b"]


def test_folders_may_be_left_out_where_that_is_clear():
    names = ("00/a.png", "00/b.png", "01/a.png", "x.y/c")
    assert [find_face(w, names) for w in ("a", "a.png", "b", "00/a", "c", "2")] == [
        None, None, 1, 0, 3, 1,
    ]  # fmt: skip
    assert labels(names) == ["1 00/a", "2 00/b", "3 01/a", "4 x.y/c"]
    assert labels(("00/a.png", "00/b.png")) == ["1 a", "2 b"]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("anna=.6,bela=.4", [0.6, 0.4, 0, 0, 0]),
        ("anna=3, bela=1", [0.75, 0.25, 0, 0, 0]),
        ("anna,bela", [0.5, 0.5, 0, 0, 0]),
        ("carla", [0, 0, 1, 0, 0]),
        ("carla=-2", [0, 0, -1, 0, 0]),
        ("anna=1.5,bela=-.5", [0.75, -0.25, 0, 0, 0]),
        ("1=1,anna=1,carla=2", [0.5, 0, 0.5, 0, 0]),
        ("a=b=1,anna=1e0", [0.5, 0, 0, 0, 0.5]),
        ("anna=1e-30", [1, 0, 0, 0, 0]),
    ],
)
def test_weights(text, want):
    np.testing.assert_allclose(parse_shares(text, NAMES), want, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ana=.5,bella=.5", r"'ana' \(did you mean anna\?\); 'bella' \(did you me"),
        ("xxxx", r"no such face: 'xxxx'. Give names or numbers from 1 to 5"),
        ("anna=a,bela=nan", "'anna=a, bela=nan' has no number"),
        ("anna=1_0", "no number"),
        ("anna=0,bela=0", "come to nothing"),
        ("anna=1,1=-1", "come to nothing"),
        ("", "no such face: ''"),
        ("=1", "no such face: ''"),
    ],
)
def test_weights_that_are_none(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_shares(text, NAMES)


def test_many_names_are_not_all_listed():
    names = [f"face{i}" for i in range(200)]
    with pytest.raises(UsageError, match=r"1 to 200 \(face0, .*face11, …\)"):
        parse_faces(["face7", "nobody"], names)


def test_random_blends_lie_on_the_simplex_and_have_its_mean():
    shares = random_shares(4000, 4, seed=1)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_allclose(shares.mean(0), 0.25, atol=0.02)
    # The variance of a symmetric Dirichlet distribution: (1/n)(1 - 1/n) / (n·a + 1).
    for concentration in (0.2, 1.0, 5.0):
        drawn = random_shares(4000, 4, concentration=concentration)
        want = 0.25 * 0.75 / (4 * concentration + 1)
        np.testing.assert_allclose(drawn.var(0), want, rtol=0.12)


def test_a_random_blend_depends_on_its_seed_and_number_alone():
    few, many = random_shares(2, 8, seed=5), random_shares(9, 8, seed=5)
    np.testing.assert_array_equal(few, many[:2])
    assert np.abs(few - random_shares(2, 8, seed=6)).max() > 0.01
    # So small that gamma draws themselves would be zeros.
    assert np.isfinite(random_shares(20, 8, concentration=1e-4)).all()


@pytest.mark.parametrize(
    ("num", "concentration"), [(0, 1.0), (1, 0.0), (1, -1.0), (1, math.nan)]
)
def test_random_blends_that_cannot_be(num, concentration):
    with pytest.raises(UsageError):
        random_shares(num, 3, concentration=concentration)


def directions(shares, codes):
    v = shares @ codes
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def test_both_paths_pass_the_same_inputs_at_other_times():
    codes, stops = np.eye(3), np.eye(3)[:2]
    times = frame_times(2, 8, loop=False)
    straight = shares_at(stops, codes, times, 8, easing="linear")
    np.testing.assert_allclose(straight[:, 0], np.linspace(1, 0, 9))
    np.testing.assert_allclose(straight.sum(1), 1)
    arc = shares_at(stops, codes, times, 8, easing="linear", path="spherical")
    turned = directions(arc, codes)
    steps = np.arccos((turned[1:] * turned[:-1]).sum(1))
    np.testing.assert_allclose(steps, np.pi / 16)
    steps = directions(straight, codes)
    steps = np.arccos((steps[1:] * steps[:-1]).sum(1))
    assert steps[4] > 1.3 * steps[0]


@given(st.integers(0, 10**6), st.sampled_from(["simplex", "spherical"]))
def test_a_film_passes_its_stops_exactly(seed, path):
    rng = np.random.default_rng(seed)
    stops, codes = random_shares(3, 4, seed=seed), rng.uniform(0.1, 1, (4, 6))
    times = frame_times(3, 5, loop=True)
    found = shares_at(stops, codes, times, 5, path=path)
    assert len(found) == 15
    np.testing.assert_allclose(found[::5], stops)
    np.testing.assert_allclose(np.abs(found).sum(1), 1)


def test_paths_that_cannot_be():
    times = frame_times(2, 4, loop=False)
    with pytest.raises(UserError, match="blends 1 and 2 of the film are opposites"):
        shares_at(np.array([[1.0, 0], [-1, 0]]), np.eye(2), times, 4)
    with pytest.raises(UsageError, match="unknown path"):
        shares_at(np.eye(2), np.eye(2), times, 4, path="line")
    with pytest.raises(UsageError, match="unknown easing"):
        shares_at(np.eye(2), np.eye(2), times, 4, easing="jump")
