"""Pairs as training sees them, and every set that is refused."""

import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import pair_checks, training_pairs
from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.data.pipeline import make_stream
from stylegan_jax.data.records import write_arrayrecord
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UsageError, UserError

NUM, SIZE = 6, 8


def sources(num=NUM, size=SIZE):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 250, (size, size, 3), np.uint8) for _ in range(num)]


def write_set(path, a, b, about_a=None):
    """A set of pairs as the commands write it."""
    lines = []
    for i, pair in enumerate(zip(a, b, strict=True)):
        for side, array in zip("AB", pair, strict=True):
            (path / side).mkdir(parents=True, exist_ok=True)
            squeezed = array[:, :, 0] if array.shape[2] == 1 else array
            Image.fromarray(squeezed).save(path / side / f"{i:08d}.png")
        lines.append({"index": i, "a": f"A/{i:08d}.png", "b": f"B/{i:08d}.png"})
    document = {
        "kind": manifest.KIND, "format": manifest.FORMAT, "complete": True,
        "image_shape": list(b[0].shape), "num": len(lines), "a": about_a,
    }  # fmt: skip
    (path / "manifest.json").write_text(json.dumps(document))
    write_lines(path, lines)
    return path


def write_lines(path, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "manifest.jsonl").write_text(text)


def targets(a):
    return [array + np.uint8(5) for array in a]


@pytest.fixture
def pairs(tmp_path):
    a = sources()
    return write_set(tmp_path / "set", a, targets(a))


@pytest.fixture
def maps(tmp_path):
    a = [np.full((SIZE, SIZE, 1), i, np.uint8) for i in range(NUM)]
    side = {"kind": manifest.LABELS, "channels": 1}
    return write_set(tmp_path / "maps", a, sources(), side)


def test_side_a_is_the_source_and_left_out_pairs_stay_out(pairs):
    lines = manifest.read_pairs(pairs)
    write_lines(pairs, [{**x, "keep": x["index"] != 1} for x in lines])
    opened = open_training_pairs(pairs)
    assert len(opened) == opened.num_images == NUM - 1
    assert (opened.name, opened.label_dim) == ("set", 0)
    assert opened.image_shape == opened.source_shape == (SIZE, SIZE, 3)
    for i, array in enumerate(np.delete(sources(), 1, 0)):
        item = opened[i]
        assert item.keys() == {"source", "target"}
        np.testing.assert_array_equal(item["source"], array)
        np.testing.assert_array_equal(item["target"], array + 5)
        item["target"][:] = 0  # what is given out is the caller's own
        np.testing.assert_array_equal(opened[i]["target"], array + 5)
    assert opened.entry(1)["index"] == 2
    with pytest.raises(IndexError):
        opened[NUM - 1]


def test_sides_get_the_sizes_and_channels_that_are_asked_for(pairs):
    opened = open_training_pairs(
        pairs, source_size=4, target_size=16, source_channels=1
    )
    assert opened.source_shape == (4, 4, 1) and opened.image_shape == (16, 16, 3)
    want = Image.fromarray(sources()[0]).convert("L").resize((4, 4), 1)
    np.testing.assert_array_equal(opened[0]["source"][:, :, 0], np.asarray(want))
    assert opened[0]["target"].shape == (16, 16, 3) and opened.stored_side == SIZE


def test_a_stream_and_held_out_pairs(pairs):
    opened = open_training_pairs(pairs)
    (kept, _), (held, _) = (d[0] for d in hold_out([(opened, 1.0)], 1 / 3))
    assert (len(kept), len(held)) == (4, 2)
    shown = {kept.entry(i)["index"] for i in range(4)}
    assert shown | {held.entry(i)["index"] for i in range(2)} == set(range(NUM))
    assert len({opened.fingerprint, kept.fingerprint, held.fingerprint}) == 3
    with make_stream([(kept, 1.0)], batch=4, seed=3) as stream:
        batch = next(stream)
        assert batch["source"].shape == (4, SIZE, SIZE, 3)
        np.testing.assert_array_equal(batch["source"] + 5, batch["target"])
        assert len(np.unique(batch["source"][:, 0, 0], axis=0)) == 4


def test_pickling_leaves_decoded_pairs_behind(pairs, monkeypatch):
    opened = open_training_pairs(pairs)
    before = [opened[i]["target"] for i in range(NUM)]
    data = pickle.dumps(opened.part(np.array([4, 2])))
    assert len(data) < 6000
    copied = pickle.loads(data)
    np.testing.assert_array_equal(copied[1]["target"], before[2])
    # Without room in memory, every time is a decoding.
    monkeypatch.setattr(training_pairs, "MEMORY_BYTES", 0)
    large = open_training_pairs(pairs)
    np.testing.assert_array_equal(large[3]["target"], before[3])
    (pairs / "B" / "00000003.png").write_bytes(b"")
    with pytest.raises(UserError, match="B/00000003.png was damaged after"):
        large[3]
    np.testing.assert_array_equal(opened[3]["target"], before[3])


