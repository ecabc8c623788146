"""What a pSp run is refused for, before anything compiles."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from pair_files import write_pairs
from tiny_models import save_tiny, tiny_generator

from stylegan_jax import load
from stylegan_jax.checkpoints.model_file import save_model, sha256_of
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.irse import IRSE
from stylegan_jax.models.psp import PSP, Encoder
from stylegan_jax.training.psp.presets import factors_of
from stylegan_jax.training.trainers import build_run


def refusal(config, workdir):
    with pytest.raises(UserError) as caught:
        build_run(config, workdir, devices=jax.devices()[:1], progress=False)
    return str(caught.value)


def test_a_decoder_is_needed(tiny, tmp_path):
    said = refusal(tiny("init.decoder=None"), tmp_path)
    assert "--config.init.decoder=MODEL" in said


def test_an_encoder_is_no_decoder(tiny, tmp_path):
    module = Encoder(num_layers=18, width=1, input_size=32, num_ws=6, w_dim=8)
    path = tmp_path / "encoder.safetensors"
    save_zeros(path, module, "psp.encoder", picture(32))
    said = refusal(tiny(f"init.decoder={path}"), tmp_path)
    assert f"init.decoder={path} is a psp.encoder and no StyleGAN2 generator" in said
    said = refusal(tiny(f"init.model={path}"), tmp_path)
    assert f"init.model={path} is a psp.encoder and no pSp" in said


def test_a_decoder_of_another_size(tiny, tmp_path):
    path = save_tiny(tmp_path / "large.safetensors", *tiny_generator(num_blocks=4))
    said = refusal(tiny(f"init.decoder={path}"), tmp_path)
    assert "the decoder draws 32x32 and the targets" in said
    assert "are 16x16" in said and "--config.data.resolution=16" in said
    config = tiny(f"init.decoder={path}", "data.resolution=16")
    run = build_run(config, tmp_path, devices=jax.devices()[:1], progress=False)
    assert (run.hyper.size, run.image_shape) == (16, (32, 32, 3))


def test_more_than_the_decoder_draws(tiny, tmp_path):
    said = refusal(tiny("data.resolution=32"), tmp_path)
    assert "data.resolution=32 and the decoder draws 16x16" in said


def test_a_decoder_with_labels(tiny, tmp_path):
    path = save_tiny(tmp_path / "labels.safetensors", *tiny_generator(c_dim=2))
    assert "draws 2 classes" in refusal(tiny(f"init.decoder={path}"), tmp_path)


def test_halves_of_unlike_size(tiny, tmp_path):
    a = [np.zeros((16, 16, 3), np.uint8)] * 12
    b = [np.ones((16, 16, 3), np.uint8)] * 11 + [np.ones((24, 24, 3), np.uint8)]
    folder = write_pairs(tmp_path / "pairs", a, b)
    said = refusal(tiny(f"data.path={folder}"), tmp_path)
    assert "B/00000011.png: is 24x24" in said


def test_sources_that_are_targets(tiny, pairs, tmp_path):
    same = [np.full((16, 16, 3), i, np.uint8) for i in range(12)]
    folder = write_pairs(tmp_path / "pairs", same, same)
    said = refusal(tiny(f"data.path={folder}"), tmp_path)
    assert "--config.data.reconstruct=true" in said
    said = refusal(tiny(f"data.path={pairs / 'B'}"), tmp_path)
    assert "data.reconstruct=true" in said


def save_zeros(path, module, family, *inputs):
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    save_model(
        path,
        jax.tree.map(lambda x: np.zeros(x.shape, np.float32), shapes),
        family=family,
        config=config_of(module),
        provenance={},
        licence="CC0",
    )
    return path


def picture(side):
    return jax.ShapeDtypeStruct((1, side, side, 3), np.float32)


def body(path, **fields):
    module = IRSE(num_layers=18, input_size=32, embedding_dim=4, **fields)
    return save_zeros(path, module, "features.irse", picture(32))


def test_a_body_of_another_shape(tiny, tmp_path):
    path = body(tmp_path / "body.safetensors", width=4)
    said = refusal(tiny(f"init.backbone={path}"), tmp_path)
    assert f"init.backbone={path} has num_layers=18, mode=ir_se, width=4" in said
    assert "--config.init.backbone=None" in said
    path = body(tmp_path / "ir.safetensors", width=2, mode="ir")
    assert "mode=ir, width=2" in refusal(tiny(f"init.backbone={path}"), tmp_path)


@pytest.mark.slow  # draws a whole model
def test_a_body_that_fits_is_taken(tiny, tmp_path):
    path = body(tmp_path / "body.safetensors", width=2)
    config = tiny(f"init.backbone={path}")
    run = build_run(config, tmp_path, devices=jax.devices()[:1], progress=False)
    state = run.adopt(run.init(jax.random.key(0)))
    encoder = jax.device_get(state.params["encoder"])
    assert not np.any(encoder["backbone"]["unit0"]["conv0"]["kernel"])
    assert np.any(encoder["linear"]["weight"])
    assert not np.any(
        jax.device_get(state.opt.slow)["encoder"]["backbone"]["unit0"]["conv0"][
            "kernel"
        ]
    )
    assert run.begun_with()["init.backbone"][0] == sha256_of(path)


def test_a_whole_psp_decides_the_model(tiny, decoder, tmp_path):
    g = load(decoder).module
    fields = {
        f"decoder_{k}": getattr(g, k)
        for k in (
            "num_blocks",
            "z_dim",
            "mapping_layers",
            "channel_base",
            "channel_max",
        )
    }
    module = PSP(num_layers=18, width=1, input_size=64, w_dim=8, iterations=2, **fields)
    path = save_zeros(tmp_path / "psp.safetensors", module, "psp", picture(64))
    config = tiny(f"init.model={path}")
    run = build_run(config, tmp_path, devices=jax.devices()[:1], progress=False)
    assert (run.psp.width, run.psp.input_size, run.psp.iterations) == (1, 64, 2)
    said = refusal(tiny(f"init.model={path}", "data.source_channels=1"), tmp_path)
    assert "The encoder takes 3 channels" in said
    assert "data.source_channels=1" in said
    large = save_tiny(tmp_path / "large.safetensors", *tiny_generator(num_blocks=4))
    words = (f"init.model={path}", f"init.decoder={large}")
    assert "takes latents [8, 8]" in refusal(tiny(*words), tmp_path)


def test_a_list_of_sets(tiny, tmp_path):
    said = refusal(tiny("data.path=a,b"), tmp_path)
    assert "takes one set of pairs" in said


def test_one_factor_is_a_number(tiny):
    assert factors_of(tiny("data.factors=4")) == (4,)
    assert factors_of(tiny("data.factors=[1,2]")) == (1, 2)


def test_missing_weights_name_the_commands_and_a_way_without(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    config = tiny("loss.lpips_weight=0.8", "loss.identity_weight=0.1")
    said = refusal(config, tmp_path)
    for part in (
        "stylegan-jax weights get lpips_alex",
        "stylegan-jax weights import arcface_irse50 FILE",
        "--config.loss.identity_network=arcface_mobilefacenet",
        "--config.loss.lpips_weight=0 --config.loss.identity_weight=0",
    ):
        assert part in said
    said = refusal(tiny("init.backbone=arcface_irse50"), tmp_path)
    assert "--config.init.backbone=None" in said


@pytest.mark.parametrize(
    "words, said",
    [
        (("loss.l2_weight=0",), "every weight of the section loss is 0"),
        (("loss.l2_weight=-1",), "loss.l2_weight=-1.0 must be 0 or more"),
        (("train.optimiser=sgd",), "must be one of ranger, adam"),
        (("data.factors=2,x",), "data.factors=2,x must be whole numbers"),
        (("data.mirror=both",), "must be one of none, together, apart"),
        (("model.iterations=11",), "model.iterations=11 must be at most 10"),
        (
            ("data.reconstruct=true", "data.source_labels=4"),
            "data.reconstruct shows the encoder the target itself",
        ),
        (
            ("loss.moco_weight=1", "loss.identity_weight=1"),
            "set one of them to 0",
        ),
        (("model.input_size=50",), "no multiple of 16"),
        (("model.num_layers=20",), "must be one of 18, 34, 50, 100, 152"),
    ],
)
def test_values_out_of_range(tiny, tmp_path, words, said):
    assert said in refusal(tiny(*words), tmp_path)
