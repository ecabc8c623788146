"""NVIDIA's presets and the rules of "auto" (StyleGAN2-ADA, train.py)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stylegan_jax.errors import UsageError
from stylegan_jax.training import spmd
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.stylegan2.presets import base_grid, check, resolve

# kimg, batch, mbstd, fmaps, lr, gamma, ema kimg, ema ramp, mapping layers; and the
# number of GPUs and the resolution that the preset was published for.
PUBLISHED = {
    "stylegan2": ((25000, 32, 4, 1, 0.002, 10, 10, 0, 8), (8, 1024)),
    "stylegan2_paper256": ((25000, 64, 8, 0.5, 0.0025, 1, 20, 0, 8), (8, 256)),
    "stylegan2_paper512": ((25000, 64, 8, 1, 0.0025, 0.5, 20, 0, 8), (8, 512)),
    "stylegan2_paper1024": ((25000, 32, 4, 1, 0.002, 2, 10, 0, 8), (8, 1024)),
    "stylegan2_cifar": ((100000, 64, 32, 1, 0.0025, 0.01, 500, 0.05, 2), (2, 32)),
}


def resolved(*words, name="stylegan2_auto", devices=1, size=64):
    height, width = size if isinstance(size, tuple) else (size, size)
    config = load_config(name, [f"--config.{word}" for word in words])
    return resolve(config, height, width, devices)


def refusal(*words, **where):
    with pytest.raises(UsageError) as caught:
        resolved(*words, **where)
    return str(caught.value)


def figures(config):
    assert config.train.g_learning_rate == config.train.d_learning_rate
    return (
        config.train.total_kimg,
        config.train.batch,
        config.model.mbstd_group_size,
        config.model.channel_base / 32768,
        config.train.g_learning_rate,
        config.loss.r1_gamma,
        config.ema.kimg,
        config.ema.rampup,
        config.model.mapping_layers,
    )


class TestPublished:
    @pytest.mark.parametrize("name", PUBLISHED)
    def test_numbers(self, name):
        expected, (devices, size) = PUBLISHED[name]
        assert figures(resolved(name=name, devices=devices, size=size)) == expected

    @pytest.mark.parametrize("name", [*PUBLISHED, "stylegan2_auto"])
    def test_what_they_share(self, name):
        config = resolved(name=name, devices=2, size=256)
        cifar = name == "stylegan2_cifar"
        model, loss = config.model, config.loss
        assert (model.z_dim, model.w_dim, model.channel_max) == (512, 512, 512)
        assert (model.low_precision_blocks, model.mbstd_num_channels) == (4, 1)
        assert model.w_avg_beta == 0.995
        assert model.g_architecture == "skip"
        assert model.d_architecture == ("orig" if cifar else "resnet")
        assert loss.pl_weight == (0 if cifar else 2)
        assert loss.style_mixing_prob == (0 if cifar else 0.9)
        assert (loss.pl_decay, loss.pl_batch_shrink) == (0.01, 2)
        assert (loss.g_reg_interval, loss.d_reg_interval) == (4, 16)

    @pytest.mark.parametrize(
        "precision, clamp",
        [("float32", None), ("tf32", None), ("bfloat16", 256.0), ("float16", 256.0)],
    )
    def test_low_precision_is_clamped(self, precision, clamp):
        config = resolved(f"train.precision={precision}", name="stylegan2")
        assert config.model.conv_clamp == clamp
        own = resolved("train.precision=float16", "model.conv_clamp=64")
        assert own.model.conv_clamp == 64


class TestAuto:
    # Devices times groups divide the batch: nothing has to be rounded.
    @pytest.mark.parametrize(
        "gpus, size",
        [(1, 32), (1, 256), (1, 512), (1, 1024), (2, 128), (2, 256), (2, 1024)]
        + [(3, 256), (4, 64), (4, 512), (8, 256), (8, 1024), (16, 256), (32, 128)],
    )
    def test_rules(self, gpus, size):
        batch = max(min(gpus * min(4096 // size, 32), 64), gpus)
        expected = (
            25000,
            batch,
            min(batch // gpus, 4),
            1 if size >= 512 else 0.5,
            0.002 if size >= 1024 else 0.0025,
            0.0002 * size**2 / batch,
            batch * 10 / 32,
            0.05,
            2,
        )
        assert figures(resolved(devices=gpus, size=size)) == expected

    @pytest.mark.parametrize("gpus, batch", [(5, 60), (7, 56), (12, 48), (64, 128)])
    def test_batch_is_rounded_to_whole_groups(self, gpus, batch):
        config = resolved(devices=gpus, size=32)
        assert config.train.batch == batch
        assert config.loss.r1_gamma == 0.0002 * 32**2 / batch

    def test_the_larger_side_counts(self):
        assert figures(resolved(size=(512, 256))) == figures(resolved(size=512))
        assert figures(resolved(size=(256, 512))) == figures(resolved(size=512))

    def test_what_is_given_stays(self):
        config = resolved(
            "train.batch=24",
            "model.mbstd_group_size=8",
            "model.channel_base=999",
            "train.g_learning_rate=0.1",
            "loss.r1_gamma=0",
            "ema.kimg=3",
            "ema.rampup=0",
        )
        assert (config.train.batch, config.model.mbstd_group_size) == (24, 8)
        assert config.model.channel_base == 999
        assert (config.train.g_learning_rate, config.train.d_learning_rate) == (
            0.1,
            0.0025,
        )
        assert (config.loss.r1_gamma, config.ema.kimg, config.ema.rampup) == (0, 3, 0)

    @pytest.mark.parametrize(
        "batch, devices, group", [(32, 1, 4), (6, 1, 3), (4, 2, 2), (18, 3, 3)]
    )
    def test_groups_of_a_given_batch(self, batch, devices, group):
        config = resolved(f"train.batch={batch}", devices=devices)
        assert config.model.mbstd_group_size == group
        unit = spmd.layout_unit(group, 2)
        assert len(spmd.batch_rows(batch, devices, unit)) == batch

    def test_the_configuration_that_was_given_is_not_changed(self):
        config = load_config("stylegan2_auto")
        resolve(config, 64, 64, 1)
        assert config.train.batch is None

    @given(
        devices=st.integers(1, 64),
        size=st.integers(8, 4096),
        shrink=st.integers(1, 4),
        group=st.none() | st.integers(1, 9),
    )
    @settings(deadline=None, max_examples=100)
    def test_derived_batches_can_be_laid_out(self, devices, size, shrink, group):
        config = load_config("stylegan2_auto")
        config.loss.pl_batch_shrink = shrink
        config.model.mbstd_group_size = group
        config.eval.every_kimg = 0.0  # pictures under 16 pixels cannot be measured
        config = resolve(config, size, size, devices)
        unit = spmd.layout_unit(config.model.mbstd_group_size, shrink)
        rows = spmd.batch_rows(config.train.batch, devices, unit)
        assert sorted(rows) == list(range(config.train.batch))
        wanted = max(min(devices * min(4096 // size, 32), 64), devices)
        assert config.train.batch <= max(wanted, devices * unit)


def test_too_small_to_measure():
    config = load_config("stylegan2_auto")
    with pytest.raises(UsageError, match="8x8 are too small .*eval.every_kimg=0"):
        resolve(config, 8, 8, 1)


def test_statistics_channels_must_divide():
    config = load_config("stylegan2_auto")
    config.model.mbstd_num_channels = 5
    with pytest.raises(UsageError, match="mbstd_num_channels=5 must divide the 512"):
        resolve(config, 32, 32, 1)


class TestBaseGrid:
    @pytest.mark.parametrize(
        "size, grid, blocks",
        [
            ((8, 8), (4, 4), 2),
            ((32, 32), (4, 4), 4),
            ((1024, 1024), (4, 4), 9),
            ((96, 96), (6, 6), 5),
            ((320, 256), (5, 4), 7),
            ((256, 320), (4, 5), 7),
            ((64, 256), (4, 16), 5),
            ((28, 64), (7, 16), 3),
            ((26, 26), (13, 13), 2),
        ],
    )
    def test_sides(self, size, grid, blocks):
        assert base_grid(*size) == (grid, blocks)

    @pytest.mark.parametrize(
        "size, near",
        [
            ((200, 200), "192x192"),
            ((4, 4), "8x8"),
            ((9, 8), "8x8"),
            ((57, 161), "64x160"),
            ((300, 200), "288x192"),
            ((1024, 64), "1024x256"),
        ],
    )
    def test_refusals_name_sides_that_do(self, size, near):
        height, width = size
        with pytest.raises(UsageError) as caught:
            base_grid(height, width)
        assert str(caught.value) == (
            f"Pictures of {height}x{width} pixels cannot be built up from a small grid "
            f"by doubling: take sides like {near.replace('x', ' and ')} "
            f"(--config.data.resolution={near})."
        )

    @given(st.integers(1, 5000), st.integers(1, 5000))
    @settings(deadline=None)
    def test_any_size_is_taken_or_told_one_that_is(self, height, width):
        try:
            grid, blocks = base_grid(height, width)
        except UsageError as error:
            size = str(error).rpartition("=")[2].rstrip(").").split("x")
            base_grid(int(size[0]), int(size[1]))
        else:
            assert np.all(np.multiply(grid, 2 ** (blocks - 1)) == (height, width))
            assert min(grid) >= 4 and max(grid) <= 16


class TestRefusals:
    def test_every_offender_in_one_sentence(self):
        said = refusal(
            "train.batch=0",
            "train.total_kimg=-1",
            "model.mbstd_group_size=0",
            "loss.pl_batch_shrink=0",
            "loss.r1_gamma=-0.5",
            "loss.style_mixing_prob=1.5",
            "ema.kimg=nan",
            "train.precision=double",
            "model.g_architecture=plain",
            "train.seed=None",
        )
        assert said.startswith("The configuration is out of range: ")
        assert said.endswith(".") and said.count(";") == 9
        for part in (
            "train.batch=0 must be above 0",
            "train.total_kimg=-1.0 must be above 0",
            "model.mbstd_group_size=0 must be above 0",
            "loss.pl_batch_shrink=0 must be above 0",
            "loss.r1_gamma=-0.5 must be 0 or more",
            "loss.style_mixing_prob=1.5 must be from 0 to 1",
            "ema.kimg=nan must be finite",
            "train.precision='double' must be one of float32, tf32, bfloat16, float16",
            "model.g_architecture='plain' must be one of skip, resnet, orig",
            "train.seed must be given",
        ):
            assert part in said

    @given(st.data())
    @settings(deadline=None, max_examples=200)
    def test_any_numbers_are_taken_or_refused_in_a_sentence(self, data):
        config = load_config("stylegan2_auto")
        sections = [s for s in config if s not in ("trainer", "data")]
        section = config[data.draw(st.sampled_from(sections))]
        key = data.draw(st.sampled_from(sorted(section)))
        assume(section.get_type(key) in (int, float))
        numbers = st.none() | st.integers(-3, 3) | st.sampled_from([1e30, -0.5])
        value = data.draw(numbers)
        assume(value is None or section.get_type(key) is float or value == int(value))
        section[key] = None if value is None else section.get_type(key)(value)
        try:
            resolve(config, 64, 64, 3)
        except UsageError as error:
            assert key in str(error)

    def test_none_is_for_what_is_derived(self):
        check(load_config("stylegan2_auto"))
        said = refusal("data.mirror=None", "eval.metrics=None", "data.path=None")
        assert said == (
            "The configuration is out of range: data.mirror must be given; "
            "eval.metrics must be given."
        )
