import json

import jax
import numpy as np
import pytest
from tiny_models import leaves, save_tiny, tiny_discriminator, tiny_generator

from stylegan_jax import load
from stylegan_jax.checkpoints import model_file
from stylegan_jax.checkpoints.load import (
    FAMILIES,
    find_model,
    find_parts,
    load_generator,
    moment_of,
    snapshots,
)
from stylegan_jax.checkpoints.structure import CHECKS, LINEN_FIELDS, config_of
from stylegan_jax.checkpoints.stylegan2_discriminator import StyleGAN2Discriminator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UserError
from stylegan_jax.models.stylegan2 import Discriminator, Generator
from tests.models.psp.tiny_psp import tiny_psp


@pytest.fixture(scope="module")
def generator_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.safetensors"
    return save_tiny(path, *tiny_generator())


def _changed(tmp_path, change, **overrides):
    """A generator's file whose tensors went through ``change``."""
    module, variables = tiny_generator()
    flat = leaves(variables)
    change(flat)
    tree: dict = {}
    for name, leaf in flat.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    return save_tiny(tmp_path / "x.safetensors", module, tree, **overrides)


def test_a_generator_comes_back_as_it_was(generator_file):
    module, variables = tiny_generator()
    model = load(generator_file)
    assert isinstance(model, StyleGAN2Generator)
    assert model.module == module
    assert model.config == config_of(module)
    assert model.metadata["provenance"] == {"kimg": 1}
    assert model.image_shape == (16, 16, 3) and model.num_ws == 6
    got = leaves(model.variables)
    assert set(got) == set(leaves(variables))
    for name, leaf in leaves(variables).items():
        np.testing.assert_array_equal(got[name], leaf)


def test_a_discriminator_gives_the_modules_logits(tmp_path):
    module, variables = tiny_discriminator()
    model = load(save_tiny(tmp_path / "d.safetensors", module, variables))
    assert isinstance(model, StyleGAN2Discriminator)
    x = np.random.default_rng(0).standard_normal((4, 16, 16, 3), np.float32)
    expected = module.apply(variables, x)
    # jitted and not: the order of float32 sums may differ.
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match="groups of 4 pictures, got 6"):
        model(np.zeros((6, 16, 16, 3)))
    with pytest.raises(UserError, match=r"x must be \[N, 16, 16, 3\]"):
        model(np.zeros((4, 8, 8, 3)))
    with pytest.raises(UserError, match="no pictures"):
        model(x[:0])
    with pytest.raises(UserError, match=r"got uint8: convert with x / 127.5 - 1"):
        model(np.zeros((4, 16, 16, 3), np.uint8))


def test_families_are_those_of_the_files():
    assert set(FAMILIES) == set(model_file.FAMILIES)


@pytest.mark.parametrize("kind", [Generator, Discriminator])
def test_every_field_of_the_modules_can_be_checked(kind):
    import dataclasses

    for field in dataclasses.fields(kind):
        if field.name not in LINEN_FIELDS:
            assert str(field.type) in CHECKS, field.name


def test_tensors_that_do_not_fit_are_all_listed(tmp_path):
    def change(flat):
        del flat["moving_stats/mapping/w_avg"]
        del flat["params/mapping/fc1/bias"]
        flat["params/mapping/fc9/bias"] = np.zeros(8, np.float32)
        flat["params/synthesis/b4/const"] = np.zeros((4, 4, 3), np.float32)
        flat["params/mapping/fc0/bias"] = np.zeros(8, np.int32)

    with pytest.raises(UserError) as caught:
        load(_changed(tmp_path, change))
    text = str(caught.value)
    assert "missing: moving_stats/mapping/w_avg, params/mapping/fc1/bias;" in text
    assert "unknown: params/mapping/fc9/bias;" in text
    assert "params/synthesis/b4/const [4, 4, 3] instead of [4, 4, 8]" in text
    assert "params/mapping/fc0/bias int32 instead of float32" in text


