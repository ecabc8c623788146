"""Of `bench generate` and `bench train`, and of our side in `bench peers`."""

import json

import jax
import numpy as np
import pytest
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.bench import peers, throughput_generate, throughput_train
from stylegan_jax.bench.machine import Peaks
from stylegan_jax.bench.program_cost import Cost
from stylegan_jax.bench.throughput_train import END, mean_iteration
from stylegan_jax.bench.timing import Budget
from stylegan_jax.errors import UsageError
from stylegan_jax.training.experiment import load_config

PRECISIONS = ("float32", "bfloat16")
_RATE = dict.fromkeys(PRECISIONS, 1e9)
PEAKS = Peaks(_RATE, _RATE, 1e9, 1e-9, counted=dict.fromkeys(PRECISIONS, 5e8))


def tiny_config(**values):
    values = {
        "data.resolution": 8,
        "model.z_dim": 8,
        "model.w_dim": 8,
        "model.mapping_layers": 1,
        "model.channel_base": 32,
        "train.batch": 4,
        **values,
    }
    words = [f"--config.{name}={value}" for name, value in values.items()]
    return load_config("stylegan2", words)


@pytest.fixture(scope="module")
def steps():
    """The compiled step, shared: compiling it is most of these tests' time."""
    plain = {
        "model.g_architecture": "orig",
        "model.d_architecture": "orig",
        "model.use_noise": False,
        "loss.style_mixing_prob": 0.0,
    }
    with throughput_train.opened_run(tiny_config(**plain), jax.devices()[:1]) as run:
        yield throughput_train.Steps(run)


@pytest.fixture(scope="module")
def trained(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throughput_train, "Steps", lambda run, say: steps)
        return throughput_train.bench_train(
            tiny_config(),
            source="tiny",
            budget=Budget(2),
            peaks=PEAKS,
            devices=jax.devices()[:1],
        )


def test_every_phase_of_the_step_is_timed(trained):
    intervals = {row["name"]: row["interval"] for row in trained["rows"]}
    assert intervals == {"g_main": 1, "g_reg": 4, "d_main": 1, "d_reg": 16, END: 1}
    for row in trained["rows"]:
        assert row["seconds"]["repeats"] == 2 and row["program_memory"] > 0
        assert row["flops_source"] == "XLA"
    assert json.loads(json.dumps(trained)) == trained


def test_the_iteration_follows_the_lazy_schedule(trained):
    median = {row["name"]: row["seconds"]["median"] for row in trained["rows"]}
    figures = trained["figures"]
    expected = median["g_main"] + median["d_main"] + median[END]
    expected += median["g_reg"] / 4 + median["d_reg"] / 16
    assert figures["iteration_seconds"] == pytest.approx(expected)
    assert figures["images_per_second"] == pytest.approx(4 / expected)
    assert figures["seconds_per_kimg"] == pytest.approx(250 * expected)
    assert figures["floor_seconds"] == pytest.approx(figures["flops"] / 5e8)
    assert figures["tap_floor_seconds"] == pytest.approx(figures["plain_flops"] / 1e9)
    # Nothing is large enough for Winograd here, and XLA simplifies what it can.
    assert 0.6 < figures["plain_flops"] / figures["flops"] < 1.6
    assert figures["times_floor"] == pytest.approx(expected / figures["floor_seconds"])
    tapped = expected / figures["tap_floor_seconds"]
    assert figures["times_tap_floor"] == pytest.approx(tapped)


def test_the_report_of_training_fits_the_screen(trained):
    text = throughput_train.describe(trained)
    assert max(map(len, text)) <= 100
    for word in ("g_reg", "images/s", "s/kimg", "floor", "the compiler, for the"):
        assert word in "\n".join(text)


def test_our_side_of_the_peers_bench_runs_every_phase(steps):
    ours = peers.Ours(peers.averaged_generator(steps), steps, 4, "float32")
    assert ours.drawing.cost.flops > 0
    assert min(ours.seconds(phase) for phase in ("generate", *peers.PHASES)) > 0


