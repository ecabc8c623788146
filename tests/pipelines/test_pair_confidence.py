"""Pairs that are kept where a reader sees the edit."""

import json

import numpy as np
import pytest
from brightness_reader import BrightnessReader
from lively_models import lively_generator
from tiny_models import save_tiny

from stylegan_jax.data.pair_manifest import read_document, read_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines import pair_confidence
from stylegan_jax.pipelines.pair_confidence import Confidence, reasons_of
from stylegan_jax.pipelines.pair_pictures import Pictures
from stylegan_jax.pipelines.pair_scores import Curation
from stylegan_jax.pipelines.pair_sides import Direction, Mix
from stylegan_jax.pipelines.pairs import Options, make_pairs

NUM = 12


def line(index=0, **readings):
    sides = {side: f"{side.upper()}/x.png" for side in readings}
    scores = {f"reading_smile_{side}": value for side, value in readings.items()}
    return {"index": index, **sides, "scores": scores}


def entry(**changes):
    common = {"attribute": "smile", "kind": "binary", "least": 0.9, "sign": 1}
    return {**common, "from_opposite": False, "reader": {}, "judged": 0, **changes}


def kept(lines, how):
    return [not reasons for reasons in reasons_of(lines, how)]


def test_a_binary_attribute_must_be_there_in_b_and_not_in_c():
    lines = [line(a=0.5, b=0.95), line(a=0.05, b=0.95), line(a=0.05, b=0.85)]
    assert kept(lines, entry()) == [True, True, False]
    assert kept(lines, entry(from_opposite=True)) == [False, True, False]
    assert reasons_of(lines, entry())[2] == [
        "B is smile with a confidence of 0.850, below 0.9"
    ]
    lines = [line(a=0.5, b=0.95, c=0.05), line(a=0.5, b=0.95, c=0.2)]
    assert kept(lines, entry()) == [True, False]
    # The other way for negative strengths.
    lines = [line(a=0.5, b=0.05, c=0.95), line(a=0.5, b=0.95, c=0.05)]
    assert kept(lines, entry(sign=-1)) == [True, False]


def test_a_number_must_change_by_a_share_of_its_spread():
    before = [(-1) ** i * 10.0 for i in range(4)]  # a standard deviation of 10
    lines = [line(a=a, b=a + d) for a, d in zip(before, (10, 8, -10, 30), strict=True)]
    how = entry(kind="number")
    assert kept(lines, how) == [True, False, False, True]
    assert (
        "changes by 8 from A to B, and 9 is the least" in reasons_of(lines, how)[1][0]
    )
    assert kept(lines, {**how, "sign": -1}) == [False, False, True, False]
    with_c = [{**x, **{"c": "C/x.png"}} for x in lines]
    for x, d in zip(with_c, (-10, -10, -10, 10), strict=True):
        x["scores"] = {
            **x["scores"],
            "reading_smile_c": x["scores"]["reading_smile_a"] + d,
        }
    assert kept(with_c, how) == [True, False, False, False]
    flat = [line(a=1.0, b=1.0), line(a=1.0, b=1.5)]
    assert kept(flat, how) == [False, True]


def test_what_cannot_be_read_is_left_out_and_what_was_not_is_told():
    for kind in ("binary", "number"):
        found = reasons_of([line(a=0.1, b=None)], entry(kind=kind))
        assert found == [["smile of B cannot be read"]]
    with pytest.raises(UserError, match="no reading of smile in the pairs 4"):
        reasons_of(
            [line(0, a=0.1, b=0.9), {**line(4, a=0.1, b=1), "scores": {}}], entry()
        )


@pytest.fixture
def reader(monkeypatch):
    reader = BrightnessReader()
    monkeypatch.setattr(pair_confidence, "open_reader", lambda text: reader)
    monkeypatch.setattr(
        pair_confidence, "reader_document", lambda text, reader: dict(reader.document)
    )
    return reader


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    np.save(folder / "d.npy", np.linspace(-1, 1, 8))
    return save_tiny(folder / "base.safetensors", *lively_generator())


def edit(model, **words):
    return Direction(model.parent / "d.npy", 2.0, **words)


def test_pairs_are_read_once_and_chosen(model, reader, tmp_path):
    out, other = tmp_path / "set", edit(model, both=True)
    asked = Confidence("bright", "light", 0.0)
    found = make_pairs(out, model, other, Options(NUM), confidence=asked)
    assert sum(reader.batches) == 3 * NUM and found["not_scored"] == []
    lines = read_pairs(out, kept=False)
    pictures = Pictures(out)
    for x in lines:
        light = {s: pictures.read(x, s).astype(float).mean() for s in "abc"}
        for side, want in light.items():
            assert x["scores"][f"reading_light_{side}"] == pytest.approx(want, rel=1e-3)
        assert x["keep"] == (light["b"] > light["a"] > light["c"])
        assert x["keep"] == (not x["reasons"])
    assert found["kept"] == sum(x["keep"] for x in lines)
    stored = read_document(out)["confidence"]
    assert stored["reader"] == {"reader": "brightness"} and stored["judged"] == NUM
    assert stored["kind"] == "number" and stored["sign"] == 1
    page = (out / "report.html").read_text()
    assert "Kept for light grows from A to B" in page and "LPIPS" not in page
    # Another bound reads nothing again; none drops what was asked for before.
    asked = Confidence("bright", "light", 100.0)
    found = make_pairs(out, model, other, Options(NUM), confidence=asked)
    assert found["kept"] == 0 and sum(reader.batches) == 3 * NUM
    again = make_pairs(out, model, other, Options(NUM))
    assert again["kept"] == 0 and again["drawn"] == 0
    found = make_pairs(
        out, model, other, Options(NUM), curation=Curation(sharpness=0.0)
    )
    assert found["kept"] == 0  # both kinds of bounds hold
    assert read_document(out)["confidence"]["least"] == 100.0
    with pytest.raises(UserError, match="keeps pairs by a reading of light"):
        make_pairs(out, model, other, Options(NUM + 2))
    assert read_document(out)["num"] == NUM


def test_a_set_that_grows_is_read_on(model, reader, tmp_path):
    out, other, asked = tmp_path / "set", edit(model), Confidence("x", "bright", 0.2)
    make_pairs(out, model, other, Options(4), confidence=asked)
    make_pairs(out, model, other, Options(8), confidence=asked)
    once = tmp_path / "once"
    make_pairs(once, model, other, Options(8), confidence=asked)
    assert (out / "manifest.jsonl").read_text() == (once / "manifest.jsonl").read_text()
    assert read_document(out) == read_document(once)
    document = read_document(out)
    del document["confidence"]["kind"]
    (out / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"damaged entry, confidence \(kind\)"):
        make_pairs(out, model, other, Options(8))


def test_refusals_come_before_anything_is_drawn(model, reader, tmp_path):
    for other, asked, sentence in (
        (edit(model), Confidence("x", "dark"), "does not read dark: choose from light"),
        (edit(model), Confidence("x", "bright", 1.5), "a probability from 0 to 1"),
        (edit(model), Confidence("x", "light", -1.0), "0 or more"),
        (edit(model), Confidence("x", "light", 1, True), "has no opposite"),
        (Mix("0"), Confidence("x", "bright"), "a mix of two people"),
    ):
        with pytest.raises((UsageError, UserError), match=sentence):
            make_pairs(tmp_path / "set", model, other, Options(2), confidence=asked)
    assert not (tmp_path / "set").exists()
