"""Sets of pairs with a third picture: the opposite edit, or a second person."""

import json
import shutil

import numpy as np
import pytest
from lively_models import lively_generator
from PIL import Image
from tiny_models import save_tiny

from stylegan_jax import load
from stylegan_jax.data.pair_manifest import read_document, read_pairs
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.pair_scores import Curation
from stylegan_jax.pipelines.pair_sides import SECOND_PERSON, Direction, Mix
from stylegan_jax.pipelines.pairs import Options, make_pairs

NUM = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "directions").mkdir()
    np.savez(folder / "directions/lean.npz", direction=np.linspace(-1, 1, 8))
    return save_tiny(folder / "base.safetensors", *lively_generator())


@pytest.fixture(scope="module", params=["both", "mix"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def other(kind):
    return Mix("2-4") if kind == "mix" else Direction("lean", 1.5, "0-3", both=True)


@pytest.fixture(scope="module")
def whole(model, other, tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "set"
    found = make_pairs(out, model, other, Options(NUM, seed=7))
    assert found["pairs"] == found["kept"] == NUM and not found["notes"]
    return out


def read_png(path):
    with Image.open(path) as image:
        return np.asarray(image)


def files_of(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def test_the_third_picture_is_what_was_asked_for(model, kind, whole):
    opened = load(model)
    lines = read_pairs(whole)
    seeds = [line["seed"] for line in lines]
    w = np.array(opened.mapping(opened.latents(seeds), truncation_psi=0.7))
    second = w
    if kind == "mix":
        others = [seed + SECOND_PERSON for seed in seeds]
        assert [line["seed_c"] for line in lines] == others
        second = np.array(opened.mapping(opened.latents(others), truncation_psi=0.7))
        b = w.copy()
        b[:, 2:5] = second[:, 2:5]
        latents = {"a": w, "b": b, "c": second}
    else:
        assert "seed_c" not in lines[0]
        move = np.zeros_like(w)
        move[:, :4] = 1.5 * np.linspace(-1, 1, 8)
        latents = {"a": w, "b": w + move, "c": w - move}
    for side, want in latents.items():
        x = np.asarray(opened.synthesis(want, noise_mode="none"))
        want = np.clip(np.round(x * 127.5 + 127.5), 0, 255).astype(int)
        got = np.stack([read_png(whole / line[side]) for line in lines]).astype(int)
        assert np.abs(want - got).max() <= 1
    with np.load(whole / "w.npz") as found:
        assert found.files == (["w", "w_c"] if kind == "mix" else ["w"])
        if kind == "mix":
            np.testing.assert_allclose(found["w_c"], second[:, 0], atol=1e-5)


def test_the_manifest_says_what_the_third_is(kind, whole):
    document = read_document(whole)
    if kind == "mix":
        assert document["b"] == {"kind": "mix", "layers": [2, 3, 4]}
        assert document["c"] == {"kind": "second person", "seed_offset": 2**31}
    else:
        assert document["b"] == {**document["c"], "strength": 1.5}
        assert document["c"]["strength"] == -1.5
    assert {"sharpness_a", "sharpness_b", "sharpness_c"} < read_pairs(whole)[0][
        "scores"
    ].keys()


def test_lost_thirds_are_drawn_again_and_sets_are_not_taken_for_each_other(
    model, other, kind, whole, tmp_path
):
    cut = shutil.copytree(whole, tmp_path / "set")
    (cut / "C" / "00000002.png").unlink()
    found = make_pairs(cut, model, other, Options(NUM, seed=7))
    assert found["drawn"] == NUM and files_of(cut) == files_of(whole)
    without = Direction("lean", 1.5, "0-3") if kind == "both" else Mix("2")
    differ = "c .* and now null" if kind == "both" else r'b "mix" \[2, 3, 4\] and now'
    with pytest.raises(UserError, match=differ):
        make_pairs(cut, model, without, Options(NUM, seed=7))


def test_they_are_packed_curated_and_trained_on(model, other, whole, tmp_path):
    options = Options(NUM, seed=7, storage="arrayrecord")
    curation = Curation(sharpness=1.0)
    found = make_pairs(tmp_path / "set", model, other, options, curation=curation)
    assert 0 < found["kept"] < NUM and (tmp_path / "set/C.arrayrecord").is_file()
    page = (tmp_path / "set/report.html").read_text()
    assert page.count("data:image/jpeg") == 3 * NUM and "C of pair 3" in page
    lines = read_pairs(tmp_path / "set", kept=False)
    reasons = json.dumps([line["reasons"] for line in lines])
    assert "A is blurred" in reasons and "C is blurred" in reasons
    packed = open_training_pairs(tmp_path / "set", second="c")
    place = packed.entry(0)["index"]
    plain = open_training_pairs(whole, second="c")
    for name, picture in plain[place].items():
        np.testing.assert_array_equal(packed[0][name], picture)
    assert not np.array_equal(packed[0]["second"], packed[0]["source"])