def test_the_fingerprint_follows_what_is_read_and_how(pairs, tmp_path):
    first = open_training_pairs(pairs).fingerprint
    shutil.copytree(pairs, tmp_path / "copy")
    assert open_training_pairs(tmp_path / "copy").fingerprint == first
    lines = manifest.read_pairs(pairs)
    write_lines(pairs, [{**x, "scores": {"lpips": 0.1}} for x in lines])
    assert open_training_pairs(pairs).fingerprint == first
    found = {
        first,
        open_training_pairs(pairs, source_size=4).fingerprint,
        open_training_pairs(pairs, target_size=4).fingerprint,
        open_training_pairs(pairs, source_channels=1).fingerprint,
    }
    Image.fromarray(sources()[0]).save(pairs / "B" / "00000002.png")
    found.add(open_training_pairs(pairs).fingerprint)
    write_lines(pairs, lines[1:])
    found.add(open_training_pairs(pairs).fingerprint)
    assert len(found) == 6


def test_pairs_in_arrayrecord_files_open_alike(pairs):
    pytest.importorskip("array_record")
    plain = open_training_pairs(pairs)
    for side in "AB":
        files = sorted((pairs / side).iterdir())
        write_arrayrecord(
            str(pairs / f"{side}.arrayrecord"),
            (file.read_bytes() for file in files),
            {"names": [file.name for file in files]}.copy,
        )
    lines = manifest.read_pairs(pairs)
    stored = {"a": "A.arrayrecord", "b": "B.arrayrecord"}
    write_lines(pairs, [{**line, **stored} for line in lines])
    opened = pickle.loads(pickle.dumps(open_training_pairs(pairs)))
    for i in (0, NUM - 1):
        for side in ("source", "target"):
            np.testing.assert_array_equal(opened[i][side], plain[i][side])


@pytest.mark.parametrize("equal", [NUM, 4, 3])
def test_sources_that_are_the_targets_must_be_meant(tmp_path, equal):
    a = sources()
    b = [*a[:equal], *targets(a)[equal:]]
    path = write_set(tmp_path / "set", a, b)
    assert len(open_training_pairs(path, reconstruct=True)) == NUM
    if equal <= NUM // 2:
        assert len(open_training_pairs(path)) == NUM
        return
    said = rf"are its targets \({equal} of {NUM} pairs are equal.*data.reconstruct=true"
    with pytest.raises(UserError, match=said):
        open_training_pairs(path)


def test_of_many_pairs_some_are_compared_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(pair_checks, "COMPARED", 2)
    path = write_set(tmp_path / "set", sources(), sources())
    with pytest.raises(UserError, match="2 of 2 pairs that were compared are equal"):
        open_training_pairs(path)


def test_missing_damaged_and_unlike_halves_are_all_listed(pairs):
    (pairs / "A" / "00000001.png").unlink()
    (pairs / "B" / "00000002.png").write_bytes(b"text")
    Image.new("RGB", (4, 4)).save(pairs / "B" / "00000003.png")
    with pytest.raises(UserError, match="3 pictures of pairs") as caught:
        open_training_pairs(pairs)
    for said in (
        "A/00000001.png: cannot",
        "B/00000002.png: ",
        "B/00000003.png: is 4x4",
    ):
        assert said in str(caught.value)


def test_pictures_that_end_early_are_listed(pairs):
    for name in ("A/00000001.png", "B/00000004.png"):
        file = pairs / name
        file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(UserError, match="2 pictures of pairs are damaged") as caught:
        open_training_pairs(pairs)
    assert "A/00000001.png: " in str(caught.value)


def test_what_is_no_set_of_square_pairs_is_refused(pairs, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=r"data pairs SOURCES.*data\.reconstruct=true"):
        open_training_pairs(tmp_path / "photos")
    with pytest.raises(UserError, match="no folder"):
        open_training_pairs(tmp_path / "absent")
    document = manifest.read_document(pairs)
    (pairs / "manifest.json").write_text(json.dumps({**document, "complete": False}))
    with pytest.raises(UserError, match="not complete"):
        open_training_pairs(pairs)
    wide = [np.zeros((8, 12, 3), np.uint8), np.ones((8, 12, 3), np.uint8)]
    with pytest.raises(UserError, match="8x12 .*squares"):
        open_training_pairs(write_set(tmp_path / "wide", wide, wide[::-1]))


@pytest.mark.parametrize("name", ["../set/A/00000001.png", "/x.png", "a\0.png", ""])
def test_names_that_leave_the_folder_are_refused(pairs, name):
    lines = manifest.read_pairs(pairs)
    write_lines(pairs, [lines[0], {**lines[1], "b": name}])
    with pytest.raises(UserError, match="lie in its folder"):
        open_training_pairs(pairs)


