"""A signal is noted, the second one ends, and handlers are put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from stylegan_jax.training.interrupt import StopSignal

BOTH = (signal.SIGTERM, signal.SIGINT)

STUBBORN = """
import os, signal, sys
from stylegan_jax.training.interrupt import StopSignal

number = int(sys.argv[1])
with StopSignal() as stop:
    os.kill(os.getpid(), number)
    print("noted", stop.number, flush=True)
    os.kill(os.getpid(), number)
    print("still here", flush=True)
"""


def handlers():
    return [signal.getsignal(number) for number in BOTH]


@pytest.mark.parametrize("number", BOTH)
def test_is_noted(number):
    with StopSignal() as stop:
        assert stop.number is None and not stop.agreed(0)
        os.kill(os.getpid(), number)
        assert stop.number == number and stop.agreed(1)


def test_handlers_are_put_back():
    before = handlers()
    with StopSignal():
        assert not set(handlers()) & set(before)
    assert handlers() == before


def test_handlers_are_put_back_after_an_error():
    before = handlers()
    with pytest.raises(KeyError), StopSignal():
        raise KeyError
    assert handlers() == before


@pytest.mark.parametrize("number", BOTH)
def test_the_second_ends(number):
    found = subprocess.run(
        [sys.executable, "-c", STUBBORN, str(int(number))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.stdout == f"noted {int(number)}\n", found.stderr
    assert found.returncode == -number
