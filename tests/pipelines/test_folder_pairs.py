import io
import json
import pickle

import numpy as np
import pytest
from lively_models import lively_generator
from PIL import Image
from tiny_models import save_tiny

from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.data.pair_manifest import read_document, read_pairs
from stylegan_jax.data.pairs import open_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.folder_pairs import Options, pair_folders
from stylegan_jax.pipelines.pair_sides import Direction
from stylegan_jax.pipelines.pairs import Options as Drawn
from stylegan_jax.pipelines.pairs import make_pairs


def picture(path, value, size=(16, 16), **options):
    """One colour that tells pictures apart; JPEGs are off by little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full((*size, 3), value, np.uint8)
    array[:, : size[1] // 2, 0] = 255 - value
    Image.fromarray(array).save(path, **options)


@pytest.fixture
def sides(tmp_path):
    """Two folders whose sorted lists differ at the first place."""
    for i, name in enumerate(("m/b", "m/c", "z")):
        picture(tmp_path / "a" / f"{name}.png", 10 * i)
        picture(tmp_path / "b" / f"{name}.jpg", 10 * i + 5, quality=95)
    return tmp_path / "a", tmp_path / "b"


@pytest.mark.parametrize("storage", ["folder", "arrayrecord"])
def test_pictures_of_one_name_become_pairs(sides, tmp_path, storage):
    if storage == "arrayrecord":
        pytest.importorskip("array_record")
    out = tmp_path / "set"
    found = pair_folders(*sides, out, Options(storage=storage))
    assert found["pairs"] == 3 and found["image_shape"] == [16, 16, 3]
    assert found["unmatched_a"] == found["unmatched_b"] == []
    pairs = pickle.loads(pickle.dumps(open_pairs(out)))
    assert len(pairs) == 3 and pairs.image_shape == (16, 16, 3)
    for i in range(3):
        a, b, entry = pairs.get(i)
        assert entry["stem"] == ("m/b", "m/c", "z")[i]
        assert entry["name"] == f"{i:08d}" and "seed" not in entry
        assert a.dtype == b.dtype == np.uint8
        assert a[0, -1, 1] == 10 * i and abs(int(b[0, -1, 1]) - 10 * i - 5) <= 3
        assert 0 < entry["scores"]["difference"] < 0.1
    document = read_document(out)
    assert document["complete"] and document["num"] == 3
    want = {"manifest.json", "manifest.jsonl"} | (
        {"A", "B"} if storage == "folder" else {"A.arrayrecord", "B.arrayrecord"}
    )
    assert {p.name for p in out.iterdir()} == want
    # Each side is a dataset of its own, with equal names.
    suffix = "" if storage == "folder" else ".arrayrecord"
    assert len(open_dataset(out / f"A{suffix}", cache_dir=tmp_path / "cache")) == 3


def test_leftovers_are_listed_all_and_never_shift_the_others(sides, tmp_path):
    a, b = sides
    picture(a / "first.png", 100)
    picture(a / "m" / "bb.png", 101)
    picture(b / "last.png", 102)
    with pytest.raises(UserError) as error:
        pair_folders(a, b, tmp_path / "set")
    said = str(error.value)
    assert "3 pictures" in said and "--skip-unmatched" in said
    for name in ("first.png", "m/bb.png", "last.png"):
        assert name in said
    assert not (tmp_path / "set").exists()
    found = pair_folders(a, b, tmp_path / "set", Options(skip_unmatched=True))
    assert found["unmatched_a"] == ["first.png", "m/bb.png"]
    assert found["unmatched_b"] == ["last.png"]
    for i in range(3):
        x, y, _ = open_pairs(tmp_path / "set").get(i)
        assert abs(int(x[0, -1, 1]) + 5 - int(y[0, -1, 1])) <= 3


def test_a_name_that_comes_twice_is_refused(sides, tmp_path):
    a, b = sides
    picture(a / "z.jpg", 1)
    picture(b / "m" / "c.png", 1)
    with pytest.raises(UserError, match="one name") as error:
        pair_folders(a, b, tmp_path / "set")
    assert "z.jpg, z.png" in str(error.value)
    assert "m/c.jpg, m/c.png" in str(error.value)


def test_nothing_in_common_is_refused(tmp_path):
    picture(tmp_path / "a" / "x.png", 1)
    picture(tmp_path / "b" / "y.png", 1)
    with pytest.raises(UserError, match="no two pictures"):
        pair_folders(
            tmp_path / "a",
            tmp_path / "b",
            tmp_path / "set",
            Options(skip_unmatched=True),
        )


def test_one_folder_twice_only_to_reconstruct(sides, tmp_path):
    a, b = sides
    with pytest.raises(UsageError, match="--reconstruct"):
        pair_folders(a, a.parent / "b" / ".." / "a", tmp_path / "set")
    with pytest.raises(UsageError, match="two places"):
        pair_folders(a, b, tmp_path / "set", Options(reconstruct=True))
    pair_folders(a, a, tmp_path / "set", Options(reconstruct=True))
    x, y, entry = open_pairs(tmp_path / "set").get(1)
    assert np.array_equal(x, y) and entry["scores"]["difference"] == 0
    assert read_document(tmp_path / "set")["reconstruct"] is True


def test_sizes_must_agree_or_are_made_one(sides, tmp_path):
    a, b = sides
    picture(b / "m" / "c.jpg", 15, (32, 32), quality=95)
    picture(a / "z.png", 20, (24, 24))
    with pytest.raises(UserError, match="--size") as error:
        pair_folders(a, b, tmp_path / "set")
    said = str(error.value)
    assert "m/c.jpg: is 32x32 where 16x16" in said and "z.png: is 24x24" in said
    found = pair_folders(a, b, tmp_path / "set", Options(resolution=8))
    assert found["image_shape"] == [8, 8, 3]
    assert open_pairs(tmp_path / "set").get(2)[0].shape == (8, 8, 3)


def test_sides_of_other_aspects_make_no_pair(sides, tmp_path):
    a, b = sides
    picture(b / "z.jpg", 25, (16, 24), quality=95)
    with pytest.raises(UserError, match="differ in aspect") as error:
        pair_folders(a, b, tmp_path / "set", Options(resolution=8))
    assert "z.png and z.jpg" in str(error.value)


def test_damaged_pictures_are_all_listed(sides, tmp_path):
    a, b = sides
    (a / "z.png").write_bytes(b"")
    (b / "m" / "b.jpg").write_bytes(b"text")
    with pytest.raises(UserError, match="2 pictures") as error:
        pair_folders(a, b, tmp_path / "set")
    assert "z.png: empty" in str(error.value) and "m/b.jpg: " in str(error.value)
    # A good header whose pixels end early is found when they are read.
    for path in (a / "z.png", b / "m" / "b.jpg"):
        noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(
            buffer, "PNG" if path.suffix == ".png" else "JPEG", quality=100
        )
        path.write_bytes(buffer.getvalue()[:-200])
    with pytest.raises(UserError, match="2 pictures"):
        pair_folders(a, b, tmp_path / "set")
    assert [p.name for p in tmp_path.iterdir() if "set" in p.name] == []


def test_only_a_set_from_folders_is_replaced(sides, tmp_path):
    a, b = sides
    out = tmp_path / "set"
    pair_folders(a, b, out)
    with pytest.raises(UserError, match="--overwrite"):
        pair_folders(a, b, out)
    pair_folders(a, b, out, Options(overwrite=True, resolution=8))
    assert open_pairs(out).image_shape == (8, 8, 3)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    with pytest.raises(UserError, match="move it away"):
        pair_folders(a, b, mine, Options(overwrite=True))
    document = read_document(out)
    del document["made_from"]
    (out / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="move it away"):
        pair_folders(a, b, out, Options(overwrite=True))


def test_the_set_lies_neither_in_a_source_nor_around_one(sides, tmp_path):
    a, b = sides
    for out in (a / "set", b, tmp_path):
        with pytest.raises(UserError, match="in each other"):
            pair_folders(a, b, out, Options(overwrite=True))


def test_again_gives_the_same_bytes(sides, tmp_path):
    for name in ("one", "two"):
        pair_folders(*sides, tmp_path / name, workers=1 if name == "one" else 3)
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*")]
    assert len(files) == 8
    for file in files:
        one, two = ((tmp_path / n / file).read_bytes() for n in ("one", "two"))
        assert one == two


def test_opening_lists_what_is_missing_or_of_another_size(sides, tmp_path):
    out = tmp_path / "set"
    pair_folders(*sides, out)
    (out / "A" / "00000001.png").unlink()
    picture(out / "B" / "00000002.png", 3, (8, 8))
    with pytest.raises(UserError, match="2 pictures") as error:
        open_pairs(out)
    assert "A/00000001.png: cannot be read" in str(error.value)
    assert "B/00000002.png: is 8x8" in str(error.value)
    lines = read_pairs(out)
    (out / "manifest.jsonl").write_text(
        "".join(json.dumps({**x, "keep": x["index"] == 0}) + "\n" for x in lines)
    )
    assert len(open_pairs(out)) == 1
    (out / "manifest.jsonl").write_text(
        json.dumps({**lines[0], "a": "../../secret.png"}) + "\n"
    )
    with pytest.raises(UserError, match="lie in its folder"):
        open_pairs(out)


def test_what_is_no_complete_set_is_refused(sides, tmp_path):
    with pytest.raises(UserError, match="no complete set"):
        open_pairs(sides[0])
    pair_folders(*sides, tmp_path / "set")
    document = read_document(tmp_path / "set")
    (tmp_path / "set" / "manifest.json").write_text(
        json.dumps({**document, "complete": False})
    )
    with pytest.raises(UserError, match="no complete set"):
        open_pairs(tmp_path / "set")


@pytest.mark.parametrize(
    "options", [{"storage": "zip"}, {"resize": "nearest"}, {"channels": 2}]
)
def test_unknown_options_are_refused(sides, tmp_path, options):
    with pytest.raises(UserError):
        pair_folders(*sides, tmp_path / "set", Options(**options))


def test_drawn_pairs_open_alike(tmp_path):
    module, variables = lively_generator()
    model = save_tiny(tmp_path / "model.safetensors", module, variables)
    np.save(tmp_path / "smile.npy", np.ones(module.w_dim, np.float32))
    edit = Direction(tmp_path / "smile.npy", 0.0)
    make_pairs(tmp_path / "set", model, edit, Drawn(3, seed=7))
    pairs = open_pairs(tmp_path / "set")
    assert len(pairs) == 3
    a, b, entry = pairs.get(2)
    assert np.array_equal(a, b) and entry["seed"] == 9
