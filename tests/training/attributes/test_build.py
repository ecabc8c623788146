"""What a run is refused for before anything compiles, and what it starts from."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models.features import ResNet
from stylegan_jax.training.trainers import build_run


def build(config, workdir):
    return build_run(config, workdir, devices=jax.devices()[:1], progress=False)


def refusal(config, workdir):
    with pytest.raises(UserError) as caught:
        build(config, workdir)
    return str(caught.value)


@pytest.mark.parametrize(
    "words, said",
    [
        (("data.path=None",), "There are no pictures to train on"),
        (("model.num_layers=20",), "model.num_layers='20' must be one of 10, 18"),
        (("model.input_size=16",), "model.input_size=16 must be from 32 to 256"),
        (("augment.zoom_out=2",), "augment.zoom_out must not be above"),
        (("model.read_share=0.5", "model.read_drop=0.3"), "model.read_drop=0.3 leave"),
        (("augment.shrink=0,x",), "augment.shrink=0,x must be whole numbers"),
        (("data.attributes=()",), "names nothing to learn"),
        (("data.attributes=smile,smile:number",), "names smile more than once"),
        (("data.attributes=smile:",), "'smile:' is not understood"),
        (("data.attributes=age",), "has no age: choose --config.data.attributes from"),
        (("data.attributes=eyes",), "eyes holds texts (blue, brown"),
        (("data.labels=nowhere.csv",), "nowhere.csv cannot be read"),
        (("train.batch=64",), "64"),
        (("init.backbone=nowhere",), "there is no model nowhere"),
        (("init.backbone=lpips_alex",), "init.backbone=lpips_alex is not in the cache"),
    ],
)
def test_refusals(tiny, tmp_path, words, said, monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    assert said in refusal(tiny(*words), tmp_path)


def test_nothing_to_learn(tiny, tmp_path, labelled_faces):
    table = (labelled_faces / "attributes.csv").read_text().splitlines()
    rows = [line.split(",")[0] + ",1" for line in table[1:]]
    (tmp_path / "same.csv").write_text("\n".join(["file,happy", *rows]))
    config = tiny(f"data.labels={tmp_path / 'same.csv'}", "data.attributes=happy")
    assert "have the same happy" in refusal(config, tmp_path)


def body(path, **fields):
    module = ResNet((1, 1, 1, 1), False, num_classes=5, **fields)
    picture = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), picture)
    save_model(
        path,
        jax.tree.map(lambda x: np.full(x.shape, 0.25, np.float32), shapes),
        family="features.resnet",
        config=config_of(module),
        provenance={},
        licence="CC0",
    )
    return path


def test_a_body_from_a_file(tiny, tmp_path):
    path = body(tmp_path / "body.safetensors", width=2)
    run = build(tiny(f"init.backbone={path}"), tmp_path)
    state = run.adopt(jax.jit(run.init)(jax.random.key(0)))
    kernels = jax.tree.leaves(state.params["backbone"])
    assert all((np.asarray(x) == 0.25).all() for x in kernels)
    assert not np.asarray(state.params["head"]["kernel"]).any()
    assert "init.backbone" in run.begun_with()
    wide = body(tmp_path / "wide.safetensors", width=4)
    said = refusal(tiny(f"init.backbone={wide}"), tmp_path)
    assert "is no body of 10 layers and width 2" in said


def test_numbers_are_standardised_and_classes_balanced(tiny, tmp_path):
    run = build(tiny("loss.balance=true"), tmp_path)
    values = np.concatenate([d.values for d, _ in run.data])
    assert run.module.means[0] == pytest.approx(values[:, 0].mean(), rel=1e-5)
    assert run.module.stds[0] == pytest.approx(values[:, 0].std(), rel=1e-5)
    assert (run.module.means[1], run.module.stds[1]) == (0.0, 1.0)
    assert run.hyper.balance[0] == (1.0, 1.0)
    zero, one = run.hyper.balance[1]
    share = values[:, 1].mean()
    assert zero * (1 - share) == pytest.approx(one * share)
