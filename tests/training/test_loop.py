"""The loop: a folder of pictures in, a run's folder out; exact resume."""

from __future__ import annotations

import json
import signal

import jax
import numpy as np
import pytest

from stylegan_jax import load
from stylegan_jax.errors import UserError
from stylegan_jax.training import lock
from stylegan_jax.training import loop as loop_module
from stylegan_jax.training.loop import train

ONE = jax.devices()[:1]


def run(config, workdir, **options):
    return train(config, workdir, devices=ONE, show_progress=False, **options)


def stats(workdir):
    lines = (workdir / "stats.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def same_bits(a, b):
    def check(x, y):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))

    jax.tree.map(check, jax.device_get(a), jax.device_get(b))


@pytest.fixture(scope="module")
def whole(tiny_words, tmp_path_factory):
    """An uninterrupted run of eight steps."""
    from stylegan_jax.training.experiment import load_config

    workdir = tmp_path_factory.mktemp("whole")
    config = load_config("stylegan2_base:smoke", tiny_words)
    return run(config, workdir), workdir


def test_leaves_what_the_design_says(whole):
    outcome, workdir = whole
    assert (outcome.nimg, outcome.signal) == (64, None)
    assert int(outcome.state.step) == 8
    names = {p.name for p in (workdir / "samples").iterdir()}
    assert names == {"reals.png", "fakes-init.png", "fakes-000000.png"}
    names = {p.name for p in (workdir / "models").iterdir()}
    assert names == {f"{p}-000000.safetensors" for p in ("g_ema", "g", "d")}
    config = json.loads((workdir / "config.json").read_text())
    assert config["requested"]["loss"]["r1_gamma"] is None
    assert config["resolved"]["loss"]["r1_gamma"] == 0.0002 * 16**2 / 8


def test_stats_have_a_line_per_tick_with_every_metric(whole):
    lines = stats(whole[1])
    assert [line["nimg"] for line in lines] == [16, 32, 48, 64]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    for name in ("loss/g_main", "loss/d_main", "reg/pl", "scores/real", "scores/fake"):
        assert all(np.isfinite(line[name]) for line in lines), name
    assert "reg/r1" in lines[0] and "reg/r1" not in lines[1]  # every fourth step
    assert all(line["nonfinite"] == 0 for line in lines)
    assert lines[-1]["seconds"] > lines[0]["seconds"] > 0


def test_snapshots_are_the_state(whole):
    outcome, workdir = whole
    g = load(workdir)
    same_bits(g.variables, outcome.state.g_ema_variables())
    same_bits(load(workdir, part="d").variables["params"], outcome.state.d_params)
    assert g.metadata["provenance"]["nimg"] == 64
    assert g.images(seeds=[0]).shape == (1, 16, 16, 3)


def test_two_halves_equal_the_whole_bit_for_bit(whole, tiny, tmp_path):
    half = run(tiny("train.total_kimg=0.032"), tmp_path)
    assert half.nimg == 32
    rest = run(tiny(), tmp_path)
    same_bits(rest.state, whole[0].state)
    assert [line["nimg"] for line in stats(tmp_path)] == [16, 32, 48, 64]
    for part in ("g_ema", "g", "d"):
        name = f"models/{part}-000000.safetensors"
        assert (tmp_path / name).read_bytes() == (whole[1] / name).read_bytes()


def test_a_finished_run_does_nothing_more(whole, tiny):
    before = whole[1].joinpath("stats.jsonl").read_text()
    again = run(tiny(), whole[1])
    same_bits(again.state, whole[0].state)
    assert whole[1].joinpath("stats.jsonl").read_text() == before


def test_a_finished_run_keeps_its_configuration(whole, tiny, capfd):
    before = whole[1].joinpath("config.json").read_text()
    train(tiny("loss.r1_gamma=9"), whole[1], devices=ONE)
    said = capfd.readouterr().err
    assert "nothing left to do: the run is at 0.06 kimg" in said
    assert "compiling" not in said
    assert whole[1].joinpath("config.json").read_text() == before


def test_two_jobs_in_one_folder_are_refused(whole, tiny):
    with lock.hold(whole[1]):
        with pytest.raises(
            UserError, match=r"Another job trains in .*\(process \d+ on"
        ):
            run(tiny(), whole[1])
    run(tiny(), whole[1])  # the lock is let go


def test_sigterm_saves_and_the_run_goes_on(whole, tiny, tmp_path, monkeypatch):
    # A signal that arrives before the fifth step, and its echo.
    original = loop_module.StopSignal.agreed

    def agreed(self, step):
        if step == 4:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        return original(self, step)

    monkeypatch.setattr(loop_module.StopSignal, "agreed", agreed)
    stopped = run(tiny("snapshot.every_kimg=1"), tmp_path)
    assert (stopped.nimg, stopped.signal) == (32, signal.SIGTERM)
    monkeypatch.undo()
    rest = run(tiny("snapshot.every_kimg=1"), tmp_path)
    same_bits(rest.state, whole[0].state)


def test_another_seed_cannot_go_on(whole, tiny):
    with pytest.raises(
        UserError, match=r"begun with train.seed=0 .* another --workdir"
    ):
        run(tiny("train.seed=1"), whole[1])


def test_other_networks_cannot_go_on(whole, tiny):
    with pytest.raises(UserError, match="does not fit this configuration"):
        run(tiny("model.channel_max=4"), whole[1])


@pytest.mark.slow  # a training run of its own
def test_says_what_changed(tiny, tmp_path, capfd):
    run(tiny("train.total_kimg=0.016"), tmp_path)
    more = tiny("loss.r1_gamma=2", "train.total_kimg=0.024")
    train(more, tmp_path, devices=ONE)
    shown = capfd.readouterr().err
    assert "changed since this run was begun: loss.r1_gamma was 0.0064, is 2.0" in shown
    assert "going on at 0.02 kimg" in shown


@pytest.mark.slow  # a training run of its own
def test_numbers_that_stay_broken_stop_the_run(tiny, tmp_path):
    # A rate of 1e30 breaks every weight in the first step.
    words = ["train.g_learning_rate=1e30", "train.d_learning_rate=1e30"]
    config = tiny(*words, "train.nonfinite_patience=3", "train.total_kimg=0.4")
    with pytest.raises(UserError, match=r"not been finite for 3 steps in a row, from"):
        run(config, tmp_path)
    assert not (tmp_path / "models").exists()


@pytest.mark.slow  # a training run of its own
def test_measures_and_keeps_the_best(tiny, tmp_path):
    config = tiny("eval.every_kimg=0.032", "eval.num=16")
    run(config, tmp_path)
    measured = [line["swd/mean"] for line in stats(tmp_path) if "swd/mean" in line]
    assert len(measured) == 3  # at the start, half-way, at the end
    best = json.loads((tmp_path / "models" / "best.json").read_text())
    assert best["metric"] == "swd/mean" and best["value"] in measured


@pytest.mark.slow  # programs of its own; test_steps has labels too
def test_labels_condition_the_model(tiny, tmp_path):
    outcome = run(tiny("data.labels=True", "train.total_kimg=0.008"), tmp_path)
    assert "embed" in outcome.state.g_params["mapping"]
    assert load(tmp_path).images(seeds=[0], labels=1).shape == (1, 16, 16, 3)
