import csv
import json
import time

import numpy as np
import pytest

from stylegan_jax.data.check import check
from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.data.toy import draw, write_toy
from stylegan_jax.errors import UserError


def test_faces_depend_on_the_seed_only():
    for style in ("photo", "comic"):
        one, _ = draw(7, style, 48)
        two, _ = draw(7, style, 48)
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
        other, _ = draw(8, style, 48)
        assert np.abs(np.asarray(one, float) - np.asarray(other, float)).mean() > 5


def test_both_styles_show_the_same_face():
    photo, first = draw(3, "photo", 32)
    comic, second = draw(3, "comic", 32)
    assert first == second
    a, b = np.asarray(photo, float), np.asarray(comic, float)
    assert np.abs(a - b).mean() > 5

    # Closer to its own comic than to those of other seeds, by grey correlation.
    def like(x, y):
        return np.corrcoef(x.mean(2).ravel(), y.mean(2).ravel())[0, 1]

    others = [
        like(a, np.asarray(draw(s, "comic", 32)[0], float)) for s in range(20, 40)
    ]
    assert like(a, b) > np.mean(others) + 0.1


def test_attributes_vary_and_show():
    rows = [draw(seed, "photo", 8)[1] for seed in range(150)]
    for key in ("hair", "hair_style", "eyes", "background"):
        assert len({row[key] for row in rows}) >= 3, key
    glasses = np.mean([row["glasses"] != "none" for row in rows])
    assert 0.15 < glasses < 0.5
    for key in ("skin", "smile", "yaw", "roll", "beard", "face_width"):
        assert len({row[key] for row in rows}) > 30, key


def test_skin_attribute_is_what_the_picture_shows():
    rows = []
    for seed in range(40):
        image, attributes = draw(seed, "photo", 32)
        if attributes["beard"] == 0 and abs(attributes["yaw"]) < 12:
            cheek = np.asarray(image, float)[16:20, 12:20].mean()
            rows.append((attributes["skin"], cheek))
    assert np.corrcoef(np.array(rows).T)[0, 1] < -0.8


def test_folder_is_a_ready_dataset(tmp_path):
    write_toy(tmp_path / "t", style="comic", num=24, size=16, seed=9)
    report = check(str(tmp_path / "t"), resolution=16)
    assert report.ok and not report.problems and report.num_pictures == 24
    dataset = open_dataset(tmp_path / "t", use_labels=True, cache_dir=tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with (tmp_path / "t" / "attributes.csv").open() as handle:
        table = list(csv.DictReader(handle))
    assert table[5]["file"] == "00000/img00000005.png" and table[5]["seed"] == "14"
    for index, row in enumerate(table):
        assert dataset[index]["label"].argmax() == (row["glasses"] != "none")
    expected = np.asarray(draw(14, "comic", 16)[0])
    np.testing.assert_array_equal(dataset[5]["image"], expected)
    note = json.loads((tmp_path / "t" / "dataset.json").read_text())
    assert note["stylegan_jax"]["class_names"] == ["no glasses", "glasses"]


def test_two_thousand_small_faces_take_half_a_minute_at_most():
    start = time.process_time()
    for seed in range(30):
        draw(seed, "photo", 32)
    assert (time.process_time() - start) / 30 * 2000 < 60  # 20 s when it was written


def test_refusals(tmp_path):
    with pytest.raises(UserError, match="choose from photo, comic"):
        draw(0, "oil", 32)
    with pytest.raises(UserError, match="size is 4"):
        draw(0, "photo", 4)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "holiday.jpg").write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="exists already|not a dataset written"):
            write_toy(
                tmp_path / "mine", style="photo", num=1, size=8, overwrite=overwrite
            )
    with pytest.raises(UserError, match="num is 0"):
        write_toy(tmp_path / "t", style="photo", num=0, size=8)
