import io
import json

import jax
import numpy as np
import pytest
from lively_models import lively_generator
from PIL import Image
from tiny_models import save_tiny, tiny_discriminator

from stylegan_jax import load
from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.data.pair_manifest import read_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines import pair_scores
from stylegan_jax.pipelines import pairs as library
from stylegan_jax.pipelines.blend import Recipe, blend_models
from stylegan_jax.pipelines.direction_files import read_direction
from stylegan_jax.pipelines.pair_pictures import Pictures
from stylegan_jax.pipelines.pair_scores import Curation, judge, sharpness
from stylegan_jax.pipelines.pair_sides import Direction
from stylegan_jax.pipelines.pairs import Options, make_pairs


def shifted(tree, rng):
    if isinstance(tree, dict):
        return {k: shifted(v, rng) for k, v in tree.items()}
    return (np.asarray(tree) + 0.3 * rng.standard_normal(np.shape(tree))).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    module, variables = lively_generator()
    rng = np.random.default_rng(0)
    base = save_tiny(folder / "base.safetensors", module, variables)
    style = save_tiny(folder / "style.safetensors", module, shifted(variables, rng))
    blend_models(base, style, folder / "blend.safetensors", recipe=Recipe(8))
    return base, folder / "blend.safetensors", style


def files_of(folder):
    """Every file that a set consists of, by name."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


def read_png(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def whole(models, tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "set"
    found = make_pairs(out, *models[:2], Options(40, seed=5))
    assert found["pairs"] == found["kept"] == found["drawn"] == 40
    return out


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(library, "MOST", 16)


def test_both_sides_are_drawn_from_one_seed(models, whole):
    lines = read_pairs(whole)
    assert [x["index"] for x in lines] == list(range(40))
    assert [x["seed"] for x in lines] == list(range(5, 45))
    for side, path in (("a", models[0]), ("b", models[1])):
        want = load(path).images(range(5, 45), truncation_psi=0.7, noise_mode="none")
        got = np.stack([read_png(whole / x[side]) for x in lines])
        # Mapping and synthesis are two programs here: roundings may differ.
        assert np.abs(want.astype(int) - got.astype(int)).max() <= 1
        assert (want == got).mean() > 0.99


def test_the_latents_are_those_of_the_pictures(models, whole):
    with np.load(whole / "w.npz") as found:
        assert found.files == ["w"]  # the blend's mapping network is the base's
        w = found["w"]
    model = load(models[0])
    z = model.latents(range(5, 45))
    want = model.mapping(z, truncation_psi=0.7)[:, 0]
    np.testing.assert_allclose(w, want, rtol=1e-5, atol=1e-5)


def test_the_manifest_says_how_it_was_made(models, whole):
    document = json.loads((whole / "manifest.json").read_text())
    assert document["complete"] is True and document["num"] == 40
    assert document["noise_mode"] == "none" and document["truncation_psi"] == 0.7
    assert document["b"]["licence"] == "Apache-2.0"
    assert len(document["b"]["provenance"]["parents"]) == 2
    (line,) = (x for x in read_pairs(whole) if x["index"] == 3)
    a, b = (read_png(whole / line[s]).astype(int) for s in "ab")
    assert line["scores"]["difference"] == pytest.approx(
        np.abs(a - b).mean() / 255, rel=1e-5
    )


def test_again_does_nothing(models, whole):
    before = files_of(whole)
    found = make_pairs(whole, *models[:2], Options(40, seed=5))
    assert found["drawn"] == 0 and found["pairs"] == 40
    assert files_of(whole) == before


@pytest.mark.parametrize("storage", ["folder", "arrayrecord"])
def test_a_set_that_was_interrupted_is_the_same(
    models, tmp_path, small_chunks, storage
):
    options = Options(40, seed=5, storage=storage)
    make_pairs(tmp_path / "whole", *models[:2], options)

    class Killed(Exception):
        pass

    def stop(count):
        done.append(count)
        if sum(done) >= 20:
            raise Killed

    for _ in range(2):
        done = []
        with pytest.raises(Killed):
            make_pairs(tmp_path / "cut", *models[:2], options, progress=stop)
    assert not (tmp_path / "cut" / "manifest.jsonl").exists()
    found = make_pairs(tmp_path / "cut", *models[:2], options)
    assert 0 < found["drawn"] < 40
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_lost_and_half_written_files_are_made_again(models, tmp_path, small_chunks):
    options = Options(20)
    make_pairs(tmp_path / "whole", *models[:2], options)
    cut = tmp_path / "cut"
    make_pairs(cut, *models[:2], options)
    # As after a kill between the chunks and the end.
    document = json.loads((cut / "manifest.json").read_text())
    (cut / "manifest.json").write_text(json.dumps({**document, "complete": False}))
    (cut / "manifest.jsonl").unlink()
    (cut / "A" / "00000003.png").unlink()
    (cut / ".parts" / "000001.json").write_text('[{"index": ')
    (cut / "B" / ".00000004-12345678.part.png").write_bytes(b"half")
    found = make_pairs(cut, *models[:2], options)
    assert found["drawn"] == 20
    assert files_of(cut) == files_of(tmp_path / "whole")


def test_a_set_grows(models, tmp_path, small_chunks):
    make_pairs(tmp_path / "a", *models[:2], Options(20))
    found = make_pairs(tmp_path / "a", *models[:2], Options(40))
    assert found["drawn"] == 24  # the chunk of four is made anew
    make_pairs(tmp_path / "b", *models[:2], Options(40))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    with pytest.raises(UserError, match="a set of 40 pairs and 30 are asked for"):
        make_pairs(tmp_path / "a", *models[:2], Options(30))


def test_smaller_pictures_are_kept(models, tmp_path, whole):
    out = tmp_path / "small"
    make_pairs(out, *models[:2], Options(3, seed=5, size=4))
    assert json.loads((out / "manifest.json").read_text())["image_shape"] == [4, 4, 3]
    for name in ("A/00000002.png", "B/00000002.png"):
        with Image.open(whole / name) as drawn:
            want = np.asarray(drawn.resize((4, 4), Image.Resampling.LANCZOS))
        np.testing.assert_array_equal(read_png(out / name), want)
    assert make_pairs(out, *models[:2], Options(3, seed=5, size=4))["drawn"] == 0
    with pytest.raises(UserError, match=r"image_shape \[4, 4, 3\] and now \[8, 8, 3\]"):
        make_pairs(out, *models[:2], Options(3, seed=5, size=8))
    with pytest.raises(UsageError, match="--size 64 cannot be had of 16x16"):
        make_pairs(tmp_path / "large", *models[:2], Options(3, size=64))
    assert not (tmp_path / "large").exists()


def test_devices_do_not_matter(models, tmp_path, whole, monkeypatch):
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    make_pairs(tmp_path / "one", *models[:2], Options(40, seed=5))
    assert files_of(tmp_path / "one") == files_of(whole)


def test_arrayrecord_is_a_data_set_of_the_same_pictures(models, tmp_path, whole):
    out = tmp_path / "set"
    make_pairs(out, *models[:2], Options(40, seed=5, storage="arrayrecord"))
    for side in "AB":
        data = open_dataset(out / f"{side}.arrayrecord", resolution=16)
        assert len(data) == 40
        want = read_png(whole / side / "00000007.png")
        np.testing.assert_array_equal(data[7]["image"], want)
    assert not (out / ".parts" / "A").exists()
    lines = read_pairs(out)
    assert lines[7]["a"] == "A.arrayrecord" and lines[7]["scores"]


def test_another_mapping_network_has_its_own_latents(models, tmp_path):
    make_pairs(tmp_path / "set", models[0], models[2], Options(16))
    with np.load(tmp_path / "set" / "w.npz") as found:
        assert set(found.files) == {"w", "w_b"}
        assert found["w"].shape == found["w_b"].shape == (16, 8)
        assert not np.allclose(found["w"], found["w_b"])


def test_a_direction_edits_the_named_layers(models, tmp_path):
    direction = np.linspace(-1, 1, 8)
    np.savez(tmp_path / "d.npz", direction=direction)
    edit = Direction(tmp_path / "d.npz", 2.0, "0-1,4")
    out = tmp_path / "set"
    make_pairs(out, models[0], edit, Options(4))
    model = load(models[0])
    w_plus = np.array(model.mapping(model.latents(range(4)), truncation_psi=0.7))
    w_plus[:, [0, 1, 4]] += 2 * direction
    x = np.asarray(model.synthesis(w_plus, noise_mode="none"))
    want = np.clip(np.round(x * 127.5 + 127.5), 0, 255).astype(int)
    got = np.stack([read_png(out / p["b"]) for p in read_pairs(out)]).astype(int)
    assert np.abs(want - got).max() <= 1
    assert json.loads((out / "manifest.json").read_text())["b"]["layers"] == [0, 1, 4]
    with pytest.raises(UserError, match=r'"d.npz" 2.0 .* now "d.npz" 1.0 \[0\]'):
        make_pairs(out, models[0], Direction(edit.path, 1.0, "0"), Options(4))


def test_directions_that_are_none(models, tmp_path):
    for name, array in (("wide", np.ones(9)), ("deep", np.ones((2, 3, 4)))):
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "other.npz", x=np.ones(8))
    (tmp_path / "text.npz").write_text("no")
    for name, sentence in (
        ("deep.npy", r"\[w_dim\] or \[num_ws, w_dim\]"),
        ("other.npz", "has no array direction or unit .it has x"),
        ("text.npz", "is no .npy or .npz"),
        ("absent.npy", "there is no file"),
    ):
        with pytest.raises(UserError, match=sentence):
            read_direction(tmp_path / name)
    with pytest.raises(UserError, match=r"is \[8\] or \[6, 8\], got \[9\]"):
        edit = Direction(tmp_path / "wide.npy", 1.0)
        make_pairs(tmp_path / "set", models[0], edit, Options(1))


def test_other_options_are_refused_with_a_list(models, whole):
    with pytest.raises(UserError) as caught:
        make_pairs(whole, *models[:2], Options(40, seed=6, noise_mode="const"))
    assert 'noise_mode "none" and now "const"' in str(caught.value)
    assert "seed 5 and now 6" in str(caught.value)
    with pytest.raises(UserError, match=r"begun otherwise .b .blend.safetensors"):
        make_pairs(whole, models[0], models[2], Options(40, seed=5))


def test_refusals(models, tmp_path):
    for options, sentence in (
        (Options(2, seed=2**32 - 1), "do not fit"),
        (Options(1, storage="zip"), "choose from folder, arrayrecord"),
        (Options(1, truncation_psi=float("nan")), "psi is a number"),
    ):
        with pytest.raises(UsageError, match=sentence):
            make_pairs(tmp_path / "x", *models[:2], options)
    larger = save_tiny(tmp_path / "l.safetensors", *lively_generator(num_blocks=4))
    with pytest.raises(UserError, match="differ in picture size"):
        make_pairs(tmp_path / "x", models[0], larger, Options(1))
    d = save_tiny(tmp_path / "d.safetensors", *tiny_discriminator())
    with pytest.raises(UserError, match="no generator"):
        make_pairs(tmp_path / "x", models[0], d, Options(1))
    with pytest.raises(UserError, match="knows no labels"):
        make_pairs(tmp_path / "x", *models[:2], Options(1, label=0))
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.json").write_text('{"kind": "else"}')
    with pytest.raises(UserError, match="describes no pairs"):
        make_pairs(other, *models[:2], Options(1))


def test_one_job_at_a_time(models, tmp_path):
    def again(count):
        make_pairs(tmp_path, *models[:2], Options(1))

    with pytest.raises(UserError, match="another job makes pairs in"):
        make_pairs(tmp_path, *models[:2], Options(1), progress=again)


def test_manifests_are_read_with_care(whole, tmp_path):
    lines = (whole / "manifest.jsonl").read_text().splitlines()
    edited = json.dumps({**json.loads(lines[1]), "keep": False})
    (tmp_path / "manifest.jsonl").write_text("\n".join([lines[0], edited]))
    assert [x["index"] for x in read_pairs(tmp_path)] == [0]
    assert len(read_pairs(tmp_path, kept=False)) == 2
    for text, sentence in (
        ("\n".join([lines[0], lines[0]]), "has the index 0 a second time"),
        ("{", "line 1 is no JSON"),
        ("[]", "line 1 is no pair"),
        ('{"index": 0, "a": "x", "b": "y", "keep": 1}', "is no pair"),
    ):
        (tmp_path / "manifest.jsonl").write_text(text)
        with pytest.raises(UserError, match=sentence):
            read_pairs(tmp_path)
    with pytest.raises(UserError, match="has no manifest.jsonl"):
        read_pairs(tmp_path / "absent")


def test_curation_without_weights_says_what_it_left_out(models, tmp_path):
    found = make_pairs(
        tmp_path, *models[:2], Options(20), curation=Curation(sharpness=1.0)
    )
    assert 0 < found["kept"] < 20
    assert any("LPIPS" in text for text in found["not_scored"])
    assert any("arcface_irse50" in text for text in found["not_scored"])
    page = (tmp_path / "report.html").read_text()
    assert f"{found['kept']} of 20 pairs kept" in page
    assert "is blurred" in page and page.count("data:image/jpeg") == 40
    document = json.loads((tmp_path / "manifest.json").read_text())
    assert document["curation"]["not_scored"] == found["not_scored"]
    # Judged anew without drawing.
    again = make_pairs(
        tmp_path, *models[:2], Options(20), curation=Curation(sharpness=0)
    )
    assert again["kept"] == 20 and again["drawn"] == 0


class FakeLPIPS:
    """Mean difference; counts the pairs it has seen."""

    seen = 0

    def __call__(self, x, y):
        type(self).seen += len(x)
        return np.abs(np.asarray(x) - np.asarray(y)).mean((1, 2, 3))


class FakeIdentity:
    """The mean colour for an embedding."""

    def aligned(self, x):
        mean = np.asarray(x).mean((1, 2)) + 2
        return {"embedding": mean / np.linalg.norm(mean, axis=1, keepdims=True)}


@pytest.mark.parametrize("storage", ["folder", "arrayrecord"])
def test_curation_scores_every_pair_once(tmp_path, monkeypatch, storage):
    module, variables = lively_generator(num_blocks=4)
    base = save_tiny(tmp_path / "a.safetensors", module, variables)
    rng = np.random.default_rng(3)
    other = save_tiny(tmp_path / "b.safetensors", module, shifted(variables, rng))
    fakes = {"lpips_alex": FakeLPIPS(), "arcface_irse50": FakeIdentity()}
    monkeypatch.setattr(FakeLPIPS, "seen", 0)
    monkeypatch.setattr(pair_scores, "weights_state", lambda name: pair_scores.THERE)
    monkeypatch.setattr(pair_scores, "weights_path", lambda name: name)
    monkeypatch.setattr(pair_scores, "load", fakes.get)
    out, options = tmp_path / "set", Options(20, storage=storage)
    found = make_pairs(out, base, other, options, curation=Curation((0.0, 9.0)))
    assert found["not_scored"] == [] and FakeLPIPS.seen == 24  # tiles of eight
    lines = read_pairs(out, kept=False)
    pictures = Pictures(out)
    for line in lines:
        a, b = (pictures.read(line, s).astype(np.float64) for s in "ab")
        want = np.abs(a - b).mean() / 127.5
        assert line["scores"]["lpips"] == pytest.approx(want, rel=1e-4)
        assert -1 <= line["scores"]["identity"] <= 1.0001
    middle = float(np.median([x["scores"]["lpips"] for x in lines]))
    bounds = Curation((0.0, middle), identity=-1, sharpness=0)
    found = make_pairs(out, base, other, options, curation=bounds)
    assert found["kept"] == 10 and FakeLPIPS.seen == 24
    kept = read_pairs(out)
    assert len(kept) == 10 and all(x["scores"]["lpips"] <= middle for x in kept)


def scored(**scores):
    common = {"sharpness_a": 1.0, "sharpness_b": 1.0}
    return {"index": 0, "scores": {**common, **scores}, "keep": True, "reasons": []}


def test_every_bound_has_its_reason():
    lines = [
        scored(lpips=0.5, identity=0.5),
        scored(lpips=0.01, identity=0.5),
        scored(lpips=0.9, identity=0.05),
        scored(sharpness_b=0.2),
        scored(),
    ]
    judged = judge(lines, Curation())
    assert [x["keep"] for x in judged] == [True, False, False, False, True]
    assert judged[1]["reasons"] == ["LPIPS 0.010 is below 0.05: no change"]
    assert len(judged[2]["reasons"]) == 2
    assert judged[3]["reasons"][0].startswith("B is blurred")
    assert judge([], Curation()) == []
    for wrong in (
        Curation(lpips=(0.5, 0.1)),
        Curation(sharpness=2),
        Curation((0, 1), 3),
    ):
        with pytest.raises(UsageError):
            judge(lines, wrong)


def test_sharpness_falls_with_blur():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    stream = io.BytesIO()
    small = Image.fromarray(image).resize((8, 8)).resize((32, 32))
    small.save(stream, "PNG")
    assert sharpness(np.asarray(small)) < 0.2 * sharpness(image)
    assert sharpness(np.zeros((8, 8, 1), np.uint8)) == 0
    assert sharpness(np.zeros((2, 2, 3), np.uint8)) == 0
