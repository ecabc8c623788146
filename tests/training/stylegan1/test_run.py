"""Growing through the loop: stages, exact resume, files at any moment."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from training_runs import ONE, run, same_bits, stats

from stylegan_jax import load
from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.training import compile as compiling
from stylegan_jax.training import loop
from stylegan_jax.training.progress import Progress
from stylegan_jax.training.stylegan1.build import build_run


@pytest.fixture(scope="module")
def compiled():
    """Phases that were compiled since the module began, as (resolution, name)."""
    found = []
    original = compiling.trace_phase

    def trace(run, phase, *rest):
        found.append((run.hyper.stage.resolution, phase.name))
        return original(run, phase, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "trace_phase", trace)
        yield found


@pytest.fixture(scope="module")
def whole(growing, tmp_path_factory, compiled):
    """An uninterrupted run: two steps of 16 at 8 px, eight of 8 at 16 px.

    What it gives, its folder, the phases that it compiled, and how many programs of any
    kind were compiled after every step.
    """
    seconds, after = [], []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seconds.append(duration)

    class Watched(Progress):
        def advance(self, images):
            super().advance(images)
            after.append(len(seconds))

    workdir = tmp_path_factory.mktemp("whole")
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "Progress", Watched)
            outcome = run(growing(), workdir)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return outcome, workdir, list(compiled), after


@pytest.fixture(scope="module")
def in_parts(growing, tmp_path_factory, whole):
    """The same run, stopped at the border and in the fade; its folder at each stop."""
    workdir = tmp_path_factory.mktemp("parts")
    at_border = run(growing("train.total_kimg=0.032"), workdir)
    in_fade = run(growing("train.total_kimg=0.056"), workdir)
    files = {part: load(workdir, part=part) for part in ("g_ema", "d")}
    rest = run(growing(), workdir)
    return at_border, in_fade, files, rest, workdir


def test_growing_compiles_once_for_each_stage(whole):
    assert whole[2] == [(r, p) for r in (8, 16) for p in ("g_main", "d_main")]


def test_figures_say_how_far_it_is(whole):
    outcome, workdir, *_ = whole
    assert (int(outcome.state.step), outcome.nimg) == (10, 96)
    lines = stats(workdir)
    assert [line["nimg"] for line in lines] == [16, 32, 48, 64, 80, 96]
    # A tick is the mean over its steps, each with the lod that it began with.
    wanted = [1, 1, (1 + 0.75) / 2, (0.5 + 0.25) / 2, 0, 0]
    assert [line["grow/lod"] for line in lines] == pytest.approx(wanted)
    assert [line["grow/resolution"] for line in lines] == [8, 8, 16, 16, 16, 16]
    assert all(line["reg/r1"] > 0 and line["nonfinite"] == 0 for line in lines)


def test_resuming_across_a_border_and_in_a_fade_is_exact(whole, in_parts):
    at_border, in_fade, _, rest, workdir = in_parts
    assert (at_border.nimg, in_fade.nimg, rest.nimg) == (32, 56, 96)
    same_bits(rest.state, whole[0].state)
    for part in ("g_ema", "g", "d"):
        name = f"models/{part}-000000.safetensors"
        assert (workdir / name).read_bytes() == (whole[1] / name).read_bytes()


def test_all_resolutions_are_in_the_state_from_the_start(in_parts, whole):
    def shapes(outcome):
        return jax.tree.map(np.shape, outcome.state)

    assert shapes(in_parts[0]) == shapes(whole[0])


def test_a_snapshot_in_a_fade_draws_and_scores(in_parts, growing, faces, tmp_path):
    _, in_fade, files, _, _ = in_parts
    g, d = files["g_ema"], files["d"]
    assert g.module.progressive and g.module.lod == d.module.lod == 0.25
    pictures = g.images(seeds=range(4))
    assert pictures.shape == (4, 16, 16, 3)
    made = build_run(growing(), tmp_path, devices=ONE, progress=False)
    networks = made.networks(in_fade.nimg)
    variables = {**jax.device_get(in_fade.state.g_ema_variables()), **networks.extra}
    during = made.NETWORK(networks.g, variables)
    # The sample grids of the run and its file are one and the same.
    np.testing.assert_array_equal(during.images(seeds=range(4)), pictures)
    x = pictures.astype(np.float32) / 127.5 - 1
    assert np.isfinite(d(x)).all()


def test_before_the_fade_pictures_are_enlarged(in_parts, whole, growing, tmp_path):
    state = jax.device_get(in_parts[0].state)
    made = build_run(growing(), tmp_path, devices=ONE, progress=False)
    module, variables = made.filed(made.g, state.g_ema_variables(), 31)
    assert module.lod == 1
    drawn = made.NETWORK(module, variables).images(seeds=[0])
    np.testing.assert_array_equal(drawn, drawn[:, ::2, ::2].repeat(2, 1).repeat(2, 2))
    # Over the border, the first picture of the fade is still that one.
    module, variables = made.filed(made.g, state.g_ema_variables(), 32)
    np.testing.assert_array_equal(
        made.NETWORK(module, variables).images(seeds=[0]), drawn
    )


def test_the_last_snapshot_is_a_network_that_never_grew(whole):
    outcome, workdir, *_ = whole
    g = load(workdir)
    assert not g.module.progressive and g.module.lod == 0
    assert g.metadata["family"] == "stylegan1.generator"
    assert "torgb" not in g.variables["params"]["synthesis"]["b8"]
    d = load(workdir, part="d")
    plain = FAMILIES["stylegan1.discriminator"].shapes(config_of(d.module), where="x")
    assert set(plain) == {
        f"params/{'/'.join(k.key for k in path)}"
        for path, _ in jax.tree_util.tree_leaves_with_path(d.variables["params"])
    }


def test_a_stage_compiles_nothing_once_it_runs(whole):
    """Two steps at 8 px, the first tick among them, then eight: the fade and after."""
    after = whole[3]
    assert len(after) == 10 and after[2] > after[1] > 0
    assert after[2:] == [after[2]] * 8, "something compiled while a stage ran"


@pytest.mark.slow  # compiles all programs for eight devices
def test_eight_devices_train_as_one(growing, tmp_path):
    words = ["grow.batch=32", "grow.train_kimg=0.064", "grow.fade_kimg=0.064"]
    words += ["train.total_kimg=0.16", "grow.learning_rate=0.0001"]
    # The untrained constant is 1 everywhere, and its normalisation blows up whatever
    # rounding makes of it: the first steps would be those of noise.
    words += ["model.const_input=false"]
    one = run(growing(*words), tmp_path / "one")
    eight = run(growing(*words), tmp_path / "eight", devices=jax.devices()[:8])
    assert one.nimg == eight.nimg == 160
    # Weights whose gradient is nothing but rounding (a bias before a normalisation) go
    # where Adam takes them, which no picture shows.
    pictures = [load(tmp_path / n).images(seeds=range(8)) for n in ("one", "eight")]
    difference = np.abs(pictures[0].astype(float) - pictures[1])
    assert difference.mean() < 0.5 and pictures[0].std() > 10
    figures = [stats(tmp_path / name)[-1] for name in ("one", "eight")]
    for name in ("loss/g_main", "loss/d_main", "reg/r1", "grow/lod"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=0.05), name


def test_the_best_is_of_the_newest_resolution(growing, tmp_path):
    """A measure of pictures at 8 px says nothing of those that fade in."""
    made = build_run(growing(), tmp_path, devices=ONE, progress=False)
    kinds = [made.compared_with(nimg) for nimg in (16, 31, 32, 63, 64, 96)]
    assert kinds[0] == kinds[1] != kinds[2] == kinds[3] != kinds[4] == kinds[5]


@pytest.mark.slow  # programs of its own
def test_augmentation_and_the_overfit_watch_see_the_stages_pictures(growing, tmp_path):
    words = ["augment.mode=ada", "augment.kimg=0.1", "augment.interval=1"]
    words += ["eval.watch=true", "eval.every_kimg=0.048", "eval.num=16"]
    outcome = run(growing(*words, "data.held_out=0.3"), tmp_path)
    lines = stats(tmp_path)
    measured = [line for line in lines if "watch/gap" in line]
    assert [line["nimg"] for line in measured] == [0, 48, 96]
    for line in measured:
        assert np.isfinite(line["watch/gap"]) and line["watch/nearest"] > 0
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    assert "augment/p" in lines[-1]


@pytest.mark.slow  # programs of its own
@pytest.mark.parametrize(
    "words",
    [
        ["loss.objective=wgan-gp"],
        [
            "model.use_style=false",
            "model.const_input=false",
            "model.mapping_layers=0",
            "model.instance_norm=false",
            "model.pixel_norm=true",
            "loss.style_mixing_prob=0",
            "model.use_noise=false",
        ],
        ["grow.start_resolution=4", "train.batch=8", "grow.learning_rate=0.001"],
    ],
    ids=["wgan-gp", "progan", "from 4 px"],
)
def test_what_else_can_be_trained(growing, tmp_path, words):
    outcome = run(growing(*words), tmp_path)
    assert outcome.nimg == 96
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    lines = stats(tmp_path)
    assert all(line["nonfinite"] == 0 for line in lines)
    assert ("reg/gp" in lines[-1]) == ("loss.objective=wgan-gp" in words)
    assert load(tmp_path).images(seeds=[0]).shape == (1, 16, 16, 3)
