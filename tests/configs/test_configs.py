"""Every configuration loads, resolves, and runs its smoke version for two steps."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from stylegan_jax import configs, load
from stylegan_jax.data import toy
from stylegan_jax.errors import UsageError
from stylegan_jax.training.attributes import presets as attribute_presets
from stylegan_jax.training.experiment import config_names, load_config
from stylegan_jax.training.facespace import presets as space_presets
from stylegan_jax.training.loop import train
from stylegan_jax.training.pix2pixhd import presets as student_presets
from stylegan_jax.training.psp import presets as psp_presets
from stylegan_jax.training.stylegan1 import presets as growing_presets
from stylegan_jax.training.stylegan2.presets import resolve

# Most of a smoke run is compiling, half a minute and more: all of them are slow tests.
GANS = [name for name in config_names() if name.startswith("stylegan2")]
PSPS = [name for name in config_names() if name.startswith("psp")]
STUDENTS = [name for name in config_names() if name.startswith("pix2pixhd")]
READERS = [name for name in config_names() if name.startswith("attributes")]
GROWING = [name for name in config_names() if name.startswith("stylegan1")]
SPACES = [name for name in config_names() if name.startswith("facespace")]
SMOKES = [pytest.param(name, marks=pytest.mark.slow) for name in GANS]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "faces"
    toy.write_toy(folder, style="photo", num=64, size=32, seed=0)
    return folder


def test_every_configuration_is_tested():
    assert sorted(GANS + GROWING + PSPS + STUDENTS + READERS + SPACES) == config_names()


@pytest.mark.parametrize("name", GANS)
class TestStyleGAN2:
    def test_resolves(self, name):
        config = load_config(name)
        resolved = resolve(config, 256, 256, 1)
        assert resolved.trainer == "stylegan2"
        assert resolved.train.total_kimg > 2  # no run of its own on toy faces
        # What is derived aside, the configuration is what it says.
        del config["trainer"]
        for section, values in config.items():
            for key, value in values.items():
                assert value is None or resolved[section][key] == value

    @pytest.mark.parametrize("devices", [1, 2, 3, 8])
    def test_smoke_is_small_and_of_the_same_structure(self, name, devices):
        config = load_config(name)
        smoke = load_config(f"{name}:smoke")
        assert smoke.data.resolution == 32
        assert smoke.train.total_kimg <= 2
        assert smoke.model.d_architecture == config.model.d_architecture
        assert smoke.model.mapping_layers == config.model.mapping_layers
        assert smoke.loss == config.loss
        assert resolve(smoke, 32, 32, devices).train.batch >= 8


@pytest.mark.parametrize("name", GROWING)
class TestStyleGAN1:
    def test_resolves(self, name):
        config = load_config(name)
        resolved = growing_presets.resolve(config, 256, 256, 1)
        assert resolved.trainer == "stylegan1"
        assert resolved.train.total_kimg > 2  # no run of its own on toy faces
        assert len(growing_presets.schedule_of(resolved, 256, 256)) == 6
        del config["trainer"]
        for section, values in config.items():
            for key, value in values.items():
                assert value is None or resolved[section][key] == value

    @pytest.mark.parametrize("devices", [1, 2])
    def test_smoke_is_small_and_grows(self, name, devices):
        config = load_config(name)
        smoke = load_config(f"{name}:smoke")
        assert (smoke.data.resolution, smoke.loss) == (32, config.loss)
        resolved = growing_presets.resolve(smoke, 32, 32, devices)
        first, last = growing_presets.schedule_of(resolved, 32, 32)
        assert first.ends < smoke.train.total_kimg * 1000 <= 2000
        assert (first.resolution, last.resolution) == (16, 32)


@pytest.mark.slow  # a minute each, most of it compiling
@pytest.mark.parametrize("name", GROWING)
def test_steps_of_a_growing_run(name, faces, tmp_path):
    words = [f"--config.data.path={faces}", "--config.train.total_kimg=0.032"]
    words += ["--config.grow.train_kimg=0.016", "--config.grow.fade_kimg=0.008"]
    config = load_config(f"{name}:smoke", words)
    outcome = train(config, tmp_path, devices=jax.devices()[:1], show_progress=False)
    assert (int(outcome.state.step), outcome.nimg) == (3, 32)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert np.isfinite(last["swd/mean"]) and last["nonfinite"] == 0
    assert load(tmp_path).images(seeds=[0]).shape == (1, 32, 32, 3)


@pytest.mark.parametrize("name", PSPS)
class TestPSP:
    def test_resolves(self, name):
        config = load_config(name)
        psp_presets.check(config)
        resolved = psp_presets.resolve(config, 256, 2)
        assert resolved.trainer == "psp"
        assert resolved.train.total_kimg > 2  # no run of its own on toy pairs
        assert resolved.model.input_size == 256
        del config["trainer"]
        for section, values in config.items():
            for key, value in values.items():
                assert value is None or resolved[section][key] == value

    def test_smoke_needs_no_weights(self, name):
        smoke = load_config(f"{name}:smoke")
        assert smoke.train.total_kimg <= 2
        assert psp_presets.networks_of(smoke)[0] == {}
        assert smoke.init.backbone is None


@pytest.mark.slow  # half a minute each, most of it compiling
@pytest.mark.parametrize("name", PSPS)
def test_two_steps_of_psp(name, tmp_path):
    words = ["--config.train.total_kimg=0.016"]
    config = load_config(f"{name}:smoke", words)
    outcome = train(config, tmp_path, devices=jax.devices()[:1], show_progress=False)
    assert outcome.nimg >= 16
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["val/l2_ratio"] > 0 and last["nonfinite"] == 0
    assert load(tmp_path).image_shape == (32, 32, 3)


@pytest.mark.parametrize("name", READERS)
class TestAttributes:
    def test_resolves(self, name):
        config = load_config(name)
        attribute_presets.check(config)
        resolved = attribute_presets.resolve(config, 2)
        assert resolved.trainer == "attributes"
        assert resolved.train.total_kimg > 2  # no run of its own on toy faces
        assert resolved.data.resolution >= resolved.model.input_size
        del config["trainer"]
        for section, values in config.items():
            for key, value in values.items():
                assert value is None or resolved[section][key] == value

    def test_smoke_needs_no_pictures_and_no_weights(self, name):
        smoke = load_config(f"{name}:smoke")
        attribute_presets.check(smoke)
        assert smoke.train.total_kimg <= 2
        assert (smoke.data.path, smoke.data.labels) == (None, None)
        assert smoke.data.toy and smoke.init.backbone is None


@pytest.mark.parametrize("name", SPACES)
class TestFaceSpace:
    def test_resolves(self, name):
        config = load_config(name)
        space_presets.check(config)
        resolved, _ = space_presets.resolve(config, 8, 256)
        assert resolved.trainer == "facespace"
        line = space_presets.timeline_of(resolved, 8)
        assert resolved.train.total_kimg == line.total * resolved.train.batch / 1000
        assert line.total == 3 * config.train.epochs  # a batch is all eight photos
        assert resolved.loss.feature in ("vgg", "pyramid")

    def test_smoke_needs_no_photos_and_no_weights(self, name):
        smoke = load_config(f"{name}:smoke")
        space_presets.check(smoke)
        assert space_presets.networks_of(smoke) == ({}, {})
        assert (smoke.data.path, smoke.init.model, smoke.data.toy) == (None, None, True)


@pytest.mark.parametrize("name", STUDENTS)
class TestPix2PixHD:
    def test_resolves(self, name):
        config = load_config(name)
        if config.train.fix_global_kimg:
            with pytest.raises(UsageError, match="init.global_generator"):
                student_presets.check(config)
            config.init.global_generator = "runs/global"
        student_presets.check(config)
        resolved = student_presets.resolve(config, 2)
        assert resolved.trainer == "pix2pixhd"
        assert resolved.train.total_kimg > 2  # no run of its own on toy pairs
        assert 0 < resolved.train.decay_kimg <= resolved.train.total_kimg
        del config["trainer"]
        for section, values in config.items():
            for key, value in values.items():
                assert value is None or resolved[section][key] == value

    def test_smoke_needs_no_pairs_and_no_weights(self, name):
        smoke = load_config(f"{name}:smoke")
        student_presets.check(smoke)
        assert smoke.train.total_kimg <= 2
        assert student_presets.networks_of(smoke)[0] == {}
        assert smoke.data.toy and smoke.data.path is None


@pytest.mark.slow  # half a minute each, most of it compiling
@pytest.mark.parametrize("name", STUDENTS)
def test_two_steps_of_a_student(name, tmp_path):
    config = load_config(
        f"{name}:smoke",
        [
            "--config.train.total_kimg=0.016",
            "--config.train.decay_kimg=0.008",
            "--config.train.fix_global_kimg=0.0",
        ],
    )
    outcome = train(config, tmp_path, devices=jax.devices()[:1], show_progress=False)
    assert outcome.nimg >= 16
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["val/l1"] > 0 and last["nonfinite"] == 0
    assert load(tmp_path).metadata["provenance"]["resolution"] == 32


@pytest.mark.slow  # half a minute, most of it compiling
@pytest.mark.parametrize("name", READERS)
def test_two_steps_of_a_reader(name, tmp_path):
    words = ["--config.train.total_kimg=0.016"]
    config = load_config(f"{name}:smoke", words)
    outcome = train(config, tmp_path, devices=jax.devices()[:1], show_progress=False)
    assert outcome.nimg == 16
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["val/smile_mae"] > 0 and last["nonfinite"] == 0
    assert load(tmp_path).names == ("smile", "glasses")


@pytest.mark.slow  # half a minute, most of it compiling
@pytest.mark.parametrize("name", SPACES)
def test_a_short_space(name, tmp_path):
    words = ["--config.train.epochs=1", "--config.train.cycles=1"]
    config = load_config(f"{name}:smoke", words)
    outcome = train(config, tmp_path, devices=jax.devices()[:1], show_progress=False)
    assert outcome.nimg == 16
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["val/l2"] > 0 and last["nonfinite"] == 0
    assert len(load(tmp_path).names) == 8


@pytest.mark.parametrize("name", config_names())
class TestEvery:
    def test_other_arguments_are_refused(self, name):
        with pytest.raises(UsageError) as caught:
            load_config(f"{name}:tiny")
        assert str(caught.value) == (
            f"Configuration {name}:tiny: unknown argument 'tiny', choose 'smoke' or "
            "nothing."
        )

    def test_tells_what_to_type_and_what_comes_out(self, name):
        path = Path(next(iter(configs.__path__))) / f"{name}.py"
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if not name.endswith("_base"):
            assert f"stylegan-jax train --config {name} " in said
            assert "--workdir" in said


@pytest.mark.parametrize("name", SMOKES)
def test_two_steps(name, faces, tmp_path):
    words = [f"--config.data.path={faces}", "--config.train.total_kimg=0.016"]
    config = load_config(f"{name}:smoke", words)
    outcome = train(config, tmp_path, devices=jax.devices()[:1], show_progress=False)
    assert int(outcome.state.step) == 2 and outcome.nimg == 16
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome.state))
    lines = (tmp_path / "stats.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert np.isfinite(last["swd/mean"]) and last["nonfinite"] == 0
    assert ("reg/pl" in last) == (config.loss.pl_weight > 0)
    g = load(tmp_path)
    assert g.images(seeds=[0]).shape == (1, 32, 32, 3)
    assert (tmp_path / "samples" / "fakes-000000.png").is_file()