def test_float16_tensors_become_float32(tmp_path):
    def change(flat):
        flat.update({name: leaf.astype(np.float16) for name, leaf in flat.items()})

    model = load(_changed(tmp_path, change))
    assert {leaf.dtype for leaf in jax.tree.leaves(model.variables)} == {
        np.dtype(np.float32)
    }


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"z_dim": "8"}, "z_dim='8', which no model has"),
        ({"z_dim": True}, "z_dim=True, which no model has"),
        ({"num_blocks": 10**6}, "num_blocks=1000000, which no model has"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"mapping_layers": -1}, "mapping_layers=-1"),
        ({"base_grid": [4]}, "base_grid="),
        ({"base_grid": [0, 4]}, "base_grid="),
        ({"conv_clamp": "high"}, "conv_clamp="),
        ({"architecture": "vae"}, "Unknown generator architecture 'vae'"),
        ({"dtype": "int8"}, "Unknown dtype 'int8'"),
        ({"colour": 1}, "unknown fields .colour."),
    ],
)
def test_a_config_that_makes_no_model_is_refused(tmp_path, config, sentence):
    module, variables = tiny_generator()
    path = tmp_path / "x.safetensors"
    save_tiny(path, module, variables, config={**config_of(module), **config})
    with pytest.raises(UserError, match=sentence):
        load(path)


def test_fields_may_be_absent_only_where_they_have_a_default(tmp_path):
    module, variables = tiny_generator()
    config = config_of(module)
    path = tmp_path / "x.safetensors"
    del config["use_noise"]
    save_tiny(path, module, variables, config=config)
    assert load(path).module == module
    del config["num_blocks"]
    save_tiny(path, module, variables, config=config)
    with pytest.raises(UserError, match="lacks num_blocks"):
        load(path)


@pytest.fixture
def run(tmp_path):
    """A run's folder with snapshots that are only names."""
    (tmp_path / "models").mkdir()
    for name in ("g_ema-000002", "g_ema-000010", "g-000010", "g_ema-notes"):
        (tmp_path / "models" / f"{name}.safetensors").touch()
    return tmp_path


def test_a_run_means_its_newest_snapshot(run):
    assert find_model(run).name == "g_ema-000010.safetensors"
    assert find_model(run, part="g").name == "g-000010.safetensors"


def test_a_run_means_its_best_snapshot_where_one_is_named(run):
    best = run / "models" / "best.json"
    best.write_text(json.dumps({"kimg": 2}))
    assert find_model(run).name == "g_ema-000002.safetensors"
    best.write_text(json.dumps({"kimg": 5}))  # deleted since
    assert find_model(run).name == "g_ema-000010.safetensors"
    for text in ("{", '{"kimg": "../x"}', "[]"):
        best.write_text(text)
        with pytest.raises(UserError, match="delete it to use the newest"):
            find_model(run)


def test_a_runs_models_mean_the_same_as_the_run(run):
    (run / "models" / "best.json").write_text(json.dumps({"kimg": 2}))
    for part in ("g_ema", "g"):
        assert find_model(run / "models", part=part) == find_model(run, part=part)
    assert find_parts(run / "models") == find_parts(run)
    assert snapshots(run / "models") == snapshots(run)
    assert list(snapshots(run)) == [2, 10]
    with pytest.raises(UserError, match=r"d-\*\.safetensors"):
        find_model(run / "models", part="d")


