"""What a pix2pixHD run is refused for, before anything compiles."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from pair_files import write_pairs

from stylegan_jax.checkpoints.model_file import save_model, sha256_of
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models.pix2pixhd import GlobalGenerator, MultiscaleDiscriminator
from stylegan_jax.training.pix2pixhd import presets
from stylegan_jax.training.trainers import build_run


def build(config, workdir):
    return build_run(config, workdir, devices=jax.devices()[:1], progress=False)


def refusal(config, workdir):
    with pytest.raises(UserError) as caught:
        build(config, workdir)
    return str(caught.value)


def save_zeros(path, module, family, channels):
    x = jax.ShapeDtypeStruct((1, 32, 32, channels), np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    save_model(
        path,
        jax.tree.map(lambda x: np.zeros(x.shape, np.float32), shapes),
        family=family,
        config=config_of(module),
        provenance={},
        licence="CC BY 4.0",
    )
    return path


def small(**fields):
    return GlobalGenerator(width=4, downsamplings=2, residual_blocks=2, **fields)


def test_all_that_is_out_of_range_is_said_at_once(tiny, tmp_path):
    said = refusal(
        tiny(
            "loss.gan=hinge",
            "data.target=a",
            "train.decay_kimg=9.0",
            "train.fix_global_kimg=1.0",
            "model.feature_channels=3",
        ),
        tmp_path,
    )
    for text in (
        "loss.gan='hinge' must be one of lsgan, logistic",
        "must be different sides",
        "train.decay_kimg=9",
        "model.generator=local",
        "data.instances=true",
    ):
        assert text in said


def test_pairs_are_needed(tiny, tmp_path):
    assert "--config.data.path=FOLDER" in refusal(tiny("data.path=None"), tmp_path)


def test_weights_that_are_missing_are_named_with_what_to_do(tiny, tmp_path):
    said = refusal(tiny("loss.vgg_weight=1.0"), tmp_path)
    assert "stylegan-jax weights import vgg19 FILE" in said
    assert "weights get vgg16 and --config.loss.vgg_network=vgg16" in said
    assert "--config.loss.vgg_weight=0" in said


def test_a_pool_holds_a_batch(tiny, tmp_path):
    assert "loss.pool_size=4" in refusal(tiny("loss.pool_size=4"), tmp_path)


def test_a_trunk_that_stands_still_is_one_that_was_trained(tiny, tmp_path):
    words = ("model.generator=local", "train.fix_global_kimg=0.008")
    said = refusal(tiny(*words), tmp_path)
    assert "without init.global_generator it is random" in said


def test_pairs_smaller_than_wanted(tiny, tmp_path):
    said = refusal(tiny("data.resolution=32"), tmp_path)
    assert "16x16 pixels and data.resolution=32" in said
    assert "--config.data.resolution=16" in said


def test_pictures_that_cannot_be_halved(tiny, tmp_path):
    said = refusal(tiny("model.downsamplings=4"), tmp_path)
    assert "16 pixels a side" in said and "multiples of 16, at least 32" in said


def test_a_blind_spot_larger_than_the_picture(tiny, tmp_path):
    assert "loss.blind_spot=17" in refusal(tiny("loss.blind_spot=17"), tmp_path)


def test_settings_for_wild_photos(tiny, tmp_path):
    assert "rotate is 500" in refusal(tiny("augment.rotate=500.0"), tmp_path)


def test_a_run_goes_on_with_the_model_it_was_begun_with(tiny, tmp_path):
    path = save_zeros(tmp_path / "net.safetensors", small(), "pix2pixhd.global", 3)
    words = (f"init.model={path}", "init.fresh_d=true")
    began = build(tiny(*words), tmp_path / "w").begun_with()
    assert began["init.model"] == (sha256_of(path), "init.model=net.safetensors")
    without = build(tiny(), tmp_path / "w").begun_with()
    assert without["init.model"] == (None, "no init.model")


def test_a_generator_alone_needs_a_word(tiny, tmp_path):
    path = save_zeros(tmp_path / "net.safetensors", small(), "pix2pixhd.global", 3)
    said = refusal(tiny(f"init.model={path}"), tmp_path / "w")
    assert "has no discriminator" in said and "--config.init.fresh_d=true" in said
    run = build(tiny(f"init.model={path}", "init.fresh_d=true"), tmp_path / "w")
    # What the file is decides, not the configuration.
    assert (run.modules.g.width, run.modules.g.downsamplings) == (4, 2)
    state = run.adopt(run.init(jax.random.key(0)))
    assert not any(np.any(x) for x in jax.tree.leaves(state.params["g"]))
    assert any(np.any(x) for x in jax.tree.leaves(state.params["d"]))
    assert run.start.licence == "CC BY 4.0"


def test_a_folder_gives_both(tiny, tmp_path):
    folder = tmp_path / "start"
    folder.mkdir()
    save_zeros(folder / "net.safetensors", small(), "pix2pixhd.global", 3)
    d = MultiscaleDiscriminator(width=3, layers=2, scales=1)
    save_zeros(folder / "d.safetensors", d, "pix2pixhd.discriminator", 6)
    run = build(tiny(f"init.model={folder}"), tmp_path / "w")
    assert (run.modules.d.width, run.modules.d.scales) == (3, 1)
    state = run.adopt(run.init(jax.random.key(0)))
    assert not any(np.any(x) for x in jax.tree.leaves(state.params["d"]))


def test_networks_of_other_inputs(tiny, tmp_path):
    module = small(input_channels=6)
    path = save_zeros(tmp_path / "net.safetensors", module, "pix2pixhd.global", 6)
    said = refusal(tiny(f"init.model={path}", "init.fresh_d=true"), tmp_path / "w")
    assert "net takes 6 channels and here are 3" in said


def test_a_global_stage_of_another_family(tiny, tmp_path):
    d = MultiscaleDiscriminator(width=3, layers=2, scales=1)
    path = save_zeros(tmp_path / "d.safetensors", d, "pix2pixhd.discriminator", 6)
    config = tiny("model.generator=local", f"init.global_generator={path}")
    assert "no global generator" in refusal(config, tmp_path / "w")


def test_a_global_stage_gives_the_trunk(tiny, tmp_path):
    path = save_zeros(tmp_path / "net.safetensors", small(), "pix2pixhd.global", 3)
    config = tiny("model.generator=local", f"init.global_generator={path}")
    run = build(config, tmp_path / "w")
    assert (run.modules.g.width, run.modules.g.downsamplings) == (2, 2)
    assert "cannot be halved 3 time(s)" in refusal(
        tiny(
            "model.generator=local",
            f"init.global_generator={path}",
            "model.enhancers=3",
        ),
        tmp_path / "w",
    )


def test_six_channels_for_two_people(tiny, tmp_path):
    squares = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
    folder = write_pairs(tmp_path / "pairs", squares, 255 - squares)
    said = refusal(tiny(f"data.path={folder}", "data.second=c"), tmp_path / "w")
    assert str(folder) in said


def test_weights_default_to_half_of_the_run_falling(tiny):
    resolved = presets.resolve(tiny(), 1)
    assert resolved.train.decay_kimg == pytest.approx(0.024)
    assert (resolved.model.norm, resolved.model.upsampling) == ("instance", "resize")
