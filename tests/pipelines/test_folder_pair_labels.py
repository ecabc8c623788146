"""Sets whose side A holds label maps or grey sketches."""

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data.pair_manifest import read_document, read_pairs
from stylegan_jax.data.pairs import open_pairs
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.folder_pairs import Options, pair_folders
from stylegan_jax.pipelines.pair_scores import Curation

LABELS = Options(resolution=16, labels_a=True)


@pytest.fixture
def sides(tmp_path):
    """Maps of classes 0, 6, 12, 18 at half the pictures' size, one with a palette."""
    rng = np.random.default_rng(0)
    for side in "ab":
        (tmp_path / side).mkdir()
    for i in range(4):
        values = np.zeros((8, 8), np.uint8)
        values[2:6, 3:] = 6 * i
        image = Image.fromarray(values)
        if i == 2:
            image = Image.new("P", (8, 8))
            image.putdata(values.ravel().tolist())
            image.putpalette(rng.integers(0, 256, 768).tolist())
        image.save(tmp_path / "a" / f"{i}.png")
        photo = rng.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(photo).save(tmp_path / "b" / f"{i}.png")
    return tmp_path / "a", tmp_path / "b"


@pytest.mark.parametrize("storage", ["folder", "arrayrecord"])
def test_class_numbers_are_stored_unchanged(sides, tmp_path, storage):
    if storage == "arrayrecord":
        pytest.importorskip("array_record")
    out = tmp_path / "set"
    options = Options(resolution=16, labels_a=True, storage=storage)
    found = pair_folders(*sides, out, options)
    assert found["image_shape"] == [16, 16, 3]
    side = read_document(out)["a"]
    assert (side["kind"], side["channels"]) == ("labels", 1)
    assert [x["largest_label"] for x in read_pairs(out)] == [0, 6, 12, 18]
    pairs = open_pairs(out)
    assert pairs.labels and pairs.shapes == {"a": (16, 16, 1), "b": (16, 16, 3)}
    opened = open_training_pairs(out, source_labels=19)
    for i in range(4):
        want = np.zeros((16, 16, 1), np.uint8)
        want[4:12, 6:] = 6 * i
        np.testing.assert_array_equal(opened[i]["source"], want)
        np.testing.assert_array_equal(pairs.get(i)[0], want)
    with pytest.raises(UserError, match="1 label maps have classes beyond 17"):
        open_training_pairs(out, source_labels=18)


def test_maps_with_colours_are_all_listed(sides, tmp_path):
    for name in "13":
        Image.new("RGB", (8, 8)).save(sides[0] / f"{name}.png")
    with pytest.raises(UserError, match="2 pictures make no pairs") as caught:
        pair_folders(*sides, tmp_path / "set", LABELS)
    assert "1.png: is RGB" in str(caught.value) and "3.png" in str(caught.value)


def test_maps_are_curated_by_what_their_pictures_say(sides, tmp_path):
    Image.new("RGB", (16, 16), "grey").save(sides[1] / "3.png")
    out = tmp_path / "set"
    found = pair_folders(*sides, out, LABELS, curation=Curation())
    assert (found["pairs"], found["kept"]) == (4, 3)
    assert found["not_scored"] == ["LPIPS and identity: they need pictures in RGB"]
    lines = read_pairs(out, kept=False)
    assert all(set(x["scores"]) == {"sharpness_b"} for x in lines)
    assert lines[3]["reasons"][0].startswith("B is blurred")
    assert len(open_training_pairs(out, source_labels=19)) == 3
    again = pair_folders(*sides, out, LABELS, curation=Curation(sharpness=0))
    assert not again["written"] and again["kept"] == 4
    with pytest.raises(UserError, match='"labels" channels 1 .*and now "a" '):
        pair_folders(*sides, out, Options(resolution=16), curation=Curation())


def test_sketches_are_grey_beside_pictures_in_colour(sides, tmp_path):
    out = tmp_path / "set"
    options = Options(resolution=16, channels_a=1)
    pair_folders(*sides, out, options, curation=Curation(sharpness=0))
    document = read_document(out)
    assert document["a"]["channels"] == 1 and "kind" not in document["a"]
    with Image.open(out / "A" / "00000001.png") as image:
        assert image.mode == "L"
    assert open_training_pairs(out, source_channels=1)[0]["source"].shape[2] == 1
    assert open_training_pairs(out)[0]["source"].shape[2] == 3


def test_label_maps_are_neither_reconstructed_nor_have_channels(sides, tmp_path):
    for more in ({"reconstruct": True}, {"channels_a": 3}):
        with pytest.raises(UsageError, match="--labels-a and --"):
            pair_folders(*sides, tmp_path / "set", Options(labels_a=True, **more))


@pytest.fixture
def things(tmp_path):
    """Maps of instances as Cityscapes has them, at another size than the pictures."""
    (tmp_path / "things").mkdir()
    for i in range(4):
        values = np.zeros((8, 8), np.uint16)
        values[:, 4:], values[4:, 4:] = 26001, 26000 + i
        Image.fromarray(values).save(tmp_path / "things" / f"{i}.png")
    return tmp_path / "things"


@pytest.mark.parametrize("storage", ["folder", "arrayrecord"])
def test_instances_are_numbered_anew_and_come_with_the_pair(
    sides, things, tmp_path, storage
):
    options = Options(resolution=16, labels_a=True, storage=storage)
    pair_folders(*sides, tmp_path / "set", options, instances=things)
    opened = open_training_pairs(tmp_path / "set", source_labels=19, instances=True)
    for i, numbers in enumerate([[0, 1, 2], [0, 1], [0, 1, 2], [0, 1, 2]]):
        found = opened[i]["instances"]
        assert found.shape == (16, 16, 1) and np.unique(found).tolist() == numbers
        assert len({*found[0, :8, 0]}) == 1 and found[0, 0] != found[0, 8]
        assert (found[0, 8] == found[8, 8]) == (i == 1)
    assert "instances" not in open_training_pairs(tmp_path / "set", source_labels=19)[0]
    # Judged anew with the same maps alone.
    bounds = Curation(sharpness=0.0)
    pair_folders(*sides, tmp_path / "set", options, instances=things, curation=bounds)
    with pytest.raises(UserError, match="instances .* and now null"):
        pair_folders(*sides, tmp_path / "set", options, curation=bounds)


def test_instances_that_do_not_fit_are_listed(sides, things, tmp_path):
    for i in (1, 2):
        Image.fromarray(np.zeros((8, 4), np.uint8)).save(things / f"{i}.png")
    with pytest.raises(UserError, match=r"2 pictures .*\n.*1.png: is 8x4 .*\n.*2.png"):
        pair_folders(*sides, tmp_path / "set", LABELS, instances=things)
    many = np.arange(400, dtype=np.uint16).reshape(20, 20)
    Image.fromarray(many).save(things / "1.png")
    Image.fromarray(many[:8, :8] * 0).save(things / "2.png")
    with pytest.raises(UserError, match="has 400 instances, and 256 is the most"):
        pair_folders(*sides, tmp_path / "set", LABELS, instances=things)
    (things / "3.png").unlink()
    with pytest.raises(UserError, match=r"1 pairs do not have one map .*\n  3"):
        pair_folders(*sides, tmp_path / "set", LABELS, instances=things)
    assert not (tmp_path / "set").exists()
