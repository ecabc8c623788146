import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stylegan_jax.data import prepare
from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.data.mixture import open_mixture, parse_paths
from stylegan_jax.errors import UserError


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_prepared_data_are_used_where_they_lie(make, tmp_path, cache):
    src = make.folder(tmp_path / "src", 4)
    prepare.prepare(src, str(tmp_path / "a.zip"), resolution=8)
    dataset = open_dataset(tmp_path / "a.zip", cache_dir=cache)
    assert dataset.image_shape == (8, 8, 3)
    assert (len(dataset), dataset.num_images, dataset.label_dim) == (4, 4, 0)
    item = dataset[1]
    assert item["image"].dtype == np.uint8 and item["image"].shape == (8, 8, 3)
    assert item["label"].shape == (0,) and item["label"].dtype == np.float32
    assert not cache.exists()


def test_foreign_data_that_fit_are_checked_once_and_not_copied(
    make, tmp_path, cache, monkeypatch
):
    src = make.folder(tmp_path / "src", 4, size=16)
    open_dataset(src, cache_dir=cache)
    assert [p.suffix for p in cache.iterdir()] == [".json"]
    monkeypatch.setattr("stylegan_jax.data.check.look", None)
    assert open_dataset(src, resolution=16, cache_dir=cache).image_shape == (16, 16, 3)


def test_bare_photos_are_converted_once(offenders, cache, monkeypatch):
    path, _ = offenders
    with pytest.raises(UserError, match="8 pictures cannot be used") as caught:
        open_dataset(path, resolution=8, cache_dir=cache)
    for remedy in ("--skip-broken (", "--config.data.skip_broken=true", "=True"):
        assert remedy in str(caught.value)
    assert not list(cache.glob("*.zip"))
    first = open_dataset(path, resolution=8, cache_dir=cache, skip_broken=True)
    assert first.num_images == 10
    monkeypatch.setattr(prepare, "prepare", None)
    again = open_dataset(path, resolution=8, cache_dir=cache, skip_broken=True)
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again[9]["image"], first[9]["image"])


def test_mixed_sizes_without_a_resolution_are_refused(offenders, cache):
    with pytest.raises(
        UserError, match=r"3 sizes .height x width., most often 16x16 \("
    ):
        open_dataset(offenders[0], cache_dir=cache)


def test_changed_pictures_and_damaged_caches_are_converted_again(make, tmp_path, cache):
    src = make.folder(tmp_path / "src", 2)
    open_dataset(src, resolution=8, cache_dir=cache)
    make.folder(tmp_path / "src", 3)
    assert len(open_dataset(src, resolution=8, cache_dir=cache)) == 3
    for file in cache.glob("*.zip"):
        file.write_bytes(b"cut off")
    assert len(open_dataset(src, resolution=8, cache_dir=cache)) == 3