def test_our_side_compiles_no_phase_that_is_not_asked_for():
    asked = tiny_config(), "float32", [peers.GENERATE], print
    with peers.opened_ours(*asked) as ours:
        assert ours.steps is None and ours.seconds(peers.GENERATE) > 0
        assert set(ours.facts) == {"g_parameters"}


def test_a_mean_counts_a_phase_by_its_interval():
    assert mean_iteration({"a": 8.0, "b": 1.0}, {"a": 4, "b": 1}) == 3.0


def test_phases_that_nothing_counts_have_no_share():
    cost = Cost(None, "none", None, 0)
    found = throughput_train.iteration_figures(
        {"a": 1.0}, {"a": 1}, {"a": cost}, PEAKS, "float32", 4
    )
    assert found["flops"] is found["floor_seconds"] is found["times_floor"] is None
    assert found["tap_floor_seconds"] is found["times_tap_floor"] is None


def test_made_up_batches_have_the_shapes_of_the_run():
    config = tiny_config(**{"data.resolution": "8x16"})
    with throughput_train.opened_run(config, jax.devices()[:1]) as run:
        batch = throughput_train.made_up_batch(run)
    assert batch["image"].shape == (4, 8, 16, 3) and batch["image"].dtype == np.uint8
    assert len(np.unique(batch["image"])) > 100
    assert sorted(batch["index"].tolist()) == [0, 1, 2, 3]


def test_a_run_that_grows_is_measured_at_its_last_stage():
    config = load_config("stylegan1", ["--config.data.resolution=16"])
    with throughput_train.opened_run(config, jax.devices()[:1]) as run:
        batch = throughput_train.made_up_batch(run)
    assert batch["image"].shape == (128, 16, 16, 3)
    assert run.stage.startswith("16x16 from 600 to 25000 kimg")


def test_training_without_a_size_is_refused():
    config = tiny_config(**{"data.resolution": None})
    with pytest.raises(UsageError, match="--resolution 256"):
        with throughput_train.opened_run(config):
            pass


def test_a_fresh_generator_is_measured():
    network = throughput_generate.random_generator(tiny_config())
    report = throughput_generate.bench_generate(
        network, source="tiny", budget=Budget(2), peaks=PEAKS, batch=8
    )
    figures, settings = report["figures"], report["settings"]
    median = report["rows"][0]["seconds"]["median"]
    assert figures["images_per_second"] == pytest.approx(8 / median)
    assert settings["devices"] == 8 and settings["size"] == [8, 8, 3]
    assert figures["flops"] > 0 and figures["peak_memory"]["bytes"] > 0
    text = throughput_generate.describe(report)
    assert max(map(len, text)) <= 100 and "8x8, batch 8 on 8" in "\n".join(text)


def test_a_model_file_is_computed_as_asked_for(tmp_path):
    file = save_tiny(tmp_path / "g.safetensors", *tiny_generator())
    network = throughput_generate.open_generator(str(file), "bfloat16")
    assert network.module.dtype == "bfloat16"
    assert throughput_generate.precision_of(network, None) == "bfloat16"
    drawing = throughput_generate.prepare(
        network, batch=1, noise_mode="random", devices=jax.devices()[:1]
    )
    pictures = drawing.program(*drawing.arguments)
    assert pictures.shape == (1, 16, 16, 3) and pictures.dtype == np.uint8


def test_a_model_file_keeps_its_own_precision(tmp_path):
    file = save_tiny(tmp_path / "g.safetensors", *tiny_generator())
    network = throughput_generate.open_generator(str(file), None)
    assert throughput_generate.precision_of(network, None) == "float32"


def test_a_batch_that_devices_cannot_share_is_refused():
    network = throughput_generate.random_generator(tiny_config())
    with pytest.raises(UsageError, match="--batch 3 cannot be shared by 8 devices"):
        throughput_generate.bench_generate(network, source="", batch=3, peaks=PEAKS)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (load_config("pix2pixhd_toy"), "of the trainer stylegan2"),
        (load_config("stylegan2"), "--resolution 256"),
    ],
)
def test_configurations_that_draw_nothing_are_refused(config, said):
    with pytest.raises(UsageError, match=said):
        throughput_generate.random_generator(config)
