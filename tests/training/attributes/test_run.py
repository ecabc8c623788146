"""The trainer through the one loop: what a run leaves, resumes, and on 8 devices."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from training_runs import run, same_bits, stats

from stylegan_jax import load
from stylegan_jax.data.attribute_labels import Attribute
from stylegan_jax.data.attribute_pictures import open_labelled
from stylegan_jax.errors import UserError
from stylegan_jax.training.experiment import load_config


@pytest.fixture(scope="module")
def whole(tiny_words, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("attributes") / "run"
    return run(load_config("attributes", tiny_words), workdir), workdir


def test_leaves_grids_figures_and_models(whole):
    _, workdir = whole
    names = {p.name for p in (workdir / "samples").iterdir()}
    assert {"augmented.png", "read-000000.png"} <= names
    last = stats(workdir)[-1]
    wanted = {"loss/smile", "loss/glasses", "val/loss", "val/glasses_accuracy"}
    assert wanted | {"val/smile_mae", "val/smile_correlation"} <= set(last)
    assert last["nonfinite"] == 0
    best = json.loads((workdir / "models" / "best.json").read_text())
    assert best["metric"] == "val/loss"


def test_the_model_is_the_averaged_one_and_reads_by_name(whole, labelled_faces):
    outcome, workdir = whole
    reader = load(workdir)
    same_bits(dict(reader.variables), outcome.state.ema_variables())
    assert reader.kinds == {"smile": "number", "glasses": "binary"}
    assert reader.document["data"] == reader.metadata["provenance"]["data"]
    wanted = [Attribute("smile"), Attribute("glasses", "binary", ("round", "square"))]
    pictures = open_labelled(labelled_faces, attributes=wanted, progress=False)
    images = np.stack([pictures[i]["image"] for i in range(3)])
    found = reader.read(images)
    assert list(found) == ["smile", "glasses"]
    assert all(v.shape == (3,) and v.dtype == np.float32 for v in found.values())
    assert (np.abs(found["glasses"] - 0.5) <= 0.5).all()


def test_two_halves_equal_the_whole_bit_for_bit(whole, tiny, tmp_path):
    assert run(tiny("train.total_kimg=0.024"), tmp_path).nimg == 24
    rest = run(tiny(), tmp_path)
    same_bits(rest.state, whole[0].state)
    name = "models/attributes-000000.safetensors"
    assert (tmp_path / name).read_bytes() == (whole[1] / name).read_bytes()


@pytest.mark.slow  # a program of its own, over eight devices
def test_eight_devices_learn_what_one_learns(tiny, tmp_path):
    # One step: Adam's next ones would enlarge rounding where gradients are small.
    words = ("train.total_kimg=0.008", "eval.every_kimg=0", "snapshot.every_kimg=1")
    one = run(tiny(*words), tmp_path / "one")
    eight = run(tiny(*words), tmp_path / "eight", jax.devices()[:8])
    a, b = (jax.device_get((o.state.opt, o.state.batch_stats)) for o in (one, eight))
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    losses = [
        stats(tmp_path / name)[-1]["loss/attributes"] for name in ("one", "eight")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_goes_on_with_the_same_attributes_alone(whole, tiny):
    with pytest.raises(UserError, match="begun with data.attributes=smile:number,"):
        run(tiny("data.attributes=smile,skin"), whole[1])


@pytest.mark.slow  # a program of its own, and 400 steps
def test_it_learns_to_read(tiny, tmp_path, tmp_path_factory):
    from stylegan_jax.data import toy

    faces = tmp_path_factory.mktemp("many") / "faces"
    toy.write_toy(faces, style="photo", num=400, size=32, seed=100)
    config = tiny(
        f"data.path={faces}",
        "model.width=8",
        "train.total_kimg=12.8",
        "train.batch=32",
        "train.schedule=cosine",
        "augment.zoom_out=0.95",
        "augment.zoom_in=1.05",
        "augment.shift=0.02",
        "eval.every_kimg=12.8",
        "eval.num=120",
        "snapshot.every_kimg=12.8",
    )
    run(config, tmp_path)
    last = stats(tmp_path)[-1]
    assert last["val/smile_correlation"] > 0.6
    assert last["val/glasses_auc"] > 0.8