@pytest.mark.parametrize(
    "options",
    [{"source_size": 0}, {"target_size": 10**6}, {"source_channels": 4},
     {"source_labels": 300}],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(pairs, options):
    with pytest.raises(UserError, match=next(iter(options))):
        open_training_pairs(pairs, **options)


def test_label_maps_keep_their_numbers_at_any_size(maps):
    opened = open_training_pairs(maps, source_labels=NUM, source_size=12, target_size=4)
    assert opened.source_shape == (12, 12, 1) and opened.source_labels == NUM
    assert opened.image_shape == (4, 4, 3)
    for i in range(NUM):
        assert (opened[i]["source"] == i).all()


def test_label_maps_and_pictures_are_not_taken_for_each_other(maps, pairs):
    with pytest.raises(UserError, match=r"are label maps.*source_labels=19"):
        open_training_pairs(maps)
    with pytest.raises(UserError, match=r"are pictures.*--labels-a"):
        open_training_pairs(pairs, source_labels=19)
    Image.new("RGB", (SIZE, SIZE)).save(maps / "A" / "00000002.png")
    with pytest.raises(UserError, match="A/00000002.png: is RGB, and a label map"):
        open_training_pairs(maps, source_labels=NUM)


@pytest.mark.parametrize("noted", [False, True])
def test_classes_beyond_the_last_are_listed(maps, noted):
    if noted:  # `data pairs` writes each map's largest number, so that none is decoded
        lines = [{**x, "largest_label": x["index"]} for x in manifest.read_pairs(maps)]
        write_lines(maps, lines)
    with pytest.raises(UserError, match="2 label maps have classes beyond 3") as caught:
        open_training_pairs(maps, source_labels=NUM - 2)
    assert "  A/00000004.png (pair 4): 4\n  A/00000005.png" in str(caught.value)
    opened = open_training_pairs(maps, source_labels=NUM)
    Image.new("L", (SIZE, SIZE), 99).save(maps / "A" / "00000000.png")
    with pytest.raises(UserError, match="pair 0.: 99"):
        opened[0]


@pytest.fixture
def thirds(pairs):
    """The pairs, with a third picture and maps of instances."""
    lines = manifest.read_pairs(pairs)
    for folder in ("C", "instances"):
        (pairs / folder).mkdir()
    for line, array in zip(lines, sources(), strict=True):
        name = f"{line['index']:08d}.png"
        line |= {"c": f"C/{name}", "instances": f"instances/{name}"}
        Image.fromarray(255 - array).save(pairs / line["c"])
        Image.fromarray(array[:, :, 0] // 100).save(pairs / line["instances"])
    write_lines(pairs, lines)
    document = json.loads((pairs / "manifest.json").read_text())
    document |= {"c": {}, "instances": {}}
    (pairs / "manifest.json").write_text(json.dumps(document))
    return pairs


def test_any_side_may_be_source_target_or_second(thirds):
    plain = open_training_pairs(thirds)
    opened = open_training_pairs(thirds, second="c", instances=True, source_size=4)
    assert opened[0].keys() == {"source", "target", "second", "instances"}
    item, whole = opened[2], open_training_pairs(thirds, second="c", instances=True)[2]
    assert item["second"].shape == (4, 4, 3) and item["instances"].shape == (4, 4, 1)
    np.testing.assert_array_equal(whole["second"], 255 - sources()[2])
    np.testing.assert_array_equal(whole["instances"], sources()[2][:, :, :1] // 100)
    item["second"][:] = 0
    assert opened[2]["second"].any()
    turned = open_training_pairs(thirds, source="c", target="a")
    np.testing.assert_array_equal(turned[1]["source"], 255 - sources()[1])
    np.testing.assert_array_equal(turned[1]["target"], sources()[1])
    prints = {x.fingerprint for x in (plain, opened, turned)}
    assert len(prints) == 3


def test_sides_that_there_are_not_are_refused(maps, thirds):
    with pytest.raises(UserError, match="sides a, b and not second=c: make a set"):
        open_training_pairs(maps, source_labels=NUM, second="c")
    with pytest.raises(UserError, match="have no maps of instances"):
        open_training_pairs(maps, source_labels=NUM, instances=True)
    with pytest.raises(UserError, match="can be the source alone and not the target"):
        open_training_pairs(maps, source="b", target="a")
    with pytest.raises(UsageError, match="are a, b, c, got second=d"):
        open_training_pairs(thirds, second="d")
    with pytest.raises(UsageError, match="used once, got source=b, target=b"):
        open_training_pairs(thirds, source="b")
    (thirds / "C" / "00000001.png").unlink()
    with pytest.raises(UserError, match=r"C/00000001.png: cannot be read"):
        open_training_pairs(thirds, second="c")
    assert len(open_training_pairs(thirds)) == NUM
    lines = manifest.read_pairs(thirds)
    del lines[3]["c"]
    write_lines(thirds, lines)
    with pytest.raises(UserError, match="does not name all of them; mend the pairs 3"):
        open_training_pairs(thirds, second="c")
