"""Runs that start from trained networks."""

import json

import jax
import numpy as np
import pytest

from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.model_file import flatten, read_model
from stylegan_jax.data import toy
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training import compile as compiling
from stylegan_jax.training.experiment import load_config
from stylegan_jax.training.loop import train
from stylegan_jax.training.stylegan2.build import build_run
from stylegan_jax.training.stylegan2.finetune import open_parent

ONE = jax.devices()[:1]
SHORT = (
    "--config.train.total_kimg=0.032",
    "--config.train.batch=8",
    "--config.train.tick_kimg=0.016",
    "--config.loss.d_reg_interval=2",
    "--config.loss.pl_weight=0",
    "--config.snapshot.every_kimg=0.016",
    "--config.snapshot.grid=4",
    "--config.eval.every_kimg=0",
)


@pytest.fixture(scope="module")
def parent(tiny_words, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("parent")
    config = load_config("stylegan2_base:smoke", [*tiny_words, *SHORT])
    train(config, workdir, devices=ONE, show_progress=False)
    return workdir


@pytest.fixture(scope="module")
def comic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comic") / "faces"
    toy.write_toy(folder, style="comic", num=24, size=16, seed=1)
    return folder


def finetune(parent, comic, workdir, *words):
    config = load_config(
        "stylegan2_finetune",
        [
            f"--config.data.path={comic}",
            f"--config.init.model={parent}",
            *SHORT,
            *(f"--config.{w}" for w in words),
        ],
    )
    return train(config, workdir, devices=ONE, show_progress=False)


def params(workdir, part):
    return flatten(read_model(find_model(workdir, part=part)).variables)


FROZEN = ("freeze.d_layers=2", "freeze.g_mapping=true", "freeze.g_below=8")


@pytest.fixture(scope="module")
def tuned(parent, comic, tmp_path_factory):
    """A run from the parent, with some layers standing still."""
    workdir = tmp_path_factory.mktemp("tuned")
    finetune(parent, comic, workdir, *FROZEN)
    return workdir


def test_goes_on_from_the_parent_with_what_is_frozen_still(parent, tuned):
    before = params(parent, "g_ema")
    where = ("params/mapping/", "params/synthesis/b4/", "moving_stats/mapping/")
    frozen = {k for k in before if k.startswith(where)}
    for part in ("g", "g_ema"):
        found = params(tuned, part)
        still = {k for k in found if found[k].tobytes() == before[k].tobytes()}
        assert frozen <= still
        assert "params/synthesis/b16/conv0/weight" not in still
    d, d_before = params(tuned, "d"), params(parent, "d")
    assert set(d) == set(d_before)
    for name in ("params/b16/fromrgb/weight", "params/b16/conv0/weight"):
        np.testing.assert_array_equal(d[name], d_before[name])
    assert d["params/b8/conv0/weight"].tobytes() != (
        d_before["params/b8/conv0/weight"].tobytes()
    )


@pytest.mark.slow  # a training run of its own
def test_the_architecture_is_the_parents_and_the_chain_is_kept(parent, comic, tmp_path):
    finetune(parent, comic, tmp_path)
    model = read_model(find_model(tmp_path))
    before = read_model(find_model(parent))
    assert model.config == before.config
    above = model.metadata["provenance"]["parent"]
    assert above["provenance"]["made_by"] == "stylegan-jax train"
    assert len(above["sha256"]) == 64
    assert model.metadata["licence"].startswith(before.metadata["licence"])
    resolved = json.loads((tmp_path / "config.json").read_text())["resolved"]
    assert resolved["model"]["w_dim"] == 8
    assert resolved["data"]["resolution"] == "16x16"


@pytest.mark.slow  # three runs
def test_augmentation_moves_and_resumes(parent, comic, tmp_path):
    words = ("augment.kimg=0.1", "augment.target=-1", "train.total_kimg=0.064")
    whole = finetune(parent, comic, tmp_path / "whole", *words)
    finetune(parent, comic, tmp_path / "halves", *words[:2])
    halves = finetune(parent, comic, tmp_path / "halves", *words)
    assert 0 < float(whole.state.augment.p) <= 0.8
    a, b = jax.device_get((whole.state, halves.state))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    lines = (tmp_path / "whole" / "stats.jsonl").read_text().splitlines()
    assert "augment/p" in json.loads(lines[-1])


def test_without_a_parent_it_is_refused(comic, tmp_path):
    config = load_config("stylegan2_finetune", [f"--config.data.path={comic}"])
    with pytest.raises(UsageError, match="init.model"):
        train(config, tmp_path, devices=ONE, show_progress=False)


@pytest.mark.slow  # a training run of its own
def test_a_lone_generator_needs_a_word(parent, comic, tmp_path):
    alone = find_model(parent)
    with pytest.raises(UsageError, match="generator alone.*fresh_d=true"):
        finetune(alone, comic, tmp_path)
    outcome = finetune(
        alone, comic, tmp_path, "init.fresh_d=true", "model.channel_base=64"
    )
    assert outcome.nimg == 32


def test_other_sizes_and_models_are_refused(parent, comic, tmp_path):
    with pytest.raises(UsageError, match="draws 16x16, do not agree"):
        finetune(parent, comic, tmp_path, "data.resolution=32")
    with pytest.raises(UserError, match="no StyleGAN2"):
        finetune(find_model(parent, part="d"), comic, tmp_path)


@pytest.mark.slow  # a training run of its own
def test_snapshots_are_watched_and_light(parent, comic, tmp_path):
    words = ("eval.every_kimg=0.016", "eval.num=16", "train.total_kimg=1.008")
    words += ("snapshot.every_kimg=1.0",)
    finetune(parent, comic, tmp_path, *words)
    watched = json.loads((tmp_path / "models" / "watch.json").read_text())
    assert [entry["kimg"] for entry in watched] == [1]
    assert watched[0]["epochs"] == 1008 / 22  # two are held out
    assert {"watch/nearest", "watch/diversity", "overfitted"} <= set(watched[0])
    names = {p.name.split("-")[0] for p in (tmp_path / "models").glob("*-000001.*")}
    assert names == {"g_ema", "g", "d"}  # the last one has all


@pytest.mark.slow  # a training run of its own
def test_held_out_pictures_show_the_discriminators_gap(parent, comic, tmp_path, capsys):
    words = ("eval.every_kimg=0.016", "eval.num=16", "data.held_out=0.25")
    config = [f"--config.data.path={comic}", f"--config.init.model={parent}", *SHORT]
    config = load_config(
        "stylegan2_finetune", [*config, *(f"--config.{w}" for w in words)]
    )
    train(config, tmp_path, devices=ONE)
    ticks = [json.loads(s) for s in (tmp_path / "stats.jsonl").read_text().splitlines()]
    gaps = [t["watch/gap"] for t in ticks if "watch/gap" in t]
    assert gaps and all(-1 <= gap <= 1 for gap in gaps)
    assert "18 pictures (6 more held out) of 16x16" in capsys.readouterr().err
    assert ticks[-1]["epochs"] == ticks[-1]["nimg"] / 18


@pytest.mark.slow  # a training run of its own
def test_p_rises_on_a_tiny_set_and_stops_at_its_ceiling(parent, comic, tmp_path):
    """Wired through: scores of the run's own discriminator move the run's own p."""
    words = ("augment.kimg=0.2", "augment.ceiling=0.3", "train.total_kimg=0.512")
    words += ("augment.target=0.3",)
    finetune(parent, comic, tmp_path, *words)
    ticks = [json.loads(s) for s in (tmp_path / "stats.jsonl").read_text().splitlines()]
    p = [t["augment/p"] for t in ticks if "augment/p" in t]
    assert p[0] < 0.1
    assert max(p) == pytest.approx(0.3, abs=1e-6)
    assert max(p) <= 0.3 + 1e-6


def test_correspondence_keeps_its_source_in_the_run(parent, comic, tmp_path):
    words = [f"--config.data.path={comic}", f"--config.init.model={parent}", *SHORT]
    words.append("--config.loss.correspondence_weight=1000")
    config = load_config("stylegan2_finetune", words)
    run = build_run(config, tmp_path, devices=ONE, progress=False)
    state = compiling.make_init(run)(compiling.root_key(run, 0))
    state = run.parent.adopt(state, run.hyper.freeze)
    source = flatten({"params": jax.device_get(state.source_params)})
    before = params(parent, "g_ema")
    assert source
    for name, value in source.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.slow  # three runs; goes on from the parent that the checkpoint holds
def test_correspondence_goes_on_exactly(parent, comic, tmp_path):
    words = ("loss.correspondence_weight=1000", "train.total_kimg=0.048")
    whole = finetune(parent, comic, tmp_path / "whole", *words)
    finetune(parent, comic, tmp_path / "halves", words[0], "train.total_kimg=0.024")
    halves = finetune(parent, comic, tmp_path / "halves", *words)
    a, b = jax.device_get((whole.state, halves.state))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    lines = (tmp_path / "whole" / "stats.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["reg/correspondence"] > 0


def test_correspondence_needs_a_source_and_groups(tiny, parent, comic, tmp_path):
    with pytest.raises(UsageError, match="starts from"):
        train(tiny("loss.correspondence_weight=1"), tmp_path, devices=ONE)
    with pytest.raises(UsageError, match="groups of 2, .* at least 3"):
        words = ("loss.correspondence_weight=1", "model.mbstd_group_size=2")
        finetune(parent, comic, tmp_path, *words)


def test_freezing_what_is_not_there_is_refused(parent, comic, tmp_path):
    with pytest.raises(UsageError) as caught:
        finetune(parent, comic, tmp_path, "freeze.d_layers=99", "freeze.g_below=5")
    assert "freeze.d_layers=99 must be at most" in str(caught.value)
    assert "freeze.g_below=5 must be 0 or one of 4, 8, 16" in str(caught.value)


@pytest.mark.slow  # a training run of its own
def test_pictures_that_count_as_seen(parent, comic, tmp_path):
    with pytest.raises(UsageError, match="larger --config.train.total_kimg"):
        finetune(parent, comic, tmp_path / "a", "init.resume_kimg=5")
    words = ("init.resume_kimg=5", "train.total_kimg=5.016")
    finetune(parent, comic, tmp_path / "b", *words)
    last = (tmp_path / "b" / "stats.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["nimg"] == 5016
    assert json.loads(last)["epochs"] == 16 / 22


def test_going_on_with_another_parent_is_refused(parent, tuned, comic):
    with pytest.raises(UserError, match="cannot go on with loss.corr.*=1000: use that"):
        finetune(parent, comic, tuned, *FROZEN, "loss.correspondence_weight=1000")
    with pytest.raises(UserError, match="begun with init.model=.*parent0 "):
        finetune(tuned, comic, tuned, *FROZEN)


def test_a_damaged_generator_is_not_replaced_by_the_averaged_one(
    parent, comic, tmp_path
):
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in ("g_ema", "g", "d"):
        data = find_model(parent, part=part).read_bytes()
        data = data[:-100] if part == "g" else data
        (folder / f"{part}.safetensors").write_bytes(data)
    with pytest.raises(UserError, match="g.safetensors is cut short"):
        finetune(folder, comic, tmp_path / "run")


def test_networks_of_different_moments_are_told(parent, tmp_path):
    models = tmp_path / "run" / "models"
    models.mkdir(parents=True)
    for part, kimg in (("g_ema", 1), ("g", 4), ("d", 4)):
        source = find_model(parent, part=part)
        (models / f"{part}-{kimg:06d}.safetensors").write_bytes(source.read_bytes())
    assert open_parent(parent, fresh_d=False).note == ""
    found = open_parent(tmp_path / "run", fresh_d=False).note
    moments = found.partition("taken are ")[2].split(", ")
    assert sorted(moments) == ["d of 4 kimg", "g of 4 kimg", "g_ema of 1 kimg"]
