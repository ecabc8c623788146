"""The process that compiles: what it is given, what is made of how it ends."""

import dataclasses

import pytest

from stylegan_jax.bench import plan as library
from stylegan_jax.bench import targets
from stylegan_jax.errors import MissingExtra, UsageError, UserError

REQUEST = library.Request(
    config="stylegan2_toy", overrides=(), target="v5e-8", phases=("g_main",)
)


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Lets a module of a few lines stand in for the compiling process."""
    monkeypatch.setattr(library, "need_compiler", lambda target: None)
    monkeypatch.setattr(library, "_WORKER", "stand_in")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(text):
        (tmp_path / "stand_in.py").write_text("import json, os, sys\n" + text)

    return write


def test_lines_are_handed_on_and_the_plan_given_back(worker):
    worker(
        "given = json.loads(sys.stdin.read())\n"
        'print("libtpu says hello")\n'
        'print(json.dumps({"say": "compiling"}))\n'
        'print(json.dumps({"plan": given}))\n'
    )
    said = []
    found = library.plan(REQUEST, said.append)
    assert said == ["compiling"]
    assert library.Request(**{**found, "overrides": (), "phases": ("g_main",)}) == (
        REQUEST
    )


@pytest.mark.parametrize(("usage", "kind"), [(True, UsageError), (False, UserError)])
def test_mistakes_come_back_as_what_they_were(worker, usage, kind):
    worker(f'print(json.dumps({{"error": "no.", "usage": {usage}}}))\n')
    with pytest.raises(UserError, match="no.") as caught:
        library.plan(REQUEST)
    assert type(caught.value) is kind


def test_a_bug_keeps_its_traceback(worker):
    worker('raise KeyError("lost")\n')
    with pytest.raises(RuntimeError, match="KeyError: 'lost'"):
        library.plan(REQUEST)


def test_a_process_that_was_killed_is_told_in_a_sentence(worker):
    worker("os.kill(os.getpid(), 9)\n")
    with pytest.raises(UserError, match="signal 9, .*memory.*--phases"):
        library.plan(REQUEST)


def test_the_environment_is_the_compilers():
    own = {"XLA_FLAGS": "--xla_x", "HOME": "/h", "JAX_PLATFORMS": "cuda"}
    assert library.worker_environment(own) == {"HOME": "/h", **targets.ENVIRONMENT}


def test_a_request_survives_the_way():
    request = dataclasses.replace(REQUEST, overrides=("--config.a=1",), search=False)
    assert library.Request.from_json(request.to_json()) == request


def test_the_real_process_starts_and_refuses(monkeypatch):
    monkeypatch.setattr(library, "need_compiler", lambda target: None)
    request = dataclasses.replace(REQUEST, config="stylegan2_toi")
    with pytest.raises(UsageError, match="no configuration 'stylegan2_toi'"):
        library.plan(request)


def test_a_missing_compiler_is_told_before_anything_starts(monkeypatch):
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(MissingExtra, match="stylegan_jax\\[tpu\\]"):
        library.plan(REQUEST)


@pytest.mark.parametrize(
    ("compiles", "fits", "code"), [(True, True, 0), (True, False, 1), (False, False, 1)]
)
def test_exit_code_says_whether_the_run_would_go(compiles, fits, code):
    assert library.exit_code({"compiles": compiles, "fits": fits}) == code
