import json
import sys
from typing import ClassVar

import numpy as np
import pytest
from face_marks import marks, ramp, write_photos
from PIL import Image

from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.faces.align import Settings, align, output_stems
from stylegan_jax.faces.detectors import at_hand
from stylegan_jax.faces.landmarks import Face, FileFinder
from stylegan_jax.faces.records import FILE, JOURNAL, read_entries

SMALL, LARGE = marks((60, 60), 0.2), marks((140, 110), 0.5)


@pytest.fixture
def photos(tmp_path):
    faces = {"a.png": [SMALL, LARGE], "none.png": [], "sub/b.png": [SMALL]}
    return write_photos(tmp_path / "photos", faces)


def run(photos, dst, *, face="largest", size=16, workers=1, **kwargs):
    settings = Settings(size=size, face=face, landmarks=str(photos[1]))
    return align(photos[0], dst, settings, workers=workers, **kwargs)


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")
    }


def test_the_largest_face_of_each_photo(photos, tmp_path):
    done = run(photos, tmp_path / "out")
    assert set(files(tmp_path / "out")) == {"a.png", "sub/b.png"}
    assert (done.pictures, done.aligned, done.crops, done.kept) == (3, 2, 2, 0)
    assert done.failed == {"none.png": "no face in the landmarks file"}
    document = json.loads((tmp_path / "out" / FILE).read_text())
    entry = document["pictures"]["a.png"]
    assert (entry["width"], entry["height"], entry["found"]) == (240, 200, 2)
    (face,) = entry["faces"]
    assert face["index"] == 0 and face["output"] == "a.png" and face["detector"] is None
    np.testing.assert_array_equal(face["landmarks"], LARGE)
    assert np.shape(face["quad"]) == (4, 2) and np.shape(face["transform"]) == (3, 3)
    assert document["pictures"]["none.png"]["reason"] == done.failed["none.png"]
    assert not (tmp_path / "out" / JOURNAL).exists()


def test_all_faces_and_one_face(photos, tmp_path):
    run(photos, tmp_path / "all", face="all")
    assert set(files(tmp_path / "all")) == {"a_00.png", "a_01.png", "sub/b_00.png"}
    done = run(photos, tmp_path / "second", face="1")
    assert set(files(tmp_path / "second")) == {"a.png"}
    assert files(tmp_path / "second")["a.png"] == files(tmp_path / "all")["a_01.png"]
    assert done.failed["sub/b.png"] == (
        "no face 1: only 1 in the landmarks file, counted from 0"
    )


def test_any_number_of_processes_gives_the_same(photos, tmp_path):
    run(photos, tmp_path / "one", face="all")
    run(photos, tmp_path / "two", face="all", workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    texts = [(tmp_path / name / FILE).read_text() for name in ("one", "two")]
    assert texts[0] == texts[1]


def test_exif_turns_the_photo_first(tmp_path):
    folder, file = write_photos(tmp_path / "photos", {"a.png": [LARGE]})
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by 90 degrees
    ramp().rotate(90, expand=True).save(folder / "turned.png", exif=exif)
    file.write_text(
        json.dumps(dict.fromkeys(["a.png", "turned.png"], [LARGE.tolist()]))
    )
    run((folder, file), tmp_path / "out")
    found = files(tmp_path / "out")
    assert found["a.png"] == found["turned.png"]


def test_a_second_run_does_what_is_missing(photos, tmp_path):
    dst = tmp_path / "out"
    run(photos, dst)
    before = files(dst)
    (dst / "a.png").unlink()
    times = (dst / "sub" / "b.png").stat().st_mtime_ns
    seen = []
    done = run(photos, dst, progress=lambda *now: seen.append(now))
    # The one that failed is tried again, the one that is there is left alone.
    assert done.kept == 1 and seen == [(1, 3), (2, 3), (3, 3)]
    assert files(dst) == before
    assert (dst / "sub" / "b.png").stat().st_mtime_ns == times


def test_new_photos_and_new_landmarks_are_done(photos, tmp_path):
    dst = tmp_path / "out"
    run(photos, dst)
    folder, file = photos
    ramp().save(folder / "new.png")
    document = json.loads(file.read_text())
    document |= {"new.png": [LARGE.tolist()], "sub/b.png": [LARGE.tolist()]}
    file.write_text(json.dumps(document))
    done = run(photos, dst)
    assert done.kept == 1 and done.aligned == 3
    assert len(set(files(dst).values())) == 1


def test_a_killed_run_goes_on(photos, tmp_path):
    dst = tmp_path / "out"

    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, dst, progress=stop)
    assert not (dst / FILE).exists()
    with open(dst / JOURNAL, "a") as journal:
        journal.write('["sub/b.png", {"fac')  # the line it was at
    assert list(read_entries(dst)[1]) == ["a.png"]
    assert run(photos, dst).kept == 1
    run(photos, tmp_path / "whole")
    assert files(dst) == files(tmp_path / "whole")
    assert (dst / FILE).read_text() == (tmp_path / "whole" / FILE).read_text()


