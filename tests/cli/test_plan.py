"""``stylegan-jax plan`` as a user types it."""

import json

import pytest
from click.testing import CliRunner

from stylegan_jax.bench import plan as library
from stylegan_jax.bench import plan_table
from stylegan_jax.cli.plan import plan
from stylegan_jax.errors import MissingExtra, UsageError


@pytest.fixture
def asked(monkeypatch):
    requests = []

    def fake(request, say):
        requests.append(request)
        say("g_main compiled in 1 s")
        return {"compiles": True, "fits": len(requests) == 1}

    monkeypatch.setattr(library, "plan", fake)
    monkeypatch.setattr(plan_table, "describe", lambda found: "a table")
    return requests


WORDS = ["--config", "stylegan2_auto", "--target", "v5e-8"]


def test_words_become_a_request(asked):
    more = [
        "--config.data.resolution=1024",
        "--batch-per-device",
        "4",
        "--phases",
        "g_main, end",
        "--no-search",
    ]
    done = CliRunner().invoke(plan, [*WORDS, *more])
    assert done.stdout == "a table\n" and "g_main compiled" in done.stderr
    assert asked == [
        library.Request(
            config="stylegan2_auto",
            overrides=("--config.data.resolution=1024",),
            target="v5e-8",
            images_per_device=4,
            phases=("g_main", "end"),
            search=False,
        )
    ]


def test_json_is_one_object(asked):
    done = CliRunner().invoke(plan, [*WORDS, "--json"])
    assert json.loads(done.stdout) == {"compiles": True, "fits": True}


def test_the_exit_code_says_whether_the_run_would_go(asked):
    runner = CliRunner()
    codes = [
        runner.invoke(plan, WORDS, standalone_mode=False).return_value for _ in range(2)
    ]
    assert codes == [0, 1]


def test_refusals():
    runner = CliRunner()
    done = runner.invoke(plan, ["--config", "stylegan2_auto", "--target", "b200"])
    assert isinstance(done.exception, UsageError)
    assert "v6e-8" in str(done.exception)


def test_a_missing_compiler_says_what_installs_it(monkeypatch):
    def absent(target):
        raise MissingExtra("libtpu", "tpu", "A plan for v5e-8")

    monkeypatch.setattr(library, "need_compiler", absent)
    done = CliRunner().invoke(plan, WORDS)
    assert isinstance(done.exception, MissingExtra)
    assert done.exception.exit_code == 1
