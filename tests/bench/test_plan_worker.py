import dataclasses
import io
import json
import sys

import jax
import pytest

from stylegan_jax.bench import plan_memory, plan_table, plan_worker, targets
from stylegan_jax.bench.plan import Request
from stylegan_jax.bench.plan_programs import Program
from stylegan_jax.errors import UsageError

SMALL = (
    "--config.data.resolution=16",
    "--config.model.z_dim=16",
    "--config.model.w_dim=64",
    "--config.model.channel_base=512",
    "--config.model.channel_max=32",
)
REQUEST = Request(
    config="stylegan2_toy", overrides=SMALL, target="v5e-8", images_per_device=4
)


def make(**changes):
    request = dataclasses.replace(REQUEST, **changes)
    said = []
    plan = plan_worker.make_plan(request, said.append, devices=jax.devices()[:8])
    return plan, said


@pytest.fixture(scope="module")
def plan():
    return make(phases=("d_main", "end"), search=False)[0]


def test_memory_is_what_memory_analysis_says(plan, tmp_path_factory):
    from stylegan_jax.bench.plan_run import plan_run
    from stylegan_jax.training.compile import abstract_state
    from stylegan_jax.training.experiment import load_config

    run = plan_run(
        load_config("stylegan2_toy", SMALL),
        jax.devices()[:8],
        tmp_path_factory.mktemp("run"),
        images_per_device=4,
    )
    state = abstract_state(run)
    compiled = jax.jit(run.end_step, donate_argnums=0).lower(state).compile()
    analysis = compiled.memory_analysis()
    end = plan["programs"][-1]
    assert end["name"] == "end"
    assert end["need"] == sum(
        getattr(analysis, f"{part}_size_in_bytes")
        for part in ("argument", "output", "temp", "generated_code")
    ) - (analysis.alias_size_in_bytes)
    parts = plan_memory.state_bytes(state)
    assert end["memory"]["parameters"] == parts["parameters"]
    assert end["memory"]["optimiser"] == parts["optimiser"]


def test_gradients_are_sent_once_and_nothing_else(plan):
    d_main, end = plan["programs"]
    assert d_main["collectives"].keys() == {"all-reduce"}
    assert d_main["collective_bytes_by_parameter_bytes"] == pytest.approx(1, abs=0.01)
    assert end["collective_bytes"] == 0


def test_figures_fit_together(plan):
    d_main, end = plan["programs"]
    chip = targets.V5E
    assert d_main["interval"] == 1 and d_main["flops"] > 1e8
    assert d_main["memory_seconds"] == d_main["bytes"] / chip.bandwidth
    assert d_main["seconds"] == max(d_main["memory_seconds"],
                                    d_main["arithmetic_seconds"])  # fmt: skip
    # In float32 with full precision a product takes six passes of a TPU.
    assert d_main["arithmetic_seconds"] == pytest.approx(
        6 * d_main["flops"] / 197e12, rel=0.2
    )
    step = d_main["seconds"] + end["seconds"]
    assert plan["mean_step_seconds"] == pytest.approx(step)
    assert plan["images_per_second"] == pytest.approx(32 / step)
    assert plan["compiles"] and plan["fits"] and plan["largest"] is None
    memory = d_main["memory"]
    parts = sum(size for name, size in memory.items() if name != "total")
    assert memory["total"] == parts == d_main["need"]
    # 4 pictures, labels that there are none of, their numbers and a key.
    assert memory["batch"] == 4 * 16 * 16 * 3 + 4 * 4 + 8


def test_scaling_follows_the_formula(plan):
    d_main, _ = plan["programs"]
    step = plan["mean_step_seconds"]
    for row in plan["scaling"]:
        n = row["devices"]
        rate = 100e9 if n <= 256 else 3.125e9
        sent = 2 * (n - 1) / n * d_main["collective_bytes"] / rate
        assert row["communication_seconds"] == pytest.approx(sent)
        assert row["without_overlap"] == pytest.approx(step / (step + sent))
        assert row["with_overlap"] == pytest.approx(min(1, step / sent))


def test_a_plan_can_be_written_and_read(plan):
    again = json.loads(json.dumps(plan))
    assert plan_table.describe(again) == plan_table.describe(plan)
    assert again["versions"]["jax"] == jax.__version__


def test_an_unknown_phase_lists_those_there_are():
    with pytest.raises(UsageError, match="'g_mian'.*g_main, d_main, d_reg, end"):
        make(phases=("g_mian",))


class Compiler:
    """Stands in for `compile_program`: needs bytes by the images at a time."""

    def __init__(self, base, each, error=None):
        self.base, self.each, self.error = base, each, error
        self.calls = []

    def __call__(self, run, name, chip, say):

        images = run.images_at_a_time
        self.calls.append((name, images))
        need = int(self.base + self.each * images * (2 if name == "d_reg" else 1))
        too_large = need > chip.usable
        error = self.error or ("RESOURCE_EXHAUSTED" if too_large else None)
        memory = plan_memory.Memory(need, 0, 0, 0, 0, 0, 0, 0, 0)
        return Program(
            name=name,
            interval=16 if name == "d_reg" else 1,
            compile_seconds=0.0,
            flops=1e9,
            flops_by="XLA",
            arithmetic_seconds=1e-3,
            moved_parameters=0,
            error=error,
            too_large=too_large,
            said_need=need if too_large else None,
            memory=None if error else memory,
            bytes=None if error else 1.0,
            memory_seconds=None if error else 1e-9,
        )


