"""Lines where nobody watches, a bar on a terminal, silence where it is asked for."""

from __future__ import annotations

import io
import sys

import pytest

from stylegan_jax.training.progress import Progress

SHOWN, RARE = ("loss/g_main", "loss/d_main"), ("swd/mean",)
FIGURES = {
    "nimg": 1504,
    "kimg": 1.504,
    "epochs": 7.52,
    "images_per_second": 100.0,
    "loss/g_main": 1.25,
    "loss/d_main": None,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def watch(monkeypatch, stream, **figures):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "40")
    progress = Progress(1.5, shown=True)
    progress.start(1000, shown=SHOWN, rare=RARE)
    progress.advance(504)
    progress.tick(FIGURES | figures)
    progress.close()
    return stream.getvalue()


def test_lines_when_piped(monkeypatch):
    said = watch(monkeypatch, io.StringIO())
    assert said == (
        "    1.50 of 1.5 kimg, epoch 7.5    100.0 images/s     0.0 min left"
        "  loss/g_main 1.250\n"
    )


def test_a_bar_on_a_terminal_ends_at_its_end(monkeypatch):
    said = watch(monkeypatch, Terminal())
    assert "1.00/1.50 kimg" in said and "1.50/1.50 kimg" in said
    assert "100.0 images/s  loss/g_main 1.250" in said
    assert "-00:0" not in said and "min left" not in said


def test_measures_have_a_line_above_the_bar(monkeypatch):
    figures = {"loss/d_main": 0.5, "swd/mean": 42.0}
    assert "swd/mean 42.000" in watch(monkeypatch, Terminal(), **figures)


@pytest.mark.parametrize("call", [lambda p: p.say("x"), lambda p: p.tick(FIGURES)])
def test_silence(capsys, call):
    progress = Progress(1.5, shown=False)
    progress.start(0, shown=SHOWN, rare=RARE)
    progress.advance(8)
    call(progress)
    progress.close()
    assert capsys.readouterr().err == ""
