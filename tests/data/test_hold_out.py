"""Pictures that are kept from training."""

import pickle

import numpy as np
import pytest

from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.errors import UserError


@pytest.fixture
def dataset(make, tmp_path):
    src = make.folder(tmp_path / "src", 20, size=16)
    return open_dataset(src, mirror=True, cache_dir=tmp_path / "cache")


def pixels(dataset):
    return [dataset[i]["image"].tobytes() for i in range(dataset.num_images)]


def test_every_picture_is_on_one_side(dataset):
    (kept, weight), (held, same) = (d[0] for d in hold_out([(dataset, 2.0)], 0.25))
    assert (kept.num_images, held.num_images, weight, same) == (15, 5, 2.0, 2.0)
    assert sorted(pixels(kept) + pixels(held)) == sorted(pixels(dataset))
    assert len({dataset.fingerprint, kept.fingerprint, held.fingerprint}) == 3


def test_the_choice_stays_and_mirrored_pictures_follow(dataset):
    kept, held = (d[0][0] for d in hold_out([(dataset, 1.0)], 0.25))
    again, _ = (d[0][0] for d in hold_out([(dataset, 1.0)], 0.25))
    assert again.fingerprint == kept.fingerprint
    assert len(held) == 10
    flipped = held[5 + 3]["image"]
    np.testing.assert_array_equal(flipped, held[3]["image"][:, ::-1])
    with pytest.raises(IndexError):
        held[10]
    copied = pickle.loads(pickle.dumps(held))
    np.testing.assert_array_equal(copied[4]["image"], held[4]["image"])


def test_labels_keep_their_width_and_place(make, tmp_path):
    classes = [[f"p{i:03d}.png", i] for i in range(8)]
    src = make.folder(tmp_path / "src", 8, size=8, labels=classes)
    dataset = open_dataset(src, use_labels=True, cache_dir=tmp_path / "cache")
    for part in (d[0][0] for d in hold_out([(dataset, 1.0)], 0.5)):
        assert part.label_dim == 8
        for i in range(part.num_images):
            label = int(part[i]["label"].argmax())
            np.testing.assert_array_equal(part[i]["image"], dataset[label]["image"])


def test_no_share_holds_nothing_out(dataset):
    assert hold_out([(dataset, 1.0)], 0.0) == ([(dataset, 1.0)], [])


@pytest.mark.parametrize("share", [0.01, 0.99, 1.0])
def test_a_side_without_pictures_is_refused(dataset, share):
    with pytest.raises(UserError, match="nothing on one side.*held_out=0"):
        hold_out([(dataset, 1.0)], share)