def _bmp(make, red):
    """Only the middle, beyond what fingerprints sample, tells red apart."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[24:40, :, 0] = red
    return make.encode(image, "BMP")


@pytest.mark.parametrize("resolution", [8, 64])
def test_overwritten_pictures_of_equal_size_are_seen(make, tmp_path, cache, resolution):
    picture = tmp_path / "src" / "a.bmp"
    picture.parent.mkdir()
    for time, red in enumerate((50, 250), start=1):
        picture.write_bytes(_bmp(make, red))
        os.utime(picture, (time, time))
        options = {"resolution": resolution, "cache_dir": cache}
        got = open_dataset(tmp_path / "src", **options)[0]["image"]
        assert abs(int(got[len(got) // 2, 0, 0]) - red) < 40
    assert len({*cache.glob("*.zip"), *cache.glob("*.json")}) == 2


def test_folders_alike_in_names_and_sizes_do_not_share_a_cache(make, tmp_path, cache):
    means = []
    for place, red in (("x", 50), ("y", 250)):
        picture = tmp_path / place / "faces" / "a.bmp"
        picture.parent.mkdir(parents=True)
        picture.write_bytes(_bmp(make, red))
        os.utime(picture, (1, 1))
        dataset = open_dataset(picture.parent, resolution=8, cache_dir=cache)
        means.append(int(dataset[0]["image"].max()))
    assert means[1] > means[0] + 100


def test_leftovers_of_killed_processes_are_swept(make, tmp_path, cache):
    src = make.folder(tmp_path / "src", 2)
    open_dataset(src, resolution=8, cache_dir=cache)
    (file,) = cache.glob("*.zip")
    (cache / f".{file.name}.123-abcd").write_bytes(b"half")
    file.write_bytes(b"")
    open_dataset(src, resolution=8, cache_dir=cache)
    assert not list(cache.glob(".*"))


def test_concurrent_openers_convert_once(make, tmp_path, cache, monkeypatch):
    src = make.folder(tmp_path / "src", 8)
    calls, real, barrier = [], prepare.prepare, threading.Barrier(4)
    monkeypatch.setattr(
        prepare, "prepare", lambda *a, **k: calls.append(1) or real(*a, **k)
    )

    def opener(_):
        barrier.wait()
        return open_dataset(src, resolution=8, cache_dir=cache)[3]["image"].sum()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(opener, range(4)))) == 1
    assert len(calls) == 1
    assert len(list(cache.glob("*.zip"))) == 1


def test_mirror(make, tmp_path, cache):
    src = make.folder(tmp_path / "src", 3)
    dataset = open_dataset(src, mirror=True, cache_dir=cache)
    assert (len(dataset), dataset.num_images) == (6, 3)
    np.testing.assert_array_equal(dataset[4]["image"], dataset[1]["image"][:, ::-1])
    with pytest.raises(IndexError):
        dataset[6]


def test_class_labels_are_one_hot_and_vectors_pass(make, tmp_path, cache):
    classes = [[f"p00{i}.png", i] for i in range(3)]
    one = make.folder(tmp_path / "one", 3, labels=classes)
    dataset = open_dataset(one, use_labels=True, resolution=8, cache_dir=cache)
    assert dataset.label_dim == 3
    np.testing.assert_array_equal(dataset[2]["label"], [0, 0, 1])
    assert open_dataset(one, cache_dir=cache).label_dim == 0
    vectors = [[f"p00{i}.png", [i, 0.5]] for i in range(3)]
    two = make.folder(tmp_path / "two", 3, labels=vectors)
    dataset = open_dataset(two, use_labels=True, cache_dir=cache)
    np.testing.assert_array_equal(dataset[1]["label"], np.float32([1, 0.5]))


def test_subfolders_are_labels_when_asked(make, tmp_path, cache):
    make.folder(tmp_path / "src" / "a", 2)
    make.folder(tmp_path / "src" / "b", 1)
    for options in ({}, {"resolution": 8}):
        dataset = open_dataset(
            tmp_path / "src", use_labels=True, cache_dir=cache, **options
        )
        np.testing.assert_array_equal(dataset[2]["label"], [0, 1])


def test_labels_that_are_absent_or_incomplete_are_refused(make, tmp_path, cache):
    src = make.folder(tmp_path / "src", 3)
    with pytest.raises(UserError, match="has no labels: add a dataset.json"):
        open_dataset(src, use_labels=True, cache_dir=cache)
    src = make.folder(tmp_path / "src", 3, labels=[["p001.png", 0]])
    for resolution in (None, 8):
        with pytest.raises(UserError, match=r"2 of 3 pictures .* p000.png, p002.png"):
            open_dataset(src, use_labels=True, resolution=resolution, cache_dir=cache)
    src = make.folder(tmp_path / "one", 1, labels=[["p000.png", 10**9]])
    with pytest.raises(UserError, match="number the classes from 0"):
        open_dataset(src, use_labels=True, cache_dir=cache)


def test_samples_are_copies_and_pickling_works(make, tmp_path, cache):
    dataset = open_dataset(make.folder(tmp_path / "src", 2), cache_dir=cache)
    before = dataset[1]["image"].copy()
    dataset[1]["image"][:] = 0
    np.testing.assert_array_equal(dataset[1]["image"], before)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[1]["image"], before)
    assert again.fingerprint == dataset.fingerprint


def test_reduced_pictures_are_rounded_means(make, tmp_path, cache):
    src = tmp_path / "src"
    src.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (16, 24, 3), np.uint8)
        (src / f"{i}.png").write_bytes(make.encode(noise))
    data = open_dataset(src, cache_dir=cache, mirror=True)
    height, width, channels = data.image_shape
    small = data.reduced(2)
    assert small.image_shape == (height // 4, width // 4, channels)
    assert (len(small), small.num_images) == (6, 3)
    assert small.fingerprint != data.fingerprint
    again = pickle.loads(pickle.dumps(small))
    for index in (1, 4, 4):  # the last one from memory
        parts = data[index]["image"].astype(np.float64)
        parts = parts.reshape(height // 4, 4, width // 4, 4, channels)
        want = np.rint(parts.mean((1, 3)))
        np.testing.assert_array_equal(small[index]["image"], want)
        np.testing.assert_array_equal(again[index]["image"], want)
    held = small.part(np.array([2]))
    np.testing.assert_array_equal(held[0]["image"], small[2]["image"])
    with pytest.raises(ValueError, match="cannot be halved 20 times"):
        data.reduced(20)


def test_large_datasets_are_not_kept_in_memory(make, tmp_path, cache, monkeypatch):
    src = make.folder(tmp_path / "src", 2)
    kept = open_dataset(src, cache_dir=cache)
    monkeypatch.setattr("stylegan_jax.data.dataset.MEMORY_BYTES", 10)
    read = open_dataset(src, cache_dir=cache)
    assert read._memory is None
    np.testing.assert_array_equal(read[1]["image"], kept[1]["image"])


def test_file_damaged_after_the_check_is_a_sentence(make, tmp_path, cache):
    src = make.folder(tmp_path / "src", 2)
    dataset = open_dataset(src, cache_dir=cache)
    (tmp_path / "src" / "p001.png").write_bytes(make.encode(make.gradient(8, 8)))
    with pytest.raises(UserError, match="changed while it was in use"):
        dataset[1]


def test_pictures_added_to_prepared_ones_are_noticed(make, tmp_path, cache):
    src = make.folder(tmp_path / "src", 2)
    prepare.prepare(src, str(tmp_path / "p"), resolution=8, format="folder")
    (tmp_path / "p" / "new.png").write_bytes(make.encode(make.gradient()))
    with pytest.raises(UserError, match="2 sizes"):
        open_dataset(tmp_path / "p", cache_dir=cache)
    assert len(open_dataset(tmp_path / "p", resolution=8, cache_dir=cache)) == 3


@pytest.mark.parametrize(
    "note", [1, {}, {"version": 1}, {"version": 1, "shape": "x", "num_images": 2}]
)
def test_strange_provenance_is_not_trusted(make, tmp_path, cache, note):
    src = make.folder(tmp_path / "src", 2)
    document = {"labels": [["p000.png", 0]], "stylegan_jax": note}
    (tmp_path / "src" / "dataset.json").write_text(json.dumps(document))
    assert open_dataset(src, cache_dir=cache).image_shape == (16, 16, 3)
    with pytest.raises(UserError, match="1 of 2 pictures"):
        open_dataset(src, use_labels=True, cache_dir=cache)


def test_cache_that_cannot_be_made_is_a_sentence(make, tmp_path, monkeypatch):
    src = make.folder(tmp_path / "src", 2)
    (tmp_path / "file").write_text("")
    for resolution, said in (
        (8, r"file/c .* another folder \(--workdir"),
        (16, "place"),
    ):
        with pytest.raises(UserError, match=said):
            open_dataset(src, resolution=resolution, cache_dir=tmp_path / "file" / "c")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set XDG_CACHE_HOME"):
        open_dataset(src, resolution=8)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(make, tmp_path, cache, channels):
    src = make.folder(tmp_path / "src", 2)
    dataset = open_dataset(src, channels=channels, cache_dir=cache)
    assert dataset[0]["image"].shape == (16, 16, channels)


def test_paths_of_a_mixture(tmp_path):
    assert parse_paths("a/:3,b.zip:1,tfds:mnist") == [
        ("a/", 3),
        ("b.zip", 1),
        ("tfds:mnist", 1),
    ]
    assert parse_paths("tfds:mnist/test:0.5") == [("tfds:mnist/test", 0.5)]
    odd = tmp_path / "a,b:2"
    odd.mkdir()
    assert parse_paths(str(odd)) == [(str(odd), 1)]
    assert parse_paths([("a", 2), "b"]) == [("a", 2), ("b", 1)]
    for bad in ("a:0,b:1", "a:-1", "a:nan", [("a", True)], [("a", "x")]):
        with pytest.raises(UserError, match="expected a positive number"):
            parse_paths(bad)
    for empty in ("", [], " "):
        with pytest.raises(UserError, match="no path"):
            parse_paths(empty)


def test_mixtures_must_fit_together(make, tmp_path, cache):
    a = make.folder(tmp_path / "a", 2, labels=[["p000.png", 0], ["p001.png", 1]])
    b = make.folder(
        tmp_path / "b", 2, size=8, labels=[["p000.png", 0], ["p001.png", 0]]
    )
    with pytest.raises(UserError, match="say which resolution"):
        open_mixture([(a, 1), (b, 2)], cache_dir=cache)
    with pytest.raises(UserError, match="label them alike"):
        open_mixture([(a, 1), (b, 2)], resolution=8, use_labels=True, cache_dir=cache)
    both = open_mixture(f"{a}:1,{b}:2", resolution=8, cache_dir=cache)
    assert [weight for _, weight in both] == [1, 2]
