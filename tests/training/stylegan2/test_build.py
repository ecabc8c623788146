"""From a configuration and a folder of pictures to the parts of a run."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.pictures import parse_path, parse_resolution
from stylegan_jax.training.stylegan2 import build
from stylegan_jax.training.stylegan2.build import (
    build_run,
)

ONE = jax.devices()[:1]


def run(config, workdir, devices=ONE):
    return build_run(config, workdir, devices=devices, progress=False)


def refusal(config, workdir, devices=ONE, error=UsageError):
    with pytest.raises(error) as caught:
        run(config, workdir, devices)
    return str(caught.value)


@pytest.fixture
def pictures(tmp_path):
    """Makes a folder of noise, of one size or one for each picture."""

    def make(*sizes, name="pictures"):
        folder = tmp_path / name
        folder.mkdir()
        rng = np.random.default_rng(0)
        for i, (height, width) in enumerate(sizes):
            noise = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(noise).save(folder / f"{i:03d}.png")
        return folder

    return make


class TestResolution:
    @pytest.mark.parametrize(
        "value, expected",
        [
            (None, None),
            (256, 256),
            ("256", 256),
            ("320x256", (320, 256)),
            ("320X256", (320, 256)),
            ((320, 256), (320, 256)),
            ([320, 256], (320, 256)),
            ((64,), 64),
            (8, 8),
        ],
    )
    def test_height_by_width(self, value, expected):
        assert parse_resolution(value) == expected

    @pytest.mark.parametrize(
        "value", ["big", "", "x", "256x", "1x2x3", 7, "320x4", -64, 256.0, (), True]
    )
    def test_refusals(self, value):
        with pytest.raises(UsageError) as caught:
            parse_resolution(value)
        assert str(caught.value) == (
            f"data.resolution={value} is not understood: give a side such as 256, or "
            "height x width such as 320x256, each at least 8."
        )


class TestPath:
    @pytest.mark.parametrize(
        "value", ["photos", "a/:3,b/:1", [("a", 3), ("b", 1)], ["a", "b"], [["a", 1]]]
    )
    def test_text_and_lists(self, value):
        assert parse_path(value) == value

    def test_a_folder_whose_name_is_a_number(self):
        assert parse_path(2024) == "2024"

    @pytest.mark.parametrize("value", [{"a": 1}, b"a", [1, 2], [("a", 1, 2)], ("a", 3)])
    def test_refusals(self, value):
        with pytest.raises(UsageError) as caught:
            parse_path(value)
        assert str(caught.value) == (
            f"data.path={value} is not understood: give a folder, or a weighted list "
            "such as a/:3,b/:1."
        )


class TestRun:
    def test_networks_fit_the_pictures(self, tiny, tmp_path):
        built = run(tiny(), tmp_path)
        assert built.g.image_shape == built.d.image_shape == (16, 16, 3)
        assert (built.g.c_dim, built.d.c_dim) == (0, 0)
        assert (built.g.z_dim, built.g.channel_base) == (8, 64)
        assert built.g.mapping_layers == 2  # derived
        assert (built.hyper.batch, built.hyper.accumulate) == (8, 1)
        assert built.hyper.ema_rampup == 0.05
        assert [p.name for p in built.phases()] == [
            "g_main",
            "g_reg",
            "d_main",
            "d_reg",
        ]
        assert sorted(built.local_rows) == list(range(8))

    def test_the_configuration_s_numbers_arrive(self, tiny, tmp_path):
        config = tiny(
            "model.g_architecture=resnet",
            "model.d_architecture=skip",
            "model.mbstd_num_channels=2",
            "train.precision=bfloat16",
            "model.low_precision_blocks=1",
            "train.g_learning_rate=0.5",
            "loss.pl_weight=0",
            "ema.rampup=0",
        )
        built = run(config, tmp_path)
        assert (built.g.architecture, built.d.architecture) == ("resnet", "skip")
        assert built.d.mbstd_num_channels == 2
        assert (built.g.dtype, built.g.low_precision_blocks) == ("bfloat16", 1)
        assert built.g.conv_clamp == built.d.conv_clamp == 256
        assert built.hyper.g_learning_rate == 0.5
        assert built.hyper.ema_rampup is None
        assert [p.name for p in built.phases()] == ["g_main", "d_main", "d_reg"]

    @pytest.mark.parametrize(
        "precision, matmul",
        [("float32", "float32"), ("tf32", "tensorfloat32"), ("bfloat16",) * 2],
    )
    def test_matmul_precision(self, tiny, tmp_path, precision, matmul):
        built = run(tiny(f"train.precision={precision}"), tmp_path)
        with built.matmul_precision():
            found = jax.config.jax_default_matmul_precision
        assert found == ("tensorfloat32" if precision == "bfloat16" else matmul)

    def test_labels_when_asked(self, tiny, tmp_path):
        built = run(tiny("data.labels=True"), tmp_path)
        assert built.g.c_dim == built.d.c_dim == built.data[0][0].label_dim == 2

    def test_pictures_that_are_not_square(self, pictures, tiny, tmp_path):
        folder = pictures(*[(24, 16)] * 8)
        words = [f"data.path={folder}", "data.resolution=None"]
        built = run(tiny(*words), tmp_path)
        assert built.g.image_shape == built.d.image_shape == (24, 16, 3)
        assert (built.g.base_grid, built.g.num_blocks) == ((6, 4), 3)
        assert built.config.loss.r1_gamma == 0.0002 * 24**2 / 8

    def test_any_pictures_become_one_size(self, pictures, tiny, tmp_path):
        folder = pictures(*[(40, 30), (33, 70), (24, 16), (64, 64)] * 2)
        words = [f"data.path={folder}", "data.resolution=24x16"]
        built = run(tiny(*words), tmp_path)
        assert built.g.image_shape == built.data[0][0][0]["image"].shape == (24, 16, 3)
        assert any((tmp_path / "data").iterdir())  # converted once, kept in the run

    def test_a_weighted_list(self, pictures, faces, tiny, tmp_path):
        folder = pictures(*[(16, 16)] * 8)
        built = run(tiny(f"data.path={folder}:3,{faces}:1"), tmp_path)
        assert [(d.num_images, w) for d, w in built.data] == [(8, 3.0), (48, 1.0)]

    def test_devices(self, tiny, tmp_path):
        built = run(tiny("train.batch=16"), tmp_path, jax.devices()[:2])
        assert built.mesh.size == 2
        assert built.config.model.mbstd_group_size == 4
        np.testing.assert_array_equal(built.rows[:8], [0, 1, 4, 5, 8, 9, 12, 13])


class TestAccumulation:
    def test_auto_begins_with_one_part(self, tiny, tmp_path):
        for word in ("train.batch_per_device=auto", "train.batch_per_device=None"):
            assert run(tiny(word), tmp_path).hyper.accumulate == 1

    def test_a_number_sets_the_parts(self, tiny, tmp_path):
        built = run(tiny("train.batch_per_device=4"), tmp_path)
        assert built.hyper.accumulate == 2
        np.testing.assert_array_equal(built.rows, [0, 2, 4, 6, 1, 3, 5, 7])
        two = run(
            tiny("train.batch=32", "train.batch_per_device=4"),
            tmp_path,
            jax.devices()[:2],
        )
        assert two.hyper.accumulate == 4

    def test_with_accumulation(self, tiny, tmp_path):
        built = run(tiny("train.batch=32"), tmp_path)
        parts = built.with_accumulation(4)
        assert (parts.hyper.accumulate, built.hyper.accumulate) == (4, 1)
        np.testing.assert_array_equal(parts.rows, build.make_rows(built.config, 1, 4))

    @pytest.mark.parametrize("value", ["3", "16", "0", "-4", "2.5", "some", "True"])
    def test_numbers_that_do_not_divide_the_share(self, tiny, tmp_path, value):
        said = refusal(tiny(f"train.batch_per_device={value}"), tmp_path)
        assert said == (
            f"train.batch_per_device={value} must be a whole number that divides the "
            "share of a device, 8 of 8 images on 1 device(s), or 'auto'."
        )

    def test_parts_that_would_split_a_group(self, tiny, tmp_path):
        said = refusal(tiny("train.batch_per_device=2"), tmp_path)
        assert said.startswith(
            "A batch of 8 cannot be split over 4 shards (devices times accumulation "
            "steps) in whole groups of 4 images: make train.batch a multiple of 16"
        )


class TestData:
    def test_smoke_runs_draw_toy_faces(self, tmp_path):
        config = load_config("stylegan2_base:smoke", ["--config.data.resolution=16"])
        built = run(config, tmp_path)
        assert (tmp_path / "data" / "toy16" / "dataset.json").is_file()
        assert built.data[0][0].num_images == 256
        again = run(config, tmp_path)
        assert again.data[0][0].fingerprint == built.data[0][0].fingerprint

    @pytest.mark.parametrize(
        "name, word",
        [
            ("stylegan2_auto", "resolution=32"),
            ("stylegan2_base:smoke", "resolution=None"),
        ],
    )
    def test_other_runs_need_pictures(self, tmp_path, name, word):
        config = load_config(name, [f"--config.data.{word}"])
        assert refusal(config, tmp_path) == (
            "There are no pictures to train on: say where they are with "
            "--config.data.path=FOLDER."
        )

    def test_toy_faces_are_square(self, tmp_path):
        words = ["--config.data.resolution=24x16"]
        assert refusal(load_config("stylegan2_base:smoke", words), tmp_path) == (
            "Toy faces are square, got data.resolution=24x16: give one side, or your "
            "own pictures with --config.data.path=FOLDER."
        )

    def test_what_the_data_refuses_is_told(self, pictures, tiny, tmp_path):
        absent = refusal(tiny(f"data.path={tmp_path}/no"), tmp_path, error=UserError)
        assert f"{tmp_path}/no" in absent
        mixed = pictures((16, 16), (20, 24))
        words = [f"data.path={mixed}", "data.resolution=None"]
        said = refusal(tiny(*words), tmp_path, error=UserError)
        assert "pictures of 2 sizes" in said
        (mixed / "broken.png").write_bytes(b"<html>")
        words[1] = "data.resolution=16"
        assert "broken.png" in refusal(tiny(*words), tmp_path, error=UserError)
        assert "channels is 2" in refusal(
            tiny("data.channels=2"), tmp_path, error=UserError
        )

    def test_fewer_pictures_than_a_batch(self, tiny, tmp_path):
        said = refusal(tiny("train.batch=64"), tmp_path, error=UserError)
        assert said == (
            "photo has 48 pictures, fewer than the batch of 64: add pictures or "
            "lower the batch (train.batch)."
        )

    def test_sizes_that_no_grid_doubles_to(self, pictures, tiny, tmp_path):
        folder = pictures(*[(50, 50)] * 8)
        words = [f"data.path={folder}", "data.resolution=None"]
        assert "take sides like 48 and 48" in refusal(tiny(*words), tmp_path)

    def test_numbers_are_checked_before_pictures_are_opened(self, tiny, tmp_path):
        config = tiny("data.path=/there/is/nothing", "loss.r1_gamma=-1")
        assert "loss.r1_gamma=-1.0 must be 0 or more" in refusal(config, tmp_path)
