import shutil

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data.pair_manifest import read_document, read_pairs
from stylegan_jax.data.pairs import open_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines import pair_scores
from stylegan_jax.pipelines.folder_pairs import Options, pair_folders
from stylegan_jax.pipelines.pair_page import page
from stylegan_jax.pipelines.pair_pictures import Pictures
from stylegan_jax.pipelines.pair_scores import Curation

NAMES = ("m/<b>", "m/c", "x", "z")
# Sharpness decides where there are no networks: no bound on it keeps all.
ALL = Curation(sharpness=0)


class FakeLPIPS:
    """Mean difference; counts the pairs it has seen."""

    seen = 0

    def __call__(self, x, y):
        type(self).seen += len(x)
        return np.abs(np.asarray(x) - np.asarray(y)).mean((1, 2, 3))


@pytest.fixture
def lpips(monkeypatch):
    """LPIPS is there, identity is not."""
    monkeypatch.setattr(FakeLPIPS, "seen", 0)
    monkeypatch.setattr(
        pair_scores,
        "weights_state",
        lambda name: pair_scores.THERE if name == "lpips_alex" else "absent",
    )
    monkeypatch.setattr(pair_scores, "weights_path", lambda name: name)
    monkeypatch.setattr(pair_scores, "load", lambda path: FakeLPIPS())
    return FakeLPIPS


