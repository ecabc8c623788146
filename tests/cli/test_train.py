"""``stylegan-jax train`` as a user types it."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.cli.main import main
from stylegan_jax.training import spmd

SMALL = [
    "--config.data.resolution=16",
    "--config.model.z_dim=8",
    "--config.model.w_dim=8",
    "--config.model.channel_base=64",
    "--config.model.channel_max=8",
    "--config.train.total_kimg=0.016",
    "--config.snapshot.grid=4",
    "--config.eval.num=16",
]


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    mesh = spmd.make_mesh(jax.devices()[:1])
    monkeypatch.setattr(spmd, "make_mesh", lambda devices=None: mesh)


def typed(*words):
    with pytest.raises(SystemExit) as caught:
        main(["train", *map(str, words)])
    return caught.value.code


@pytest.fixture
def photos(tmp_path):
    """JPEGs of several sizes and modes in nested folders, as people have them."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for i in range(20):
        size = (24 + i, 40 - i, 3)
        image = Image.fromarray(rng.integers(0, 256, size).astype(np.uint8))
        place = folder / ("a" if i % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        (image if i % 5 else image.convert("L")).save(place / f"{i}.jpg")
    return folder


@pytest.mark.slow
def test_the_dry_run_of_a_run_that_grows_is_of_every_stage(photos, tmp_path, capsys):
    words = ["--config", "stylegan1:smoke", f"--config.data.path={photos}"]
    words += [w for w in SMALL if "total_kimg" not in w]
    words += ["--config.grow.start_resolution=8", "--config.grow.batch=8:16,16:8"]
    assert typed(*words, "--workdir", tmp_path / "run", "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    low, high = plan["stages"]
    assert [stage["batch"] for stage in plan["stages"]] == [16, 8]
    assert "8x8 from 0 to 0.5 kimg" in low["stage"] and "16x16" in high["stage"]
    # Above the stages stands the one that needs most.
    needs = [max(stage["bytes_per_device"].values()) for stage in plan["stages"]]
    assert max(plan["bytes_per_device"].values()) == max(needs)
    assert plan["config"]["grow"]["train_kimg"] == "0.5"


@pytest.mark.slow  # a training run of its own
def test_from_a_folder_of_jpegs_to_samples(photos, tmp_path, capsys):
    workdir = tmp_path / "run"
    words = ["--config", "stylegan2_auto:smoke", f"--config.data.path={photos}"]
    assert typed(*words, "--workdir", workdir, *SMALL) == 0
    said = capsys.readouterr().err
    assert "20 pictures of 16x16" in said and "trained to 0.02 kimg" in said
    with Image.open(workdir / "samples" / "fakes-000000.png") as grid:
        assert grid.size == (32, 32)
    assert (workdir / "models" / "g_ema-000000.safetensors").is_file()
    assert json.loads((workdir / "stats.jsonl").read_text().splitlines()[-1])["nimg"]


def test_broken_pictures_are_all_listed_and_nothing_is_trained(
    photos, tmp_path, capsys
):
    (photos / "a" / "empty.jpg").touch()
    (photos / "text.png").write_text("not a picture")
    words = ["--config", "stylegan2_auto:smoke", f"--config.data.path={photos}"]
    workdir = tmp_path / "run"
    assert typed(*words, "--workdir", workdir, *SMALL) == 1
    said = capsys.readouterr().err
    assert "empty.jpg" in said and "text.png" in said and "Traceback" not in said
    assert not (workdir / "models").exists()


@pytest.mark.slow  # a training run of its own
def test_broken_pictures_are_left_out_where_that_is_asked_for(photos, tmp_path):
    (photos / "a" / "empty.jpg").touch()
    words = ["--config", "stylegan2_auto:smoke", f"--config.data.path={photos}"]
    skip = "--config.data.skip_broken=true"
    assert typed(*words, skip, "--workdir", tmp_path / "run", *SMALL) == 0


def test_fewer_pictures_than_a_batch(photos, tmp_path, capsys):
    words = ["--config", "stylegan2_auto:smoke", f"--config.data.path={photos}"]
    more = "--config.train.batch=32"
    assert typed(*words, more, "--workdir", tmp_path / "run", *SMALL) == 1
    said = capsys.readouterr().err
    assert "20" in said and "32" in said


def test_dry_run_prints_configuration_and_memory_and_trains_nothing(
    photos, tmp_path, capsys
):
    words = ["--config", "stylegan2_auto:smoke", f"--config.data.path={photos}"]
    workdir = tmp_path / "run"
    assert typed(*words, "--workdir", workdir, "--dry-run", *SMALL) == 0
    out = capsys.readouterr().out
    assert '"r1_gamma": 0.0064' in out
    for phase in ("g_main", "g_reg", "d_main", "d_reg"):
        row = [line for line in out.splitlines() if line.startswith(phase)][0]
        assert float(row.split()[2]) > 0
    assert not (workdir / "checkpoints").exists()
    assert not (workdir / "stats.jsonl").exists()


@pytest.mark.slow  # compiles all programs twice
def test_dry_run_as_json_counts_the_same_work_in_parts(photos, tmp_path, capsys):
    words = ["--config", "stylegan2_auto:smoke", f"--config.data.path={photos}"]
    words += ["--workdir", tmp_path / "run", "--dry-run", "--json", *SMALL]
    plans = []
    for share in (8, 4):
        assert typed(*words, f"--config.train.batch_per_device={share}") == 0
        plans.append(json.loads(capsys.readouterr().out))
    whole, halves = plans
    assert (whole["parts"], whole["images_at_a_time"]) == (1, 8)
    assert (halves["parts"], halves["images_at_a_time"]) == (2, 4)
    # XLA counts the body of a loop once: the plan must not.
    for phase, flops in whole["flops_per_device"].items():
        assert halves["flops_per_device"][phase] == pytest.approx(flops, rel=0.3)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--config", "stylegan2_auta"], "Did you mean stylegan2_auto?"),
        (["--config", "stylegan2_auto:smok"], "unknown argument 'smok'"),
        (
            ["--config", "stylegan2_auto", "--config.train.bach=8"],
            "config.train has no 'bach'. Did you mean batch?",
        ),
        (
            ["--config", "stylegan2_auto", "--config.train.batch=many"],
            "config.train.batch takes a whole number, got 'many'",
        ),
        (["--config", "stylegan2_auto", "--batch=8"], "overrides look like"),
        (["--config", "stylegan2_auto"], "--config.data.path=FOLDER"),
        (
            ["--config", "stylegan2_auto:smoke", "--config.train.batch=-8"],
            "train.batch=-8 must be above 0",
        ),
        (
            ["--config", "stylegan2_auto:smoke", "--config.data.resolution=34"],
            "by doubling: take sides like",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(words, sentence, tmp_path, capsys):
    assert typed(*words, "--workdir", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said


def test_no_such_folder(tmp_path, capsys):
    words = ["--config", "stylegan2_auto:smoke", "--config.data.path=nowhere"]
    assert typed(*words, "--workdir", tmp_path / "run") == 1
    assert "nowhere" in capsys.readouterr().err
