import json
from pathlib import Path

import numpy as np
import pytest

from stylegan_jax.data.check import KINDS, check
from stylegan_jax.errors import UserError


def test_one_report_lists_every_offender(offenders):
    path, expected = offenders
    report = check(path)
    found = {name: set() for name in expected}
    for problem in report.problems:
        found[problem.path].add(problem.kind)
    assert found == expected
    assert not report.ok
    assert report.num_pictures == len(expected)
    assert report.sizes["16x16"] == 9


SENTENCES = {
    "d_size.png": "20x24, most are 16x16",
    "e_grey.png": "mode L",
    "f_palette.png": "mode P",
    "g_alpha.png": "transparent parts become white",
    "h_cmyk.jpg": "mode CMYK, a print format",
    "i_deep.png": "16 bits per channel, will be scaled to 8",
    "j_turned.jpg": "EXIF says rotated or mirrored",
    "k_cut.jpg": "truncated (",
    "l_cut.png": "truncated (",
    "m_zero.png": "empty file (0 bytes)",
    "n_text.png": "text, not a picture",
    "o_bomb.png": "decompression bomb",
    "deep/r_bomb.png": "declares 15000x17000 pixels, more than the limit of 250",
    "p_noise.jpg": "not a picture in a known format",
    "q_photo.heic": "HEIC, which Pillow cannot read",
    "c_same.png": "same bytes as a_good.png",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_text_has_a_sentence_for(offenders, name):
    text = check(offenders[0]).text()
    assert f"  {name}: " in text
    line = next(x for x in text.splitlines() if x.startswith(f"  {name}: "))
    assert SENTENCES[name] in line


def test_text_groups_with_counts_and_json_holds_all(offenders):
    report = check(offenders[0])
    text = report.text()
    assert "BROKEN: 2 x truncated pictures" in text
    assert "prepare mends: 1 x CMYK pictures" in text
    assert "note: 1 x exact duplicates" in text
    plain = json.loads(json.dumps(report.to_json()))
    assert plain["ok"] is False
    assert plain["num_broken"] == 8 and plain["num_dataset_problems"] == 0
    assert len(plain["problems"]) == len(report.problems)
    assert {p["severity"] for p in plain["problems"]} == {"broken", "mendable", "note"}


def test_zip_gets_the_same_report(offenders, make, tmp_path):
    path, expected = offenders
    files = {name: Path(path, name).read_bytes() for name in expected}
    packed = check(make.zip(tmp_path / "o.zip", files))
    plain = check(path)
    assert packed.problems == plain.problems


def test_workers_do_not_change_the_report(offenders):
    assert check(offenders[0], workers=1) == check(offenders[0], workers=4)


def test_clean_dataset(make, tmp_path):
    report = check(make.folder(tmp_path / "f", 5))
    assert report.ok and not report.problems
    assert "Nothing to mend" in report.text()


def test_smaller_than_the_batch(make, tmp_path):
    report = check(make.folder(tmp_path / "f", 5), batch=8)
    assert not report.ok
    said = "it has 5 pictures, fewer than the batch of 8"
    assert said in report.text() and "lower the batch (train.batch)" in report.text()
    plain = report.to_json()
    assert plain["num_broken"] == 0 and plain["num_dataset_problems"] == 1


def test_resolution_tells_upscaled_from_reduced(make, tmp_path):
    folder = make.folder(tmp_path / "f", 2, size=16)
    assert {p.kind for p in check(folder, resolution=32).problems} == {"small"}
    assert {p.kind for p in check(folder, resolution=8).problems} == {"size"}
    assert not check(folder, resolution=(16, 16)).problems


def test_sizes_are_told_as_options_take_them(make, tmp_path):
    folder = make.folder(tmp_path / "f", 2, size=16)
    (tmp_path / "f" / "wide.png").write_bytes(make.encode(make.gradient(8, 12)))
    report = check(folder, resolution=(4, 6))
    assert report.sizes == {"16x16": 2, "8x12": 1}
    assert "sizes (height x width) 16x16 (2), 8x12 (1)" in report.text()
    assert "wide.png: 8x12, wanted 4x6" in report.text()


def test_empty_folder_and_labels_without_pictures(make, tmp_path):
    (tmp_path / "none").mkdir()
    assert "no pictures found" in check(str(tmp_path / "none")).text()
    folder = make.folder(tmp_path / "f", 2, labels=[["p000.png", 0], ["gone.png", 1]])
    report = check(folder)
    text = report.text()
    assert report.ok  # pictures without labels can be trained on
    assert "gone.png: has a label in dataset.json, but is missing" in text
    assert "p001.png: has no label in dataset.json" in text
    (tmp_path / "f" / "dataset.json").write_text("{")
    assert "not valid JSON" in check(folder).text()


def test_long_lists_are_cut_only_where_prepare_mends(make, tmp_path):
    folder = make.folder(tmp_path / "f", 30)
    for i in range(20):
        grey = make.encode(np.full((16, 16, 1), i, np.uint8))
        (tmp_path / "f" / f"grey{i}.png").write_bytes(grey)
        (tmp_path / "f" / f"zero{i}.png").write_bytes(b"")
    report = check(folder)
    text = report.text()
    assert "... and 10 more" in text
    assert all(f"zero{i}.png" in text for i in range(20))
    assert all(f"grey{i}.png" in report.text(limit=None) for i in range(20))


def test_progress_is_told(make, tmp_path):
    calls = []
    check(make.folder(tmp_path / "f", 4), progress=lambda *a: calls.append(a))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_missing_path_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        check(str(tmp_path / "gone"))
    for empty in ("", " "):
        with pytest.raises(UserError, match="no path of pictures was given"):
            check(empty)


def test_every_kind_has_a_severity():
    assert {severity for _, severity in KINDS.values()} == {
        "broken",
        "mendable",
        "note",
    }
