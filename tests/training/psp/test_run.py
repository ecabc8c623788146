"""pSp through the one loop: what a run leaves, resumes, and is on several devices."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from training_runs import run, same_bits, stats

from stylegan_jax import load
from stylegan_jax.errors import UserError
from stylegan_jax.training.experiment import load_config


@pytest.fixture(scope="module")
def whole(tiny_words, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("psp") / "run"
    return run(load_config("psp_toy", tiny_words), workdir), workdir


def test_leaves_grids_figures_and_models(whole):
    _, workdir = whole
    names = {p.name for p in (workdir / "samples").iterdir()}
    assert {"pairs.png", "pairs-init.png", "pairs-000000.png"} <= names
    lines = stats(workdir)
    assert [line["nimg"] for line in lines if "loss/psp" in line] == [16, 24, 32, 48]
    assert lines[0]["val/l2_mean_latent"] > 0
    assert all(line["nonfinite"] == 0 for line in lines)
    best = json.loads((workdir / "models" / "best.json").read_text())
    assert best["metric"] == "val/loss"


def test_the_model_is_the_averaged_one_and_names_its_origin(whole, decoder):
    outcome, workdir = whole
    model = load(workdir)
    same_bits(dict(model.variables), outcome.state.ema_variables())
    made = model.metadata["provenance"]
    assert made["started_from"]["init.decoder"]["file"] == decoder.name
    assert made["losses"] == {"l2": 1.0}
    x = np.zeros((1, 32, 32, 3), np.float32)
    assert model(x).shape == (1, 16, 16, 3)


def test_the_decoder_stays_and_the_encoder_moves(whole, decoder):
    state, g = whole[0].state, load(decoder)
    same_bits(state.frozen["decoder"], dict(g.variables["params"]))
    w_avg = g.variables["moving_stats"]["mapping"]["w_avg"]
    latent_avg = np.asarray(state.moving_stats["latent_avg"])
    np.testing.assert_array_equal(latent_avg, np.tile(w_avg, (6, 1)))
    fast, slow = state.params["encoder"], state.opt.slow["encoder"]
    # Six steps: lookahead has just brought both together.
    for a, b in zip(jax.tree.leaves(fast), jax.tree.leaves(slow), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    average = state.ema_params["encoder"]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), fast, average)
    assert max(jax.tree.leaves(moved)) > 0


@pytest.mark.slow  # a training run of its own, as are those of the other trainers
def test_two_halves_equal_the_whole_bit_for_bit(whole, tiny, tmp_path):
    assert run(tiny("train.total_kimg=0.024"), tmp_path).nimg == 24
    rest = run(tiny(), tmp_path)
    same_bits(rest.state, whole[0].state)
    name = "models/psp-000000.safetensors"
    assert (tmp_path / name).read_bytes() == (whole[1] / name).read_bytes()


@pytest.mark.slow  # a minute; test_steps and pix2pixhd's own show it in every run
def test_eight_devices_learn_what_one_learns(whole, tiny, tmp_path):
    # Ranger's first steps are linear in the gradient: rounding stays what it is.
    words = ("train.total_kimg=0.016", "eval.every_kimg=0", "snapshot.every_kimg=1")
    one = run(tiny(*words), tmp_path / "one")
    eight = run(tiny(*words), tmp_path / "eight", jax.devices()[:8])
    a, b = (jax.device_get((o.state.params, o.state.batch_stats)) for o in (one, eight))
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=5e-6)
    losses = [stats(tmp_path / name)[-1]["loss/psp"] for name in ("one", "eight")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow  # programs of its own, with the pyramid's
def test_the_pyramid_learns(tiny, tmp_path):
    words = ("model.encoder_type=GradualStyleEncoder", "train.total_kimg=0.8")
    run(tiny(*words, "train.learning_rate=0.003", "train.optimiser=adam"), tmp_path)
    lines = [line for line in stats(tmp_path) if "val/l2" in line]
    assert lines[-1]["val/l2"] < 0.7 * lines[0]["val/l2"]


@pytest.mark.slow  # a program of its own
def test_every_option_at_once(tiny, decoder, pairs, tmp_path):
    config = tiny(
        "model.iterations=2",
        "train.train_decoder=true",
        "train.optimiser=adam",
        "train.batch_per_device=4",
        "train.total_kimg=0.016",
        "data.reconstruct=true",
        "data.mirror=apart",
        "data.factors=[1,2]",
        f"data.path={pairs / 'B'}",
        "loss.l2_crop_weight=0.5",
        "loss.w_norm_weight=0.01",
    )
    state = run(config, tmp_path).state
    figures = stats(tmp_path)[-1]
    assert {"loss/l2", "loss/l2_crop", "loss/w_norm", "val/w_norm"} <= set(figures)
    before = load(decoder).variables["params"]
    after = jax.device_get(state.params["decoder"])
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), after, dict(before))
    assert max(jax.tree.leaves(moved["synthesis"])) > 0
    assert max(jax.tree.leaves(moved["mapping"])) == 0
    assert load(tmp_path).module.iterations == 2


def test_goes_on_with_the_same_networks_alone(whole, tiny, tmp_path):
    for word, said in (
        ("train.optimiser=adam", "train.optimiser=ranger"),
        ("train.train_decoder=true", "train.train_decoder=False"),
    ):
        with pytest.raises(UserError, match=said):
            run(tiny(word), whole[1])
