"""pix2pixHD through the one loop: what a run leaves, resumes, on several devices."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from PIL import Image
from training_runs import ONE, run, same_bits, stats

from stylegan_jax import load
from stylegan_jax.errors import UserError
from stylegan_jax.training import loop
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.trainers import build_run


@pytest.fixture(scope="module")
def whole(tiny_words, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("pix2pixhd") / "run"
    return run(load_config("pix2pixhd_toy", tiny_words), workdir), workdir


def test_leaves_grids_figures_a_film_and_models(whole):
    _, workdir = whole
    names = {p.name for p in (workdir / "samples").iterdir()}
    assert {"pairs.png", "pairs-init.png", "pairs-000000.png", "timeline.gif"} <= names
    with Image.open(workdir / "samples" / "timeline.gif") as film:
        assert film.format == "GIF" and film.n_frames == 3
    lines = stats(workdir)
    assert [line["nimg"] for line in lines if "loss/g" in line] == [16, 24, 32, 48]
    assert lines[-1]["val/l1_source"] > 0
    assert all(line["nonfinite"] == 0 for line in lines)
    best = json.loads((workdir / "models" / "best.json").read_text())
    assert best["measured_with"] == {"l1": 20.0}


def test_the_rate_is_constant_and_then_falls(whole):
    # Half of 48 pairs at 1e-3, then linearly to 0; figures are means over a tick.
    rates = [x["train/rate"] for x in stats(whole[1]) if "train/rate" in x]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-3, (2 / 3 + 1 / 3) / 2 * 1e-3])


def test_the_model_is_the_averaged_one_and_says_how_to_use_it(whole):
    outcome, workdir = whole
    model = load(workdir)
    same_bits(dict(model.variables), outcome.state.ema_variables("g"))
    same_bits(dict(load(workdir, part="d").params), outcome.state.params["d"])
    made = model.metadata["provenance"]
    assert (made["resolution"], made["source"]) == (16, "pictures")
    assert (made["source_labels"], made["second"], made["instances"]) == (
        0,
        False,
        False,
    )
    assert made["sides"] == {"source": "a", "target": "b", "second": None}
    assert model(np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 16, 16, 3)


def test_a_run_that_is_made_longer_falls_later(whole, tiny, tmp_path):
    # The rate of the rest is that of the whole, not of a run that begins.
    words = ("train.decay_kimg=0.024",)
    assert run(tiny(*words, "train.total_kimg=0.024"), tmp_path).nimg == 24
    first = stats(tmp_path)[-1]["train/rate"]
    assert first < 1e-3  # a shorter run falls sooner
    rest = run(tiny(*words), tmp_path)
    assert stats(tmp_path)[-1]["train/rate"] == stats(whole[1])[-1]["train/rate"]
    assert rest.nimg == 48


def test_goes_on_bit_for_bit(whole, tiny, tmp_path, monkeypatch):
    class Stops(Exception):
        pass

    original = loop._Loop._take_snapshot

    def stop(self, state, measured):
        original(self, state, measured)
        raise Stops

    monkeypatch.setattr(loop._Loop, "_take_snapshot", stop)
    with pytest.raises(Stops):
        run(tiny(), tmp_path)
    monkeypatch.undo()
    rest = run(tiny(), tmp_path)
    same_bits(rest.state, whole[0].state)
    name = "models/net-000000.safetensors"
    assert (tmp_path / name).read_bytes() == (whole[1] / name).read_bytes()


def test_eight_devices_learn_what_one_learns(tiny, tmp_path):
    words = (
        "train.total_kimg=0.016",
        "train.batch=16",
        "loss.pool_size=16",
        "model.norm=batch",
        "augment.rotate=5",
        "augment.light=0.5",
        "eval.every_kimg=0",
        "snapshot.every_kimg=1",
    )
    one = run(tiny(*words), tmp_path / "one")
    eight = run(tiny(*words), tmp_path / "eight", jax.devices()[:8])
    # Adam's first step is the sign of the gradient: where that is all but 0, rounding
    # decides. What the gradient itself moved must agree.
    a, b = (jax.device_get(o.state) for o in (one, eight))
    for x, y in zip(
        jax.tree.leaves((a.batch_stats, a.pool)),
        jax.tree.leaves((b.batch_stats, b.pool)),
        strict=True,
    ):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)
    first, second = ({k: v.mu for k, v in s.opt.items()} for s in (a, b))
    # A bias before a normalisation has no gradient: what it has is rounding.
    size = max(np.abs(x).max() for x in jax.tree.leaves(first))
    for x, y in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4 * size)
    losses = [stats(tmp_path / name)[-1]["loss/g"] for name in ("one", "eight")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow  # a program of its own
def test_every_option_at_once(tmp_path):
    words = [
        "model.generator=local",
        "model.feature_channels=3",
        "model.norm=instance_affine",
        "model.upsampling=transposed",
        "data.source_labels=4",
        "data.instances=true",
        "loss.gan=logistic",
        "loss.blind_spot=4",
        "loss.pool_size=16",
        "augment.rotate=5",
        "train.batch=8",
        "train.batch_per_device=4",
        "train.total_kimg=0.032",
        "train.decay_kimg=0.016",
        "ema.kimg=0.1",
    ]
    words = [f"--config.{word}" for word in words]
    config = load_config("pix2pixhd_labels:smoke", words)
    outcome = run(config, tmp_path)
    state, figures = jax.device_get(outcome.state), stats(tmp_path)[-1]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
    assert {"loss/gan", "loss/features", "loss/l1", "val/l1"} <= set(figures)
    assert np.any(state.pool["images"][:8]) and state.params["e"]
    found = {part: load(tmp_path, part=part) for part in ("net", "d", "e")}
    assert found["net"].module.input_channels == 4 + 1 + 3
    assert found["net"].metadata["provenance"]["instances"] is True


@pytest.mark.slow  # a hundred steps
def test_it_learns(tiny, tmp_path):
    run(tiny("train.total_kimg=1.6", "model.width=8"), tmp_path)
    lines = [line for line in stats(tmp_path) if "val/l1" in line]
    assert lines[-1]["val/l1_ratio"] > 2 * lines[0]["val/l1_ratio"]


def test_goes_on_with_the_same_losses_alone(whole, tiny):
    for word, said in (
        ("loss.gan=logistic", "loss.gan=lsgan"),
        ("loss.pool_size=8", "loss.pool_size=0"),
        ("model.upsampling=transposed", "model.upsampling=resize"),
        ("model.norm=batch", "model.norm=instance"),
    ):
        with pytest.raises(UserError, match=said):
            run(tiny(word), whole[1])


@pytest.mark.slow  # two programs of its own
def test_a_local_stage_from_a_global_one(whole, tiny, tmp_path):
    workdir = whole[1]
    config = tiny(
        "model.generator=local",
        "model.enhancer_blocks=1",
        f"init.global_generator={workdir}",
        "train.fix_global_kimg=0.008",
        "train.total_kimg=0.016",
        "eval.every_kimg=0",
    )
    first = load(workdir).params["trunk"]
    built = build_run(config, tmp_path / "w", devices=ONE, progress=False)
    assert built.modules.g.width == 1
    state = built.adopt(built.init(jax.random.key(0)))
    same_bits(state.params["g"]["trunk"], dict(first))
    middle = run(config, tmp_path / "w").state
    # One step stood still, one moved; the optimiser counted the second alone.
    assert int(middle.opt["trunk"].count) == 1
    assert int(middle.opt["g"].count) == 2
    moved = jax.tree.map(
        lambda a, b: float(np.abs(a - b).max()),
        jax.device_get(middle.params["g"]["trunk"]),
        dict(first),
    )
    # Adam's first step is the rate in size, wherever there is a gradient.
    assert 0 < max(jax.tree.leaves(moved)) <= 1.01e-3
    assert load(tmp_path / "w").metadata["family"] == "pix2pixhd.local"
