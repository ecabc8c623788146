"""What a run needs, and how it is made to fit the device."""

from __future__ import annotations

import jax
import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.training import compile as compiling
from stylegan_jax.training.compile import Programs, compile_programs
from stylegan_jax.training.stylegan2.build import GanRun, build_run

GIB = 2**30


@pytest.fixture
def make(tiny, tmp_path):
    def run(*words, devices=1):
        devices = jax.devices()[:devices]
        return build_run(tiny(*words), tmp_path, devices=devices, progress=False)

    return run


class TestFit:
    """The search alone: every image of a part needs 1 GiB, and the rest 1 GiB more."""

    @pytest.fixture
    def fit(self, monkeypatch, make):
        def search(gib, *words, devices=1):
            def compile_all(run, say):
                tried.append(run.hyper.accumulate)
                share = run.hyper.batch // (run.mesh.size * run.hyper.accumulate)
                needs = {"g_main": GIB, "d_reg": (share + 1) * GIB}
                return Programs(run, [], None, (), needs, {})

            tried, said = [], []
            limit = None if gib is None else int(gib * GIB)
            monkeypatch.setattr(compiling, "_compile_all", compile_all)
            monkeypatch.setattr(compiling, "memory_limit", lambda: limit)
            run = make("train.batch=24", *words, devices=devices)
            try:
                programs = compile_programs(run, said.append)
            except UserError as error:
                return tried, said, str(error)
            assert programs.run.hyper.accumulate == tried[-1]
            return tried, said, programs

        return search

    @pytest.mark.parametrize("gib", [None, 30])
    def test_what_fits_stays(self, fit, gib):
        tried, said, _ = fit(gib)
        assert (tried, said) == ([1], [])

    def test_the_plan_is_a_sentence(self, fit, monkeypatch):
        _, _, programs = fit(25.5)
        monkeypatch.setattr(compiling, "memory_limit", lambda: 26 * GIB)
        assert compiling.memory_plan(programs) == (
            "memory of a device for 12 images at a time (2 parts a step): g_main "
            "1.00, d_reg 13.00 of 26.0 GiB"
        )
        monkeypatch.setattr(compiling, "memory_limit", lambda: None)
        assert compiling.memory_plan(programs).endswith("d_reg 13.00 GiB")

    def test_a_share_of_the_memory_is_left(self, fit):
        tried, _, _ = fit(25.5)  # 25 GiB and the allocator's share are more
        assert tried == [1, 2]

    def test_parts_grow_until_they_fit(self, fit):
        tried, said, programs = fit(10, "model.mbstd_group_size=4")
        assert tried == [1, 2, 3]  # 24, 12 and 8 images: whole groups of 4
        assert said == [
            "d_reg needs 25.0 GiB per device for 24 images at a time, and the device "
            "has 10.0 GiB: accumulating over 2 parts instead",
            "d_reg needs 13.0 GiB per device for 12 images at a time, and the device "
            "has 10.0 GiB: accumulating over 3 parts instead",
        ]
        assert list(programs.run.rows[:4]) == [0, 1, 6, 7]

    def test_the_smallest_part_is_a_unit(self, fit):
        tried, _, said = fit(2, "model.mbstd_group_size=4")
        assert tried == [1, 2, 3, 6]
        assert said == (
            "The run does not fit: d_reg needs 5.0 GiB per device for 4 images at a "
            "time, and the device has 2.0 GiB. Lower train.batch_per_device or "
            "data.resolution, take a smaller model, or use more devices."
        )

    def test_devices_share_the_units(self, fit):
        tried, _, _ = fit(6, "model.mbstd_group_size=4", devices=2)
        assert tried == [1, 3]  # three units a device cannot be halved

    def test_a_number_of_the_user_s_is_kept(self, fit):
        words = ("train.batch_per_device=12", "model.mbstd_group_size=4")
        assert fit(30, *words)[0] == [2]
        tried, said, text = fit(10, *words)
        assert (tried, said) == ([2], [])
        assert text.startswith(
            "The run does not fit: d_reg needs 13.0 GiB per device for 12 images at a "
        )


def test_real_programs_need_less_in_parts(make, monkeypatch):
    run = make(
        "data.resolution=8",
        "model.channel_max=4",
        "train.batch=24",
        "loss.style_mixing_prob=0",
    )
    # One of the four, to spare the time of compiling the others.
    (phase,) = [i for i, p in enumerate(run.phases()) if p.name == "d_main"]
    every = GanRun.phases
    monkeypatch.setattr(GanRun, "phases", lambda self: [every(self)[phase]])
    monkeypatch.setattr(compiling, "memory_limit", lambda: None)
    said = []
    whole = compile_programs(run, said.append)
    assert [line.partition(" in ")[0] for line in said] == ["compiled d_main (1 of 1)"]
    assert [(name, every) for name, every, _ in whole.phases] == [("d_main", 1)]
    assert whole.flops["d_main"] > 0
    # A limit that the whole batch just misses.
    limit = int(whole.needs["d_main"] / compiling.USABLE) - 2**10
    monkeypatch.setattr(compiling, "memory_limit", lambda: limit)
    parts = compile_programs(run)
    assert parts.run.hyper.accumulate == 2
    assert parts.needs["d_main"] < 0.8 * whole.needs["d_main"]


def test_a_cpu_s_memory_is_not_known():
    limit = compiling.memory_limit()
    assert limit is None or limit > 0


def test_init(make):
    run = make("init.resume_kimg=1.5")
    abstract = compiling.abstract_state(run)
    state = compiling.make_init(run)(compiling.root_key(run, 3))
    assert int(state.nimg) == 1500 and int(state.step) == 0
    for leaf, shape in zip(
        jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True
    ):
        assert (leaf.shape, leaf.dtype) == (shape.shape, shape.dtype)
        assert leaf.sharding == shape.sharding