def test_photos_that_are_gone_keep_their_crops(photos, tmp_path):
    dst = tmp_path / "out"
    run(photos, dst)
    (photos[0] / "a.png").unlink()
    done = run(photos, dst)
    assert done.pictures == 2 and "a.png" in files(dst)
    assert "a.png" in json.loads((dst / FILE).read_text())["pictures"]
    assert done.unused == ["a.png"]


def test_other_settings_need_overwrite(photos, tmp_path):
    dst = tmp_path / "out"
    run(photos, dst, face="all")
    with pytest.raises(UserError, match=r"size 16 \(now 32\), face all \(now largest"):
        run(photos, dst, size=32)
    assert run(photos, dst, size=32, overwrite=True).kept == 0
    assert set(files(dst)) == {"a.png", "sub/b.png"}


def test_folders_of_other_things_are_left_alone(photos, tmp_path):
    dst = tmp_path / "out"
    dst.mkdir()
    (dst / "precious.png").write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(UserError, match="holds other files"):
            run(photos, dst, overwrite=overwrite)
    assert [p.name for p in dst.iterdir()] == ["precious.png"]
    for inside in (photos[0], photos[0] / "crops"):
        with pytest.raises(UserError, match="lies inside"):
            run(photos, inside)
    with pytest.raises(UserError, match="is a file"):
        run(photos, photos[1])


@pytest.mark.parametrize("output", ["../a.png", "/etc/a.png", "a.txt", 3])
def test_a_record_cannot_name_files_elsewhere(photos, tmp_path, output):
    dst = tmp_path / "out"
    run(photos, dst)
    document = json.loads((dst / FILE).read_text())
    document["pictures"]["a.png"]["faces"][0]["output"] = output
    (dst / FILE).write_text(json.dumps(document))
    with pytest.raises(UserError, match="not the record of an alignment"):
        run(photos, dst, overwrite=True)


def test_broken_photos_and_hopeless_faces_have_their_reason(tmp_path):
    away, flat = marks((900, 900), 0.2), np.full((68, 2), 9.0)
    faces = {"away.png": [away], "flat.png": [flat], "some.png": [LARGE, away]}
    folder, file = write_photos(tmp_path / "photos", {"bad.png": [LARGE], **faces})
    (folder / "bad.png").write_bytes(b"")
    done = run((folder, file), tmp_path / "out", face="all")
    assert done.failed == {
        "away.png": "face 0: its face lies outside of the picture",
        "bad.png": "empty file (0 bytes)",
        "flat.png": "face 0: its landmarks fall together in one place",
    }
    assert done.incomplete == {
        "some.png": "face 1: its face lies outside of the picture"
    }


def test_an_alignment_is_a_landmarks_file(photos, tmp_path):
    run(photos, tmp_path / "first", face="all")
    record = (photos[0], tmp_path / "first" / FILE)
    done = run(record, tmp_path / "again", face="all")
    assert files(tmp_path / "first") == files(tmp_path / "again")
    assert done.failed == {"none.png": "no face in the landmarks file"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "not a landmarks file"),
        ("{", "is not JSON"),
        ('{"a": 1, "b": [], "c": [[[1, 2]]]}', "for a, c: mend"),
        ('{"a": [[[1, "x"]]]}', "for a: mend"),
        (json.dumps({"a": [[[1e9, 0]] * 68]}), "for a: mend"),
        ('{"a": [' + json.dumps([[float("nan"), 0]] * 68) + "]}", "for a: mend"),
    ],
)
def test_landmarks_files_that_are_none(tmp_path, text, said):
    file = tmp_path / "marks.json"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        FileFinder(file)
    with pytest.raises(UserError, match="cannot be read"):
        FileFinder(tmp_path / "absent.json")


