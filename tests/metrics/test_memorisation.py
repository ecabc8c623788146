import numpy as np
import pytest

from stylegan_jax.data import toy
from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.errors import UserError
from stylegan_jax.metrics.memorisation import (
    Memorisation,
    discriminator_gap,
    overfitted,
    small,
    why_overfitted,
)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Two sets of faces that have no face in common."""
    found = []
    for seed in (0, 1000):
        folder = tmp_path_factory.mktemp("faces") / str(seed)
        toy.write_toy(folder, style="photo", num=80, size=32, seed=seed)
        data = open_dataset(folder)
        found.append(np.stack([data[i]["image"] for i in range(len(data))]))
    return found


def test_new_faces_are_no_copies(faces):
    known, new = faces
    figures = Memorisation(known)(new)
    assert 0.7 < figures["watch/nearest"] < 1.5
    assert 0.8 < figures["watch/diversity"] < 1.2
    assert not overfitted(figures)


@pytest.mark.parametrize("mirror", [False, True])
def test_copies_are_told_mirrored_or_not(faces, mirror):
    known, _ = faces
    copies = known[:40, :, ::-1] if mirror else known[:40]
    rng = np.random.default_rng(0)
    noisy = copies.astype(int) + rng.integers(-12, 13, copies.shape)
    figures = Memorisation(known)(np.clip(noisy, 0, 255).astype(np.uint8))
    assert figures["watch/nearest"] < 0.3
    assert overfitted(figures)


def test_one_picture_again_and_again_has_no_diversity(faces):
    known, new = faces
    figures = Memorisation(known)(np.repeat(new[:1], 20, axis=0))
    assert figures["watch/diversity"] < 1e-6
    assert overfitted(figures)


def test_pictures_are_averaged_over_their_area():
    pictures = np.zeros((1, 32, 48, 1), np.uint8)
    pictures[:, :16] = 255
    rows = small(pictures).reshape(16, 16)
    np.testing.assert_allclose(rows[:8], 1)
    np.testing.assert_allclose(rows[8:], -1)
    assert small(np.zeros((2, 8, 20, 3), np.uint8)).shape == (2, 8 * 16 * 3)


def test_sets_that_cannot_be_watched():
    one = np.zeros((1, 16, 16, 3), np.uint8)
    with pytest.raises(UserError, match="at least two"):
        Memorisation(one)
    with pytest.raises(UserError, match="equal"):
        Memorisation(np.repeat(one, 3, axis=0))


@pytest.mark.parametrize(
    "held_out, gap",
    [(2.0, 0.0), (-1.0, 1.0), (0.5, 0.5), (9.0, -1.0), (-9.0, 1.0)],
)
def test_the_gap_is_where_new_pictures_stand_between_known_and_drawn(held_out, gap):
    found = discriminator_gap(training=2.0, held_out=held_out, drawn=-1.0)
    assert found == pytest.approx(gap)


def test_no_gap_is_read_from_a_discriminator_that_tells_nothing():
    assert discriminator_gap(training=0.1, held_out=-3.0, drawn=0.2) == 0.0


def test_the_reason_names_every_figure_beyond_its_bound():
    figures = {"watch/nearest": 0.9, "watch/diversity": 0.2, "watch/gap": 0.8}
    said = "watch/diversity 0.20 is below 0.5, watch/gap 0.80 is above 0.75"
    assert why_overfitted(figures) == said
    assert not overfitted({"watch/gap": 0.1, "watch/nearest": 0.8})


def test_pictures_that_are_there_twice_do_not_count(faces):
    known, new = faces
    once = Memorisation(known)(new)
    twice = Memorisation(np.concatenate([known, known[:60], known[:20, :, ::-1]]))(new)
    assert twice["watch/nearest"] == pytest.approx(once["watch/nearest"], rel=0.05)