@pytest.mark.parametrize(
    ("best", "snapshots", "kimg"),
    [
        # All of one moment.
        (4, {"g_ema": (1, 4, 9), "g": (4, 9), "d": (4, 9)}, (4, 4, 4)),
        (None, {"g_ema": (1, 4), "g": (4,), "d": (4,)}, (4, 4, 4)),
        # The nearest newer one, or the newest where all are older.
        (1, {"g_ema": (1, 4, 9), "g": (4, 9), "d": (9,)}, (1, 4, 9)),
        (9, {"g_ema": (1, 9), "g": (1, 4), "d": (4,)}, (9, 4, 4)),
        # Of a newer generator than the discriminator's, too.
        (None, {"g_ema": (1, 9), "g": (9,), "d": (1, 4)}, (9, 9, 4)),
        # The best g_ema is gone: the newest counts, for its companions as well.
        (4, {"g_ema": (1, 9), "g": (4, 9), "d": (4, 9)}, (9, 9, 9)),
        (4, {"g_ema": (), "g": (4, 9), "d": (1, 9)}, (None, 4, 9)),
        (None, {"g_ema": (), "g": (4, 9), "d": ()}, (None, 9, None)),
    ],
)
def test_parts_are_of_one_moment_where_they_can_be(tmp_path, best, snapshots, kimg):
    models = tmp_path / "models"
    models.mkdir()
    for part, numbers in snapshots.items():
        for number in numbers:
            (models / f"{part}-{number:06d}.safetensors").touch()
    if best is not None:
        (models / "best.json").write_text(json.dumps({"kimg": best}))
    found = find_parts(tmp_path)
    moments = tuple(
        moment_of(found[part]) if part in found else None for part in snapshots
    )
    assert moments == kimg
    for part, file in found.items():
        assert find_model(tmp_path, part=part) == file


def test_the_moment_is_in_the_name():
    assert moment_of("runs/a/models/g_ema-000012.safetensors") == 12
    assert moment_of("d-000000.safetensors") == 0
    for name in ("g_ema.safetensors", "g_ema-notes.safetensors", "ffhq-12.safetensors"):
        assert moment_of(name) is None


def test_a_folder_of_parts_means_its_part(tmp_path):
    (tmp_path / "g_ema.safetensors").touch()
    assert find_model(tmp_path).name == "g_ema.safetensors"
    with pytest.raises(UserError, match="holds no model d"):
        find_model(tmp_path, part="d")


def test_a_run_of_another_kind_means_its_own_model(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for name in ("psp-000001", "psp-000004", "psp-000009", "d-000009", "d-000004"):
        (models / f"{name}.safetensors").touch()
    best = models / "best.json"
    best.write_text(json.dumps({"kimg": 4}))
    for folder in (tmp_path, models):
        assert find_model(folder).name == "psp-000004.safetensors"
        assert find_model(folder, part="psp") == find_model(folder)
        assert find_model(folder, part="d").name == "d-000004.safetensors"
    # Its best is gone: the newest of its own snapshots counts, for all parts.
    best.write_text(json.dumps({"kimg": 3}))
    found = find_parts(tmp_path)
    assert {moment_of(file) for file in found.values()} == {9}
    with pytest.raises(UserError, match=r"no model g_ema: .*models/g_ema-\*"):
        find_model(tmp_path, part="g_ema")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("psp", "g_ema", "net"), "g_ema"),
        (("psp", "encoder", "decoder"), "psp"),
        (("net", "d"), "net"),
        (("ffhq",), "ffhq"),
    ],
)
def test_the_first_that_one_would_use(tmp_path, names, found):
    for name in names:
        (tmp_path / f"{name}.safetensors").touch()
    assert find_model(tmp_path).stem == found


def test_a_folder_without_one_is_refused(tmp_path):
    for name in ("encoder", "d"):
        (tmp_path / f"{name}.safetensors").touch()
    words = "no model g_ema, psp, net, attributes or facespace: .*models/PART-"
    with pytest.raises(UserError, match=words):
        find_model(tmp_path)


def test_a_run_of_psp_is_no_generator(tmp_path):
    module, variables = tiny_psp()
    (tmp_path / "models").mkdir()
    file = tmp_path / "models" / "psp-000003.safetensors"
    save_tiny(file, module, variables, family="psp")
    assert load(tmp_path).module == module
    with pytest.raises(UserError, match="is a psp and no generator.* stylize"):
        load_generator(tmp_path)


def test_what_is_no_model_is_refused(tmp_path, generator_file):
    with pytest.raises(UserError, match="there is no model"):
        load(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no model g_ema"):
        load(tmp_path)
    with pytest.raises(UserError, match="unknown part 'h'"):
        load(generator_file, part="h")
    path = save_tiny(tmp_path / "d.safetensors", *tiny_discriminator())
    with pytest.raises(UserError, match="is a stylegan2.discriminator"):
        load_generator(path)
