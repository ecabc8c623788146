import importlib
import subprocess
import sys

import click
import pytest

from stylegan_jax import __version__
from stylegan_jax.cli import main as main_module
from stylegan_jax.cli.main import COMMANDS, main
from stylegan_jax.errors import UsageError, UserError


def _run(*args, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "stylegan_jax", *args],
        capture_output=True,
        text=True,
        timeout=120,
        **kwargs,
    )


def _exit_code(*args):
    with pytest.raises(SystemExit) as caught:
        main(args)
    return caught.value.code


def _leaves(command):
    """A command itself, or what is in it if it is a group."""
    if not isinstance(command, click.Group):
        return [command]
    return [leaf for sub in command.commands.values() for leaf in _leaves(sub)]


@pytest.fixture
def fails(monkeypatch):
    """Puts a command ``fails`` there that raises what it is given."""

    def install(error):
        @click.command()
        def fails():
            raise error

        group = main_module.LazyGroup
        monkeypatch.setattr(group, "get_command", lambda *_: fails)
        return lambda: _exit_code("fails")

    return install


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_help_and_an_example(name, capsys):
    module, attribute = COMMANDS[name][0].split(":")
    command = getattr(importlib.import_module(module), attribute)
    assert command.get_short_help_str(200) == COMMANDS[name][1]
    assert _exit_code(name, "--help") == 0
    assert COMMANDS[name][1] in capsys.readouterr().out
    for leaf in _leaves(command):
        assert "Example: stylegan-jax" in (leaf.epilog or ""), leaf.name
        for parameter in leaf.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{leaf.name} {parameter.opts} has no help"


def test_help_lists_every_command_and_imports_none():
    code = (
        "import sys; from stylegan_jax.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "finally: assert not {'jax', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, (_, line) in COMMANDS.items():
        assert name in done.stdout and line in done.stdout


def test_python_dash_m_is_the_command():
    done = _run("--version")
    assert done.returncode == 0
    assert done.stdout == f"stylegan-jax, version {__version__}\n"


def test_unknown_command_is_wrong_usage(capsys):
    assert _exit_code("generat") == 2
    assert "generat" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "code"), [(UserError, 1), (UsageError, 2)])
def test_a_users_mistake_is_one_sentence(fails, capsys, kind, code):
    assert fails(kind("a.png is no picture: give another."))() == code
    captured = capsys.readouterr()
    assert captured.err == "error: a.png is no picture: give another.\n"
    assert captured.out == ""


def test_ctrl_c_is_130_without_a_traceback(fails, capsys):
    assert fails(KeyboardInterrupt())() == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(fails):
    with pytest.raises(ZeroDivisionError):
        fails(ZeroDivisionError())()


def test_a_closed_pipe_is_quiet():
    done = subprocess.run(
        f"{sys.executable} -m stylegan_jax --help | true",
        shell=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""


def test_importing_the_package_is_light():
    code = (
        "import sys, stylegan_jax\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules\n"
        "assert callable(stylegan_jax.load)\n"
        "try: stylegan_jax.lod\n"
        "except AttributeError: print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "ok\n", done.stderr
