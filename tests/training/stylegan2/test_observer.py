"""What a run shows of its data, and which measures it takes."""

from __future__ import annotations

import json

import jax
import pytest

from stylegan_jax.errors import UsageError
from stylegan_jax.training import compile as compiling
from stylegan_jax.training.stylegan2.build import build_run
from stylegan_jax.training.stylegan2.observer import Snapshots, last_good
from stylegan_jax.training.stylegan2.samples import Samples, different_pictures


@pytest.fixture
def make(tiny, tmp_path):
    def run(*words):
        devices = jax.devices()[:1]
        return build_run(tiny(*words), tmp_path, devices=devices, progress=False)

    return run


@pytest.mark.parametrize("grid, shown", [(4, 4), (64, 48)])
def test_a_grid_has_no_more_than_there_are_pictures(make, tmp_path, grid, shown):
    samples = Samples(make(f"snapshot.grid={grid}"), tmp_path)
    assert samples.reals["image"].shape == (shown, 16, 16, 3)
    samples.write_reals()
    assert (tmp_path / "samples" / "reals.png").is_file()


@pytest.mark.parametrize("text, named", [("swd,fid,kid", "fid, kid"), ("[3]", "3")])
def test_unknown_metrics(make, tmp_path, text, named):
    with pytest.raises(UsageError) as caught:
        make(f"eval.metrics={text}")
    said = f"eval.metrics has {named}: while training, choose from swd."
    assert said in str(caught.value)


def write_watch(folder, flags):
    folder.mkdir(exist_ok=True)
    entries = [{"kimg": k, "overfitted": bad} for k, bad in enumerate(flags)]
    (folder / "watch.json").write_text(json.dumps(entries))


def test_the_last_good_snapshot_is_before_the_first_bad_one(tmp_path):
    assert last_good(tmp_path) is None
    write_watch(tmp_path, [False, False, True, False])
    assert last_good(tmp_path) == 1
    write_watch(tmp_path, [True, False])
    assert last_good(tmp_path) is None


GOOD, COPIES = {"watch/nearest": 1.0}, {"watch/nearest": 0.1}


def test_copies_are_not_the_best_and_the_last_good_snapshot_is_kept(make, tmp_path):
    run = make("snapshot.keep=1", "snapshot.parts=g_ema")
    key = compiling.root_key(run, 0)
    state = compiling.make_init(run)(key)
    snapshots = Snapshots(run, tmp_path, "test")
    measured = [(9.0, GOOD), (5.0, GOOD), (6.0, GOOD), (1.0, COPIES), (0.5, COPIES)]
    for kimg, (swd, watch) in enumerate(measured):
        figures = {"swd/mean": swd, **watch}
        snapshots.write(state, kimg * 1000, figures)
    models = tmp_path / "models"
    assert json.loads((models / "best.json").read_text())["kimg"] == 1
    kept = sorted(int(p.stem.split("-")[1]) for p in models.glob("g_ema-*"))
    assert kept == [1, 2, 4]
    watched = json.loads((models / "watch.json").read_text())
    assert [e["kimg"] for e in watched if e["kept"]] == kept
    said = snapshots.warning({"swd/mean": 0.5, **COPIES})
    assert "g_ema-000002.safetensors is the newest snapshot from before" in said
    assert snapshots.warning({"swd/mean": 0.5, **GOOD}) is None


def test_of_copies_alone_the_nearest_is_the_best(make, tmp_path):
    run = make("snapshot.parts=g_ema")
    state = compiling.make_init(run)(compiling.root_key(run, 0))
    snapshots = Snapshots(run, tmp_path, "test")
    for kimg, swd in enumerate((3.0, 2.0)):
        figures = {"swd/mean": swd, **COPIES}
        snapshots.write(state, kimg * 1000, figures)
    assert json.loads((tmp_path / "models" / "best.json").read_text())["kimg"] == 1


def test_only_moments_to_start_from_keep_all_networks(make, tmp_path):
    run = make("snapshot.keep=4", "snapshot.parts=g_ema")
    state = compiling.make_init(run)(compiling.root_key(run, 0))
    snapshots = Snapshots(run, tmp_path, "test")
    measured = [(5.0, GOOD), (9.0, GOOD), (8.0, GOOD), (0.5, COPIES), (0.4, COPIES)]
    for kimg, (swd, watch) in enumerate(measured):
        snapshots.write(state, kimg * 1000, {"swd/mean": swd, **watch})
    names = sorted(p.stem for p in (tmp_path / "models").glob("*.safetensors"))
    best, last_from_before, newest = 0, 2, 4
    every = [f"g_ema-{k:06d}" for k in (0, 1, 2, 3, 4)]
    full = [
        f"{part}-{k:06d}" for part in "dg" for k in (best, last_from_before, newest)
    ]
    assert names == sorted(every + full)


def test_different_pictures_are_neither_doubled_nor_mirrored(make):
    run = make("data.mirror=true")
    found = different_pictures(run.data, 1000, 0)
    dataset = run.data[0][0]
    every = sorted(dataset[i]["image"].tobytes() for i in range(dataset.num_images))
    assert sorted(x.tobytes() for x in found["image"]) == every
    assert len(different_pictures(run.data, 5, 0)["image"]) == 5