GIB = 2**30


def test_a_batch_that_fits_is_compiled_once_and_the_largest_found(monkeypatch):
    compiler = Compiler(base=GIB, each=GIB / 4)
    monkeypatch.setattr(plan_worker, "compile_program", compiler)
    plan, said = make(images_per_device=8)
    # 14.49 GiB may be taken, 1 + 26/2 = 14 GiB with 24 images and whole groups of 4.
    assert plan["largest"]["images"] == 24 and plan["largest"]["program"] == "d_reg"
    assert [c for c in compiler.calls if c[1] == 8] == [
        (name, 8) for name in ("g_main", "d_main", "d_reg", "end")
    ]
    assert compiler.calls[4:] == [("d_reg", 4), ("d_reg", 24)]
    assert (plan["parts"], plan["fits"]) == (1, True)
    assert plan["mean_step_seconds"] == pytest.approx((1 + 1 + 1 / 16 + 1) * 1e-3)
    assert "largest batch: 24 images" in plan_table.describe(plan)
    assert said[:2] == [
        "4 programs for v5e-8, 8 images at a time: a minute or several for each",
        "compiling g_main (1 of 4)",
    ]


@pytest.mark.parametrize(("asked", "taken"), [(None, -1.0), (0.0, 0.0), (-0.5, -0.5)])
def test_the_compilers_effort_is_the_targets_or_what_is_asked(
    monkeypatch, asked, taken
):
    found = []

    class Noting(Compiler):
        def __call__(self, *arguments):
            found.append(jax.config.jax_exec_time_optimization_effort)
            return super().__call__(*arguments)

    before = jax.config.jax_exec_time_optimization_effort
    monkeypatch.setattr(plan_worker, "compile_program", Noting(base=GIB, each=GIB / 4))
    plan, _ = make(images_per_device=8, effort=asked)
    assert plan["effort"] == taken and set(found) == {taken}
    assert jax.config.jax_exec_time_optimization_effort == before
    assert "may fit" not in plan_table.describe(plan)
    missed = plan_table.describe(plan | {"fits": False})
    assert ("--effort 0 compiles" in missed) == (taken != 0)
    told = f"with effort {taken:g}, to wait less" in plan_table.describe(plan)
    assert told == (taken != 0)


def test_a_batch_that_does_not_fit_is_computed_in_parts(monkeypatch):
    compiler = Compiler(base=GIB, each=GIB / 4)
    monkeypatch.setattr(plan_worker, "compile_program", compiler)
    plan, said = make(images_per_device=64)
    assert plan["largest"]["images"] == 24
    assert (plan["parts"], plan["images_at_a_time"], plan["fits"]) == (4, 16, True)
    assert any("4 parts of 16 images" in text for text in said)


def test_parts_that_are_given_are_kept(monkeypatch):
    compiler = Compiler(base=GIB, each=GIB / 4)
    monkeypatch.setattr(plan_worker, "compile_program", compiler)
    overrides = (
        *SMALL,
        "--config.train.batch=512",
        "--config.train.batch_per_device=64",
    )
    plan, _ = make(images_per_device=None, overrides=overrides)
    assert (plan["parts"], plan["fits"], plan["compiles"]) == (1, False, False)
    text = plan_table.describe(plan)
    assert "does not compile, needs 33.00 GiB: RESOURCE_EXHAUSTED" in text
    assert "no time" in text


def test_other_errors_end_the_search(monkeypatch):
    compiler = Compiler(base=0, each=1, error="UNIMPLEMENTED: no such convolution")
    monkeypatch.setattr(plan_worker, "compile_program", compiler)
    plan, _ = make()
    assert len(compiler.calls) == 4 and plan["largest"] is None
    assert not plan["compiles"]
    assert "UNIMPLEMENTED: no such convolution" in plan_table.describe(plan)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"config": "stylegan2_toi"}, {"usage": True}),
        ({"overrides": ("--config.data.labels=true", *SMALL)}, {"usage": True}),
    ],
)
def test_mistakes_go_back_as_sentences(monkeypatch, capsys, changes, answer):
    monkeypatch.setattr(plan_worker, "devices_of", lambda target: jax.devices()[:8])
    request = dataclasses.replace(REQUEST, **changes)
    monkeypatch.setattr(sys, "stdin", io.StringIO(request.to_json()))
    plan_worker.main()
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["usage"] is answer["usage"] and last["error"]


def test_a_plan_says_which_stage_of_a_run_that_grows_it_is_of():
    plan, said = make(config="stylegan1", phases=("end",), search=False)
    assert plan["stage"] == (
        "16x16 from 600 to 25000 kimg, fading in for 600 kimg: batch 32, learning rate "
        "0.001"
    )
    assert f"of the stages this one: {plan['stage']}" in said
    assert f"of its stages: {plan['stage']}" in plan_table.describe(plan)