@pytest.fixture
def sides(tmp_path):
    """Pairs whose second picture is farther from the first, one after the other."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(NAMES):
        array = rng.integers(60, 120, (64, 64, 3), dtype=np.uint8)
        for side, more in (("a", 0), ("b", 20 * i)):
            file = tmp_path / side / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array + np.uint8(more)).save(file)
    return tmp_path / "a", tmp_path / "b"


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*.png"))}


@pytest.mark.parametrize("storage", ["folder", "arrayrecord"])
def test_pairs_of_folders_are_curated(sides, tmp_path, lpips, storage):
    if storage == "arrayrecord":
        pytest.importorskip("array_record")
    out, options = tmp_path / "set", Options(storage=storage)
    bounds = Curation((0.1, 0.4), sharpness=0)
    found = pair_folders(*sides, out, options, curation=bounds)
    assert found["written"] and (found["pairs"], found["kept"]) == (4, 2)
    assert [text.split(":")[0] for text in found["not_scored"]] == ["identity"]
    lines = read_pairs(out, kept=False)
    wanted = [i * 20 / 127.5 for i in range(4)]
    assert [x["scores"]["lpips"] for x in lines] == pytest.approx(wanted, abs=1e-4)
    assert [x["keep"] for x in lines] == [False, True, True, False]
    assert [open_pairs(out).get(i)[2]["stem"] for i in range(2)] == ["m/c", "x"]
    assert read_document(out)["curation"]["lpips"] == [0.1, 0.4]
    shown = (out / "report.html").read_text()
    assert "2 of 4 pairs kept" in shown and "no change" in shown
    assert "0, m/&lt;b&gt;" in shown and "1, m/c" in shown and "seed" not in shown


def test_other_bounds_judge_anew_and_write_no_picture(sides, tmp_path, lpips):
    out = tmp_path / "set"
    pair_folders(*sides, out, curation=Curation((0.1, 0.4), sharpness=0))
    before, seen = contents(out), lpips.seen
    times = {path: path.stat().st_mtime_ns for path in before}
    found = pair_folders(*sides, out, curation=Curation((0.0, 9.0), sharpness=0))
    assert not found["written"] and found["kept"] == 4 and lpips.seen == seen
    assert {path: path.stat().st_mtime_ns for path in before} == times


def test_a_set_without_curation_gets_it_later(sides, tmp_path):
    out = tmp_path / "set"
    pair_folders(*sides, out)
    with pytest.raises(UserError, match="exists already"):
        pair_folders(*sides, out)
    found = pair_folders(*sides, out, curation=ALL)
    assert not found["written"] and found["kept"] == 4
    assert len(found["not_scored"]) == 2 and (out / "report.html").is_file()


def test_another_set_is_neither_judged_nor_replaced(sides, tmp_path):
    out = tmp_path / "set"
    pair_folders(*sides, out)
    with pytest.raises(UserError, match=r"begun otherwise \(.*image_shape"):
        pair_folders(*sides, out, Options(resolution=32), curation=ALL)
    (sides[0] / "x.png").write_bytes((sides[0] / "z.png").read_bytes())
    with pytest.raises(UserError) as caught:
        pair_folders(*sides, out, curation=ALL)
    old = read_document(out)["a"]["fingerprint"][:12]
    said = str(caught.value)
    assert f'begun otherwise (a "a" ({old}…) and now "a" (' in said
    assert "None" not in said and "--overwrite" in said
    found = pair_folders(*sides, out, Options(overwrite=True), curation=ALL)
    assert found["written"] and found["kept"] == 4
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="exists already"):
        pair_folders(*sides, tmp_path / "other", curation=ALL)


def test_judging_anew_needs_no_sources(sides, tmp_path):
    out = tmp_path / "set"
    pair_folders(*sides, out)
    shutil.rmtree(sides[0])
    for file in sides[1].rglob("*.png"):
        file.unlink()
    found = pair_folders(*sides, out, curation=ALL)
    assert (found["written"], found["pairs"], found["kept"]) == (False, 4, 4)
    first, second = found["notes"]
    assert first.startswith(f"the set was not compared with {sides[0]} (")
    assert "no pictures any more" in second
    with pytest.raises(UserError, match=r"begun otherwise \(resize"):
        pair_folders(*sides, out, Options(resize="box"), curation=ALL)
    with pytest.raises(UserError, match="does not exist"):
        pair_folders(*sides, tmp_path / "new", curation=ALL)


@pytest.mark.parametrize("networks", [False, True])
def test_damaged_pictures_are_told_and_nothing_is_written(
    sides, tmp_path, request, networks
):
    if networks:
        request.getfixturevalue("lpips")
    out = tmp_path / "set"
    pair_folders(*sides, out)
    whole = (out / "A" / "00000001.png").read_bytes()
    (out / "A" / "00000001.png").write_bytes(whole[:90] + bytes(len(whole) - 90))
    (out / "B" / "00000002.png").write_bytes(b"text")
    Image.new("RGB", (8, 8)).save(out / "B" / "00000003.png")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="none was judged: .*--overwrite") as caught:
        pair_folders(*sides, out, curation=ALL)
    listed = str(caught.value).splitlines()[1:]
    assert listed == [
        "  A/00000001.png: damaged.",
        "  B/00000002.png: damaged.",
        "  B/00000003.png: is [8, 8, 3] and not [64, 64, 3].",
    ]
    (out / "B" / "00000000.png").unlink()
    with pytest.raises(UserError, match="B/00000000.png: is not there"):
        pair_folders(*sides, out, curation=ALL)
    del before[out / "B" / "00000000.png"]
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_damaged_arrayrecord_file_is_told(sides, tmp_path):
    pytest.importorskip("array_record")
    out = tmp_path / "set"
    pair_folders(*sides, out, Options(storage="arrayrecord"))
    (out / "B.arrayrecord").write_bytes(b"half")
    with pytest.raises(UserError, match="none was judged"):
        pair_folders(*sides, out, Options(storage="arrayrecord"), curation=ALL)
    assert "curation" not in read_document(out)


def test_the_page_tells_pairs_from_scores(sides, tmp_path):
    pair_folders(*sides, tmp_path / "set", curation=ALL)
    shown = (tmp_path / "set" / "report.html").read_text()
    assert "<h2>Pairs left out: 0</h2>" in shown and "<h2>Pairs kept: 4</h2>" in shown
    assert shown.count("No score, and no bound: ") == 2 and "Left out" not in shown


def test_bounds_that_make_no_sense_write_nothing(sides, tmp_path):
    with pytest.raises(UsageError, match="LPIPS band"):
        pair_folders(*sides, tmp_path / "set", curation=Curation((0.5, 0.1)))
    assert not (tmp_path / "set").exists()


def test_the_page_names_drawn_pairs_by_seed(sides, tmp_path):
    pair_folders(*sides, tmp_path / "set", curation=ALL)
    lines = read_pairs(tmp_path / "set", kept=False)
    lines[0]["seed"] = 123
    document = read_document(tmp_path / "set")
    shown = page(lines, Pictures(tmp_path / "set"), document)
    assert "0, seed 123" in shown and "1, m/c" in shown