def test_wrong_settings(photos, tmp_path):
    for settings, said in (
        (Settings(size=0), "size is 0"),
        (Settings(mode="x"), "choose from ffhq, eyes-nose-chin"),
        (Settings(face="-1"), "largest, all, or an index"),
    ):
        with pytest.raises(UsageError, match=said):
            align(photos[0], tmp_path / "out", settings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no pictures"):
        align(tmp_path / "empty", tmp_path / "out")


def test_without_dlib_the_extra_is_named(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingExtra, match=r"stylegan_jax\[faces\]"):
        align(photos[0], tmp_path / "out", Settings(size=16))
    assert not (tmp_path / "out").exists()


def test_names_of_crops():
    names = ["a.jpg", "a.png", "b/a.jpg", "c.JPG", "C.png", "d.e.jpg"]
    assert output_stems(names) == ["a.jpg", "a.png", "b/a", "c.JPG", "C.png", "d.e"]
    with pytest.raises(UserError, match=r"a\.png, a\.png\.jpg would have the same"):
        output_stems(["a.jpg", "a.png", "a.png.jpg"])


class Seer:
    """Stands for dlib's finder: hog sees one face, cnn another one as well."""

    asked: ClassVar[list] = []

    def __init__(self, threshold, *, detector, every):
        self.names = at_hand(detector)

    def find(self, name, pixels):
        self.asked.append(name)
        seen = [Face(marks((120, 100), 0.5), {"hog": 1.0, "cnn": 0.9})]
        if "cnn" in self.names:
            seen.append(Face(marks((60, 60), 0.2), {"cnn": 0.8}))
        return seen


@pytest.fixture
def seer(monkeypatch):
    """Asks `Seer`; the returned function says whether cnn's weights are there."""

    def have(cnn):
        Seer.asked.clear()
        state = "there" if cnn else "absent"
        monkeypatch.setattr(
            "stylegan_jax.checkpoints.weights.weights_state", lambda name: state
        )

    monkeypatch.setattr("stylegan_jax.faces.align.DlibFinder", Seer)
    have(True)
    return have


def see(tmp_path, **settings):
    if not (tmp_path / "photos").exists():
        write_photos(tmp_path / "photos", {"a.png": [], "b.png": []})
    settings = Settings(size=16, **settings)
    return align(tmp_path / "photos", tmp_path / "out", settings, workers=1)


def test_the_record_says_which_detector_saw_a_face(seer, tmp_path):
    done = see(tmp_path, face="all")
    assert done.crops == 4 and done.note is None
    record = json.loads((tmp_path / "out" / FILE).read_text())
    assert record["settings"]["detector"] == "auto"
    first, second = record["pictures"]["a.png"]["faces"]
    assert first["detector"] == "hog" and first["scores"] == {"hog": 1.0, "cnn": 0.9}
    assert second["detector"] == "cnn" and second["scores"] == {"cnn": 0.8}


def test_photos_are_looked_at_again_once_cnn_is_there(seer, tmp_path):
    seer(False)
    done = see(tmp_path, face="all")
    assert done.crops == 2 and "weights get mmod_human_face_detector" in done.note
    assert len(Seer.asked) == 2
    seer(True)
    done = see(tmp_path, face="all")
    assert (done.crops, done.kept, done.note) == (4, 0, None)
    seer(False)  # what it saw stays though it is gone
    done = see(tmp_path, face="all")
    assert (done.crops, done.kept) == (4, 2) and Seer.asked == []


def test_of_the_largest_face_none_is_looked_at_again(seer, tmp_path):
    seer(False)
    assert see(tmp_path).note is None  # hog saw it, and cnn would not be asked
    seer(True)
    assert see(tmp_path).kept == 2 and Seer.asked == []


def test_another_detector_needs_overwrite(seer, tmp_path):
    see(tmp_path)
    with pytest.raises(UserError, match=r"aligned with detector auto \(now hog\)"):
        see(tmp_path, detector="hog")
    with pytest.raises(UsageError, match="detector is 'eye'"):
        see(tmp_path, detector="eye")
