"""What a configuration means, and which are refused."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.stylegan1 import presets
from stylegan_jax.training.stylegan1.build import build_run


@pytest.fixture
def make(growing, tmp_path):
    def build(*words, devices=1):
        return build_run(
            growing(*words), tmp_path, devices=jax.devices()[:devices], progress=False
        )

    return build


def test_the_defaults_are_the_papers():
    config = load_config("stylegan1")
    resolved = presets.resolve(config, 1024, 1024, 8)
    stages = presets.schedule_of(resolved, 1024, 1024)
    assert [(s.resolution, s.batch, s.learning_rate) for s in stages] == [
        (8, 256, 0.001),
        (16, 128, 0.001),
        (32, 64, 0.001),
        (64, 32, 0.001),
        (128, 32, 0.0015),
        (256, 32, 0.002),
        (512, 32, 0.003),
        (1024, 32, 0.003),
    ]
    # 600 kimg, then 1200 for every further resolution.
    assert [s.begins for s in stages] == [600_000 + 1_200_000 * k for k in
                                          (-0.5, 0, 1, 2, 3, 4, 5, 6)]  # fmt: skip


def test_a_derived_batch_fits_the_devices():
    config = load_config("stylegan1")
    resolved = presets.resolve(config, 64, 64, 24)
    batches = [s.batch for s in presets.schedule_of(resolved, 64, 64)]
    assert batches == [192, 96, 96, 96]


def test_a_stage_has_its_own_numbers(make):
    first = make()
    assert (first.batch, first.ends, first.images_at_a_time) == (16, 32, 16)
    assert first.batch_shapes()["image"][0] == (8, 8, 3)
    assert first.at(31) is first
    second = first.at(32)
    assert (second.batch, second.ends) == (8, None)
    assert second.batch_shapes()["image"][0] == (16, 16, 3)
    assert second.hyper.g_learning_rate == second.hyper.d_learning_rate == 0.002
    assert [run.hyper.stage.resolution for run in first.stages()] == [8, 16]
    assert first.image_shape == (16, 16, 3)
    assert "8x8 from 0 to 0.032 kimg: batch 16" in first.stage
    assert "16x16 from 0.032 to 0.096 kimg, fading in for 0.032 kimg" in second.stage


def test_stages_that_the_run_does_not_come_to_are_not_planned(make):
    assert len(make("train.total_kimg=0.03").stages()) == 1


def test_what_plans_look_at(make):
    assert make().planned().hyper.stage.resolution == 16
    assert make("grow.plan_resolution=8").planned().hyper.stage.resolution == 8
    with pytest.raises(UsageError, match="plan_resolution=4 is below"):
        make("grow.plan_resolution=4").planned()


def test_batches_are_pictures_of_the_stages_resolution(make):
    run = make()
    (small, _), (large, _) = run.stream_data[0], run.data[0]
    picture = large[5]["image"].astype(np.float64)
    mean = picture.reshape(8, 2, 8, 2, 3).mean((1, 3))
    np.testing.assert_array_equal(small[5]["image"], np.rint(mean))
    assert run.at(32).stream_data is run.data


def test_the_batch_per_device_is_a_limit(make):
    run = make("train.batch_per_device=8")
    assert (run.accumulate, run.images_at_a_time) == (2, 8)
    assert (run.at(32).accumulate, run.at(32).images_at_a_time) == (1, 8)
    with pytest.raises(UsageError, match="batch_per_device=2 must be 'auto' or a"):
        make("train.batch_per_device=2")


def test_a_run_may_begin_where_a_later_stage_does(make):
    assert make("init.resume_kimg=0.05").hyper.stage.resolution == 16


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["grow.start_resolution=32"], "start_resolution=32 must be one of 4, 8, 16"),
        (["grow.batch=8:10,16:8"], "A batch of 10 cannot be split over 1 shards"),
        (["grow.batch=8.5"], "grow.batch has 8:8.5, 16:8.5: give whole numbers"),
        (["grow.learning_rate=0"], "learning_rate has 8:0, 16:0: give numbers above"),
        (["grow.batch=64"], "64"),
        (["data.labels=true"], "without labels only"),
        (
            ["model.use_style=false"],
            "needs model.const_input=false (so that the latent comes in at all) and "
            "loss.style_mixing_prob=0",
        ),
        (["model.mapping_layers=0", "model.z_dim=4"], "z_dim=4 and model.w_dim=8"),
        (["loss.objective=hinge"], "must be one of logistic, wgan-gp"),
        (["train.precision=bfloat16"], "must be one of float32, tf32"),
        (["eval.every_kimg=1", "data.resolution=8"], "needs 16 pixels"),
    ],
)
def test_what_cannot_be(make, words, sentence):
    with pytest.raises(UserError) as caught:
        make(*words)
    assert sentence in str(caught.value)


def test_the_ablations_are_fields_of_the_networks(make):
    g = make(
        "model.use_style=false",
        "model.const_input=false",
        "loss.style_mixing_prob=0",
        "model.use_noise=false",
        "model.pixel_norm=true",
        "model.instance_norm=false",
        "model.mapping_layers=0",
    ).g
    assert not (g.use_style or g.const_input or g.use_noise or g.instance_norm)
    assert g.pixel_norm and g.mapping_layers == 0
