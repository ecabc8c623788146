import os
import signal
import subprocess
import sys
import time

import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.faces.processes import process_map


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    indices = [-3, -1, -2, -9, -5, -4, -8, -7, -6, -10]
    found = list(process_map(abs, indices, workers=workers))
    assert found == [-index for index in indices]
    assert list(process_map(abs, [], workers=workers)) == []


def test_a_process_that_is_killed():
    with pytest.raises(UserError, match="was killed, probably for lack of memory"):
        list(process_map(os._exit, [1, 2], workers=2))


def test_what_the_work_raises():
    with pytest.raises(TypeError):
        list(process_map(len, [1, 2], workers=2))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_processes_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "sleepers.py"
    script.write_text(
        "import os, sys, time\n"
        "from stylegan_jax.faces.processes import process_map\n"
        "def work(index):\n"
        f"    open({str(tmp_path)!r} + f'/pid{{index}}', 'w').write(str(os.getpid()))\n"
        "    time.sleep(0 if index < 2 else 60)\n"
        "if __name__ == '__main__':\n"
        "    list(process_map(work, list(range(4)), workers=2))\n"
    )
    with subprocess.Popen([sys.executable, str(script)]) as parent:
        _until(lambda: (tmp_path / "pid3").exists() and (tmp_path / "pid2").exists())
        parent.kill()
    pids = {int((tmp_path / f"pid{i}").read_text() or 0) for i in (2, 3)}
    _until(lambda: not any(_runs(pid) for pid in pids))


def _until(holds):
    """Waits for something, at most 30 seconds."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # An orphan that ended counts until somebody has asked for its exit code.
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
