import json

import numpy as np
import pytest
from tiny_students import save_student

from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import evaluate_pairs as library
from stylegan_jax.pipelines.evaluate import evaluate
from stylegan_jax.pipelines.folder_pairs import Options, pair_folders
from stylegan_jax.pipelines.stylize_pix2pixhd import StudentPictures

NUM = 6


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A student and six pairs of random pictures."""
    root = tmp_path_factory.mktemp("students")
    save_student(root / "net.safetensors")
    rng = np.random.default_rng(0)
    for i in range(NUM):
        for side in "ab":
            picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
            save_png(root / side / f"{i}.png", picture)
    pair_folders(root / "a", root / "b", root / "pairs", Options(resolution=16))
    return root


class Brightness:
    """Reads how bright a picture is, and whether it is bright."""

    names = ("brightness", "bright")
    kinds = {"brightness": "number", "bright": "binary"}
    document = {"reader": "brightness"}

    def read(self, pictures):
        value = (pictures.mean((1, 2, 3)) / 255).astype(np.float32)
        return {"brightness": value, "bright": value}


@pytest.fixture(scope="module")
def result(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "open_reader", lambda text: Brightness())
        return evaluate(
            root / "net.safetensors",
            root / "pairs",
            pair_options={"attributes": "any", "per_pair": root / "each.jsonl"},
        )


def test_figures_beside_those_of_doing_nothing(root, result):
    pairs = library.open_pairs(
        root / "pairs", library.StudentOnPairs(load(root / "net.safetensors")), 0, False
    )
    x, y = (np.stack([pairs[i][s] for i in range(NUM)]) for s in ("source", "target"))
    drawn = StudentPictures(load(root / "net.safetensors")).draw(x)
    ours, theirs = (np.abs(p - y.astype(float)) / 127.5 for p in (drawn, x))
    metrics = result["metrics"]
    assert metrics["l1"] == pytest.approx(ours.mean(), rel=1e-5)
    assert metrics["l1_identity"] == pytest.approx(theirs.mean(), rel=1e-5)
    assert metrics["l1_ratio"] == pytest.approx(theirs.mean() / ours.mean(), rel=1e-5)
    assert metrics["l2"] == pytest.approx((ours**2).mean(), rel=1e-5)
    assert metrics["l2_identity"] == pytest.approx((theirs**2).mean(), rel=1e-5)
    assert json.loads(json.dumps(result)) == result
    assert (result["num"], result["baseline"]) == (NUM, "identity")
    assert "noise_mode" not in result and result["input_size"] == 16


def test_what_becomes_of_attributes(root, result):
    lines = [json.loads(x) for x in (root / "each.jsonl").read_text().splitlines()]
    output = [line["brightness_output"] for line in lines]
    found = result["attributes"]
    assert found["brightness"]["output"] == pytest.approx(np.mean(output))
    assert "kept_source" in found["bright"] and "kept_source" not in found["brightness"]
    assert result["reader"] == {"reader": "brightness"}
    assert "brightness_output" not in result["metrics"]


def test_the_baseline_of_every_metric(root, monkeypatch):
    class Fake:
        def __call__(self, x, y):
            return abs(x - y).mean((1, 2, 3))

        def aligned(self, x):
            return {"embedding": x.mean((1, 2))}

    monkeypatch.setattr(library, "weights_path", lambda name: root / "net.safetensors")
    monkeypatch.setattr(library, "load", lambda file: Fake())
    found = evaluate(
        root / "net.safetensors",
        root / "pairs",
        metrics=["lpips", "identity"],
        num=2,
        pair_options={"size": 16},
    )["metrics"]
    assert {"lpips_identity", "lpips_ratio", "identity_source"} <= set(found)
    assert "identity_ratio" not in found and "l1" not in found


def test_refusals(root, tmp_path):
    file = root / "net.safetensors"
    with pytest.raises(UserError, match="multiples of 2 from 4 on, got 7"):
        evaluate(file, root / "pairs", pair_options={"size": 7})
    with pytest.raises(UserError, match="on pairs, and psi are for a generator"):
        evaluate(file, root / "pairs", truncation_psi=0.5)


def test_the_sides_that_a_student_was_trained_on(root, tmp_path):
    sides = {"source": "b", "target": "a", "second": None}
    told = {"resolution": 16, "source_labels": 0, "second": False, "sides": sides}
    file = save_student(tmp_path / "net.safetensors", told)
    usual, other = (
        library.open_pairs(root / "pairs", library.StudentOnPairs(load(x)), 0, False)
        for x in (root / "net.safetensors", file)
    )
    for name, same in (("source", "target"), ("target", "source")):
        np.testing.assert_array_equal(other[0][name], usual[0][same])


def test_label_maps_for_a_model_of_pictures_and_the_other_way_round(root, tmp_path):
    for i in range(2):
        save_png(tmp_path / f"maps/{i}.png", np.full((16, 16, 1), i, np.uint8))
        save_png(tmp_path / f"b/{i}.png", np.full((16, 16, 3), 9 * i, np.uint8))
    options = Options(resolution=16, labels_a=True)
    pair_folders(tmp_path / "maps", tmp_path / "b", tmp_path / "pairs", options)
    with pytest.raises(UserError, match="are label maps .* with --classes") as error:
        evaluate(root / "net.safetensors", tmp_path / "pairs")
    assert "--config" not in str(error.value)
    told = {"resolution": 16, "source_labels": 3}
    file = save_student(tmp_path / "net.safetensors", told)
    with pytest.raises(UserError, match="pictures and this model takes label maps of"):
        evaluate(file, root / "pairs")
