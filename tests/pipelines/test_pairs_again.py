"""A set of drawn pairs that is there already: it grows, is mended, or is refused."""

import json
import shutil

import numpy as np
import pytest
from lively_models import lively_generator
from tiny_models import save_tiny

from stylegan_jax.data.pair_manifest import read_document, read_pairs
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import pairs as library
from stylegan_jax.pipelines.blend import Recipe, blend_models
from stylegan_jax.pipelines.pair_manifest import write_document, write_lines
from stylegan_jax.pipelines.pair_scores import Curation
from stylegan_jax.pipelines.pair_sides import Direction
from stylegan_jax.pipelines.pairs import Options, make_pairs

# The blurred half of the pairs is left out.
HALF = Curation(sharpness=1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    module, variables = lively_generator()
    rng = np.random.default_rng(0)

    def other(tree):
        if isinstance(tree, dict):
            return {k: other(v) for k, v in tree.items()}
        return rng.standard_normal(np.shape(tree)).astype(np.float32)

    base = save_tiny(folder / "base.safetensors", module, variables)
    style = save_tiny(folder / "style.safetensors", module, other(variables))
    blend_models(base, style, folder / "blend.safetensors", recipe=Recipe(8))
    return base, folder / "blend.safetensors"


@pytest.fixture(scope="module", params=["folder", "arrayrecord"])
def curated(models, tmp_path_factory, request):
    """Twenty pairs in two chunks, some left out by curation and one by hand."""
    if request.param == "arrayrecord":
        pytest.importorskip("array_record")
    out = tmp_path_factory.mktemp("pairs") / "set"
    options = Options(20, storage=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "MOST", 16)
        found = make_pairs(out, *models, options, curation=HALF)
    assert 0 < found["kept"] < 20 and found["notes"] == []
    lines = read_pairs(out, kept=False)
    edited = next(line for line in lines if line["keep"])
    edited["keep"] = False
    write_lines(out, lines)
    return out, options


@pytest.fixture
def again(curated, models, tmp_path, monkeypatch):
    """A copy of the set, and how it is made again with another number."""
    monkeypatch.setattr(library, "MOST", 16)
    out = shutil.copytree(curated[0], tmp_path / "set")

    def make(num=20, **words):
        options = Options(num, storage=curated[1].storage)
        return make_pairs(out, *models, options, **words)

    return out, make


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def test_growing_keeps_what_was_judged(again):
    out, make = again
    before = read_pairs(out, kept=False)
    found = make(24)
    after = read_pairs(out, kept=False)
    assert len(after) == 24 and after[:20] == before
    assert len(found["notes"]) == 1 and "pairs from 20 on are" in found["notes"][0]
    medians = [
        np.median([x["scores"][side] for x in after])
        for side in ("sharpness_a", "sharpness_b")
    ]
    for line in after[20:]:
        own = [line["scores"]["sharpness_a"], line["scores"]["sharpness_b"]]
        assert line["keep"] == (own[0] >= medians[0] and own[1] >= medians[1])
        assert line["keep"] != bool(line["reasons"])
    document = read_document(out)
    assert document["complete"] and document["curation"]["judged"] == 24
    assert document["curation"]["sharpness"] == 1.0
    page = (out / "report.html").read_text()
    assert f"{found['kept']} of 24 pairs kept" in page
    again = make(24)
    assert again["drawn"] == 0 and again["notes"] == []
    assert make(24, curation=Curation(sharpness=0))["kept"] == 24


def test_a_growth_that_was_interrupted_forgets_nothing(again):
    out, make = again
    before = read_pairs(out, kept=False)

    class Killed(Exception):
        pass

    def stop(count):
        raise Killed

    with pytest.raises(Killed):
        make(24, progress=stop)
    assert not read_document(out)["complete"]
    # As after a kill between the pairs' list and their curation, too.
    make(24)
    document = read_document(out)
    document["curation"]["judged"] = 20
    write_document(out, document)
    found = make(24)
    assert read_pairs(out, kept=False)[:20] == before and found["notes"]
    assert read_document(out)["curation"]["judged"] == 24


@pytest.mark.parametrize("damage", ["missing", "empty", "short", "latents"])
def test_lost_files_of_a_finished_set_are_drawn_again(again, damage):
    out, make = again
    before = contents(out)
    record = out / "B.arrayrecord"
    file = record if record.exists() else out / "B" / "00000003.png"
    file = out / "w.npz" if damage == "latents" else file
    data = file.read_bytes()
    if damage in ("missing", "latents"):
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else data[:-20])
    found = make()
    assert found["pairs"] == 20 and contents(out) == before
    assert (found["drawn"] > 0) == (damage != "latents" or record.exists())


def test_a_finished_set_needs_no_records(again):
    out, make = again
    shutil.rmtree(out / ".parts")
    assert make()["drawn"] == 0


def test_a_lost_manifest_is_judged_anew(again):
    out, make = again
    (out / "manifest.jsonl").unlink()
    found = make()
    assert "pairs from 0 on are judged" in found["notes"][0]
    assert 0 < found["kept"] < 20


def test_a_damaged_curation_is_refused(again):
    out, make = again
    document = json.loads((out / "manifest.json").read_text())
    document["curation"]["lpips"] = "wide"
    write_document(out, document)
    with pytest.raises(UserError, match="damaged entry, curation"):
        make(24)


def test_folders_that_hold_something_else_are_refused(models, tmp_path):
    other = tmp_path / "run"
    other.mkdir()
    (other / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds other files and no set of pairs"):
        make_pairs(other, *models, Options(1))
    assert [p.name for p in other.iterdir()] == ["config.json"]
    (other / "config.json").unlink()
    document = {"kind": "stylegan_jax.pairs", "format": 1, "made_from": "folders"}
    write_document(other, document)
    with pytest.raises(UserError, match="data pairs` made from folders"):
        make_pairs(other, *models, Options(1))
    assert [p.name for p in other.iterdir()] == ["manifest.json"]


def test_sides_that_are_alike_are_told(models, tmp_path):
    found = make_pairs(tmp_path / "one", models[0], models[0], Options(1))
    assert "are one model" in found["notes"][0]
    np.save(tmp_path / "d.npy", np.ones(8))
    still = Direction(tmp_path / "d.npy", 0.0)
    found = make_pairs(tmp_path / "two", models[0], still, Options(1))
    assert "at strength 0 moves nothing" in found["notes"][0]
