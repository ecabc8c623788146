import json

import pytest
from click.testing import CliRunner

from stylegan_jax.bench import compare, input_pipeline, operators, peers
from stylegan_jax.bench import throughput_generate as generating
from stylegan_jax.bench import throughput_train as training
from stylegan_jax.bench.report import make_report
from stylegan_jax.bench.timing import timing_of
from stylegan_jax.cli.bench import bench
from stylegan_jax.errors import UsageError, UserError


@pytest.fixture
def asked(monkeypatch):
    """What the library was asked for; it answers with a report of one row."""
    calls = {}

    def answer(name):
        def run(*args, say, progress=None, **kwargs):
            calls["args"], calls["kwargs"] = args, kwargs
            say("working")
            row = {"name": "row", "seconds": timing_of([2.0]).to_json()}
            return make_report(name, {}, None, {"keeps_up": kwargs.get("ok")}, [row])

        return run

    for module, function in (
        (generating, "bench_generate"),
        (training, "bench_train"),
        (operators, "bench_operators"),
        (input_pipeline, "bench_data"),
        (peers, "bench_peers"),
    ):
        monkeypatch.setattr(module, function, answer(function))
        monkeypatch.setattr(module, "describe", lambda report: ["a table"])
    monkeypatch.setattr(generating, "random_generator", lambda config: config)
    monkeypatch.setattr(generating, "open_generator", lambda model, dtype: model)
    return calls


def run(*words):
    return CliRunner().invoke(bench, words, catch_exceptions=False)


COMMANDS = (
    ("generate", "--config", "stylegan2", "--resolution", "64"),
    ("train", "--config", "stylegan2"),
    ("ops",),
    ("data", "photos"),
    ("peers", "--python", "python"),
)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_table_goes_out_and_progress_goes_aside(asked, words):
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert done.stdout == "a table\n" and "working" in done.stderr


@pytest.mark.parametrize("words", COMMANDS)
def test_json_is_one_object_and_out_is_the_same(asked, words, tmp_path):
    done = run(*words, "--json", "--out", str(tmp_path / "r.json"))
    assert json.loads(done.stdout) == compare.read_report(tmp_path / "r.json")


def test_an_earlier_report_is_compared_with(asked, tmp_path):
    file = str(tmp_path / "r.json")
    run("ops", "--out", file)
    done = run("ops", "--compare", file)
    assert "a table" in done.stdout and "row  1.00x" in done.stdout
    found = json.loads(run("ops", "--compare", file, "--json").stdout)
    assert found["compared"]["ratios"] == {"row": 1.0}


def test_a_wrong_earlier_report_is_refused_before_anything_is_measured(asked):
    with pytest.raises(UserError, match="cannot read the report nowhere.json"):
        run("ops", "--compare", "nowhere.json")
    assert not asked


def test_options_reach_the_configuration(asked):
    run(
        *("train", "--config", "stylegan2", "--resolution", "64", "--batch", "8"),
        *("--dtype", "bfloat16", "--config.loss.r1_gamma=3", "--repeats", "4"),
    )
    (config,), kwargs = asked["args"], asked["kwargs"]
    assert config.data.resolution == 64 and config.train.batch == 8
    assert config.train.precision == "bfloat16" and config.loss.r1_gamma == 3
    assert kwargs["budget"].repeats == 4 and kwargs["source"] == "stylegan2"


def test_generate_takes_a_model_or_a_configuration(asked):
    run("generate", "--config", "stylegan2", "--config.model.channel_base=64")
    assert asked["args"][0].model.channel_base == 64
    run("generate", "g.safetensors", "--seconds", "1", "--noise", "random")
    assert asked["args"] == ("g.safetensors",)
    assert asked["kwargs"]["budget"].seconds == 1
    assert asked["kwargs"]["noise_mode"] == "random"


@pytest.mark.parametrize(
    "words",
    [
        ("generate",),
        ("generate", "a", "b"),
        ("generate", "a", "--config", "stylegan2"),
        ("generate", "a", "--resolution", "64"),
        ("generate", "a", "--config.train.seed=1"),
    ],
)
def test_generate_refuses_what_does_not_go_together(asked, words):
    with pytest.raises(UsageError):
        run(*words)


@pytest.mark.parametrize(("reached", "code"), [(True, 0), (None, 0), (False, 1)])
def test_a_pipeline_that_is_too_slow_fails(asked, monkeypatch, reached, code):
    slow = make_report("data", {}, None, {"keeps_up": reached}, [])
    monkeypatch.setattr(input_pipeline, "bench_data", lambda *a, **k: slow)
    assert run("data", "photos", "--rate", "9").exit_code == code


def test_orders_and_phases_are_lists(asked):
    run("ops", "--orders", "forward, second", "--only", "*/b8/*")
    assert asked["kwargs"]["orders"] == ["forward", "second"]
    run("peers", "--python", "p", "--phases", "g_main,end")
    assert asked["kwargs"]["phases"] == ["g_main", "end"]


@pytest.mark.parametrize("words", COMMANDS)
def test_help_has_an_example(words):
    said = " ".join(run(words[0], "--help").stdout.split())
    assert f"Example: stylegan-jax bench {words[0]} " in said


def test_unknown_options_are_wrong_usage():
    assert CliRunner().invoke(bench, ["ops", "--speed", "9"]).exit_code == 2
