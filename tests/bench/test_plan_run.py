import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.bench import plan_run
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.experiment import load_config

SMALL = (
    "--config.data.resolution=16",
    "--config.model.z_dim=8",
    "--config.model.w_dim=8",
    "--config.model.channel_base=64",
    "--config.model.channel_max=8",
)


def build(folder, *overrides, devices=8, images=None, name="stylegan2_toy"):
    config = load_config(name, (*SMALL, *overrides))
    return plan_run.plan_run(
        config, jax.devices()[:devices], folder, images_per_device=images
    )


def test_no_pictures_are_needed(tmp_path):
    run = build(tmp_path)
    assert run.image_shape == (16, 16, 3)
    # As the configuration derives it for 8 devices: at most 64.
    assert (run.batch, run.accumulate, run.images_at_a_time) == (64, 1, 8)


def test_sizes_that_are_not_square_and_grey(tmp_path):
    run = build(tmp_path, "--config.data.resolution=16x32", "--config.data.channels=1")
    assert run.image_shape == (16, 32, 1)


def test_the_images_per_device_set_the_batch(tmp_path):
    run = build(tmp_path, images=12)
    assert (run.batch, run.images_at_a_time) == (96, 12)


def test_held_out_pictures_leave_enough(tmp_path):
    assert build(tmp_path, "--config.data.held_out=0.4", images=12).batch == 96


def test_pictures_that_are_given_are_taken(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(16):
        noise = np.random.default_rng(i).integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(noise).save(photos / f"{i}.png")
    path = f"--config.data.path={photos}"
    assert build(tmp_path, path, devices=1).image_shape == (16, 16, 3)
    with pytest.raises(UserError, match="16"):
        build(tmp_path / "more", path, images=4)


def test_the_size_must_be_known(tmp_path):
    with pytest.raises(UsageError, match="data.resolution=256"):
        build(tmp_path, "--config.data.resolution=None")


def test_labels_need_the_data(tmp_path):
    with pytest.raises(UsageError, match="data.labels=true"):
        build(tmp_path, "--config.data.labels=true")


def test_other_trainers_say_what_they_miss(tmp_path):
    config = load_config("pix2pixhd_laptop")
    with pytest.raises(UserError, match="data.path"):
        plan_run.plan_run(config, jax.devices()[:1], tmp_path)


def test_another_number_of_images_is_laid_out_in_whole_groups(tmp_path):
    run = build(tmp_path, "--config.train.batch_per_device=4")
    assert (run.accumulate, run.images_at_a_time) == (2, 4)
    other = plan_run.with_images(run, 12)
    assert (other.batch, other.accumulate, other.hyper.batch) == (96, 1, 96)
    assert sorted(other.rows) == list(range(96))
    with pytest.raises(UsageError, match="multiple of"):
        plan_run.with_images(run, 3)


def test_a_run_that_grows_is_planned_at_its_last_stage_or_the_one_asked_for(tmp_path):
    run = build(tmp_path, name="stylegan1", devices=1)
    # The last stage's batch; there are pictures enough for the first one's, 256.
    assert (run.hyper.stage.resolution, run.batch, run.accumulate) == (16, 128, 1)
    assert "16x16 from 600 to 25000 kimg" in run.stage
    at_8 = "--config.grow.plan_resolution=8"
    (tmp_path / "low").mkdir()
    (tmp_path / "few").mkdir()
    run = build(tmp_path / "low", at_8, name="stylegan1", devices=1)
    assert (run.hyper.stage.resolution, run.batch) == (8, 256)
    more = plan_run.with_images(run, 64)
    assert (more.batch, more.images_at_a_time, more.hyper.stage.resolution) == (
        64,
        64,
        8,
    )
    run = build(tmp_path / "few", at_8, name="stylegan1", devices=2, images=12)
    assert (run.batch, run.images_at_a_time) == (24, 12)
