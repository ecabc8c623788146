"""A signal is noted, its echo changes nothing, handlers are put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from stylegan_jax.training.interrupt import StopSignal

BOTH = (signal.SIGTERM, signal.SIGINT)

STUBBORN = """
import os, signal, sys, time
from stylegan_jax.training.interrupt import StopSignal

pause, first, second = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with StopSignal() as stop:
    os.kill(os.getpid(), first)
    print("noted", stop.number, flush=True)
    time.sleep(pause)
    os.kill(os.getpid(), second)
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


def stubborn(*numbers, pause):
    words = [str(int(n)) for n in numbers]
    return subprocess.run(
        [sys.executable, "-c", STUBBORN, str(pause), *words],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_impatient_second_ctrl_c_ends():
    found = stubborn(signal.SIGTERM, signal.SIGINT, pause=1.2)
    assert found.stdout == "noted 15\n", found.stderr
    assert "KeyboardInterrupt" in found.stderr


@pytest.mark.parametrize(
    "numbers, pause",
    [((signal.SIGTERM, signal.SIGTERM), 1.2), ((signal.SIGINT, signal.SIGINT), 0)],
)
def test_schedulers_and_terminals_may_repeat_a_signal(numbers, pause):
    found = stubborn(*numbers, pause=pause)
    assert found.stdout == f"noted {int(numbers[0])}\nstill here\n", found.stderr
    assert found.returncode == 0
