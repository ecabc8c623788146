import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import images, sources
from stylegan_jax.data.check import check
from stylegan_jax.data.prepare import prepare
from stylegan_jax.errors import UserError


def pixels(source, index):
    data = source.read(index)
    return images.to_array(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("format", ["zip", "arrayrecord", "folder"])
def test_formats_hold_the_same_pictures_and_labels(make, tmp_path, format):
    src = make.folder(tmp_path / "src", 5, labels=[["p001.png", 3], ["p004.png", 0]])
    suffix = {"zip": ".zip", "arrayrecord": ".arrayrecord", "folder": ""}[format]
    done = prepare(src, str(tmp_path / f"out{suffix}"), resolution=8, format=format)
    assert (done.num_images, done.shape, done.labelled) == (5, (8, 8, 3), 2)
    source = sources.open_source(done.path)
    assert source.kind == format
    assert source.names[1] == "00000/img00000001.png"
    assert source.labels() == {
        "00000/img00000001.png": 3,
        "00000/img00000004.png": 0,
    }
    expected = Image.open(tmp_path / "src" / "p002.png").resize(
        (8, 8), Image.Resampling.LANCZOS
    )
    np.testing.assert_array_equal(pixels(source, 2), np.asarray(expected))
    assert source.provenance()["original_names"][2] == "p002.png"
    assert check(done.path, resolution=8).ok


def test_zip_is_nvidias_layout_and_reproducible(make, tmp_path):
    src = make.folder(tmp_path / "src", 3)
    for name in ("a.zip", "b.zip"):
        prepare(src, str(tmp_path / name), resolution=8)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert all(m.compress_type == zipfile.ZIP_STORED for m in archive.infolist())
        assert json.loads(archive.read("dataset.json"))["labels"] is None


def test_every_mendable_offence_is_mended(offenders, tmp_path):
    path, expected = offenders
    done = prepare(
        path, str(tmp_path / "o.zip"), resolution=16, skip_broken=True, workers=2
    )
    broken = {"empty", "truncated", "not_a_picture", "bomb", "unreadable"}
    assert {p.path for p in done.left_out} == {
        name for name, kinds in expected.items() if kinds & broken
    }
    report = check(done.path, resolution=16)
    assert {p.kind for p in report.problems} <= {"duplicate"}
    note = sources.open_source(done.path).provenance()
    assert len(note["left_out"]) == len(done.left_out) == 8


def test_broken_pictures_are_refused_with_the_full_list(offenders, tmp_path):
    path, expected = offenders
    dst = tmp_path / "o.zip"
    with pytest.raises(UserError, match="8 pictures cannot be used") as caught:
        prepare(path, str(dst), resolution=16)
    for name in ("k_cut.jpg", "m_zero.png", "n_text.png", "deep/r_bomb.png"):
        assert name in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["offenders"]


def test_upscaled_pictures_are_counted(make, tmp_path):
    src = make.folder(tmp_path / "src", 3, size=16)
    assert prepare(src, str(tmp_path / "a.zip"), resolution=32).upscaled == 3
    assert prepare(src, str(tmp_path / "b.zip"), resolution=(8, 16)).upscaled == 0


def test_non_square_and_alpha(make, tmp_path):
    src = make.folder(tmp_path / "src", 1)
    done = prepare(src, str(tmp_path / "a.zip"), resolution=(8, 4), channels=4)
    assert pixels(sources.open_source(done.path), 0).shape == (8, 4, 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resolution": 0}, "resolution is 0"),
        ({"resolution": (8, 8, 8)}, "resolution is"),
        ({"format": "tar"}, "choose from zip, folder, arrayrecord"),
        ({"resize": "nearest"}, "choose from lanczos"),
        ({"crop": "top"}, "choose from center"),
        ({"channels": 2}, "channels is 2"),
    ],
)
def test_bad_options_are_refused(make, tmp_path, options, said):
    src = make.folder(tmp_path / "src", 1)
    with pytest.raises(UserError, match=said):
        prepare(src, str(tmp_path / "a.zip"), **{"resolution": 8, **options})


def test_destinations_that_would_lose_something_are_refused(make, tmp_path):
    src = make.folder(tmp_path / "src", 2)
    with pytest.raises(UserError, match="inside"):
        prepare(src, f"{src}/out.zip", resolution=8)
    theirs = make.folder(tmp_path / "theirs", 1)
    with pytest.raises(UserError, match="exists already"):
        prepare(src, theirs, resolution=8, format="folder")
    with pytest.raises(UserError, match="not a dataset written by this program"):
        prepare(src, theirs, resolution=8, format="folder", overwrite=True)
    assert (tmp_path / "theirs" / "p000.png").exists()


@pytest.mark.parametrize("format", ["zip", "folder"])
def test_overwrite_replaces_our_own(make, tmp_path, format):
    src = make.folder(tmp_path / "src", 2)
    dst = str(tmp_path / ("out.zip" if format == "zip" else "out"))
    prepare(src, dst, resolution=8, format=format)
    prepare(src, dst, resolution=4, format=format, overwrite=True)
    assert sources.open_source(dst).provenance()["shape"] == [4, 4, 3]
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_left_when_interrupted(make, tmp_path):
    src = make.folder(tmp_path / "src", 6)

    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    for name, format in (("a.zip", "zip"), ("a", "folder")):
        with pytest.raises(KeyboardInterrupt):
            prepare(
                src,
                str(tmp_path / name),
                resolution=8,
                format=format,
                progress=interrupt,
            )
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


def test_place_that_cannot_be_written_is_a_sentence(make, tmp_path):
    src = make.folder(tmp_path / "src", 2)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        prepare(src, str(tmp_path / "file" / "a.zip"), resolution=8)


def test_empty_and_hopeless_sources(make, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no pictures"):
        prepare(str(tmp_path / "none"), str(tmp_path / "a.zip"), resolution=8)
    (tmp_path / "none" / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match="none of its 1 pictures"):
        prepare(
            str(tmp_path / "none"),
            str(tmp_path / "a.zip"),
            resolution=8,
            skip_broken=True,
        )
