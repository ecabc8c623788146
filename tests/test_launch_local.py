"""`launch/local.sh` with a stand-in program: what it sets, forwards and returns."""

import os
import signal
import subprocess
import time

import pytest

# Writes what it was given, then does what its first argument says.
STAND_IN = r"""#!/usr/bin/env bash
echo "rank $STYLEGAN_JAX_PROCESS_ID of $STYLEGAN_JAX_NUM_PROCESSES" \
  "at $STYLEGAN_JAX_COORDINATOR flags ${XLA_FLAGS:-} runs $*"
case $1 in
  fail)
    if [ "$STYLEGAN_JAX_PROCESS_ID" = 1 ]; then exit 7; fi
    sleep 60 & wait ;;
  stubborn)
    if [ "$STYLEGAN_JAX_PROCESS_ID" = 1 ]; then exit 5; fi
    trap '' TERM
    for _ in $(seq 300); do sleep 0.2; done ;;
  save)
    trap 'echo saved; exit 0' TERM INT
    for _ in $(seq 300); do sleep 0.1; done ;;
esac
"""


@pytest.fixture
def launch(tmp_path, repo_root):
    program = tmp_path / "stand-in"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    env = os.environ | {"STYLEGAN_JAX": str(program), "GRACE": "1"}
    started = []
    # A shell that runs the tests in the background has SIGINT ignored; children inherit
    # that, and bash cannot undo it. A handler of ours becomes their default.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(*args):
        process = subprocess.Popen(
            [str(repo_root / "launch" / "local.sh"), *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        started.append(process)
        return process

    yield start
    signal.signal(signal.SIGINT, before)
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_each_process_knows_its_place(launch):
    process = launch(
        "2", "--devices-per-process", "3", "--", "train", "--workdir", "a b"
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    lines = sorted(out.splitlines())
    assert len(lines) == 2
    for rank, line in enumerate(lines):
        assert line.startswith(f"[{rank}] rank {rank} of 2 at 127.0.0.1:")
        # The last of several equal flags counts.
        assert "--xla_force_host_platform_device_count=3 runs" in line
        assert line.endswith("runs train --workdir a b")
    assert lines[0].split(" at ")[1].split()[0] == lines[1].split(" at ")[1].split()[0]


@pytest.mark.parametrize(("what", "code"), [("fail", 7), ("stubborn", 5)])
def test_a_failure_ends_the_others_and_is_the_exit_code(launch, what, code):
    start = time.monotonic()
    process = launch("3", "--", what)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == (
        f"launch/local.sh: a process ended with code {code}; ending the other 2\n"
    )
    # Far under the minute that they would have gone on.
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_reach_every_process_which_may_save(launch, name):
    process = launch("2", "--", "save")
    first = [process.stdout.readline() for _ in range(2)]
    assert all("runs save" in line for line in first)
    process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert {"[0] saved", "[1] saved"} <= set(out.splitlines())


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "say how many processes to start"),
        (["two", "--", "train"], "'two' is not a number of processes"),
        (
            ["2", "train"],
            "unknown option 'train': what belongs to the command comes after --",
        ),
        (
            ["2", "--devices-per-process", "--", "train"],
            "--devices-per-process needs a number",
        ),
        (["2", "--"], "say the command after --"),
    ],
)
def test_a_wrong_command_line_is_said_in_one_sentence(launch, args, sentence):
    process = launch(*args)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.startswith(f"launch/local.sh: {sentence}")


def test_help_shows_an_example(launch):
    out, _ = launch("--help").communicate(timeout=60)
    assert "launch/local.sh 2 --devices-per-process 2 -- train" in out
