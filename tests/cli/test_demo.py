"""``stylegan-jax demo``: options in, exit codes out; the demo itself is elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stylegan_jax.cli.main import cli, main
from stylegan_jax.pipelines import demo


@pytest.fixture
def asked(monkeypatch):
    """Records what the library is asked for; ``found`` is what it answers."""
    calls: dict = {"found": demo.Demo(Path("d/report.html"))}

    def run_demo(workdir, *, say, **options):
        calls.update(options, workdir=workdir)
        say("drawing faces")
        return calls["found"]

    monkeypatch.setattr(demo, "run_demo", run_demo)
    return calls


def test_finished(asked):
    found = CliRunner().invoke(cli, ["demo", "--workdir", "d", "--fast", "--seed", "7"])
    assert found.exit_code == 0
    assert found.stdout == "d/report.html: open it in a browser\n"
    assert found.stderr == "drawing faces\n"
    del asked["found"]
    assert asked == {
        "workdir": Path("d"), "fast": True, "seed": 7, "show_progress": True,
    }  # fmt: skip


def test_quiet(asked):
    found = CliRunner().invoke(cli, ["demo", "--quiet"])
    assert found.stderr == "" and not asked["show_progress"]
    assert asked["workdir"] == Path("demo") and not asked["fast"]


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_stopped(asked, capsys, number, code):
    asked["found"] = demo.Demo(None, number)
    with pytest.raises(SystemExit) as caught:
        main(["demo"])
    assert caught.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "stopped, everything is saved: run the same command to go on" in err


def test_a_file_is_no_workdir(tmp_path):
    file = tmp_path / "file"
    file.touch()
    assert CliRunner().invoke(cli, ["demo", "--workdir", str(file)]).exit_code == 2
