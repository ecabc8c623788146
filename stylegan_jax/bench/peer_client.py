"""The other end of `peer_process`: starts the peer's Python and asks it for phases."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

from stylegan_jax.errors import UserError, printable

SCRIPT = Path(__file__).with_name("peer_process.py")
# What a checkout of each peer has.
MARKS = {
    "rosinality": ("model.py", "op/__init__.py"),
    "nvlabs": ("training/networks.py", "training/loss.py", "torch_utils/ops"),
}


class PeerProcess:
    """A peer's networks in a process of their own; closed by ``with``.

    Attributes:
        facts: versions and numbers of parameters, as the peer told them.
    """

    def __init__(self, python: str, settings: dict[str, Any]):
        """Starts the process and waits until its networks are there.

        Args:
            python: the interpreter; a path, or a name on the search path.
            settings: see `peer_process.open_peer`.

        Raises:
            UserError: there is no such Python or checkout, or the peer does not start.
        """
        self._name = settings["peer"]
        check_checkout(self._name, settings["checkout"])
        checkout = str(Path(settings["checkout"]).resolve())
        # Whatever the peer writes with a relative name lands here and is removed.
        self._folder = tempfile.TemporaryDirectory(prefix="stylegan-jax-peer-")
        self._errors: IO[bytes] = tempfile.TemporaryFile(dir=self._folder.name)
        self._process: subprocess.Popen[str] | None = None
        try:
            self._process = subprocess.Popen(
                [_interpreter(python), "-B", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=self._folder.name,
                env=_environment(settings["threads"]),
                text=True,
            )
            self.facts = self._ask({**settings, "checkout": checkout})["ready"]
        except BaseException:
            self.close()
            raise

    def seconds(self, phase: str) -> float:
        """Runs a phase once.

        Raises:
            UserError: the peer failed in it.
        """
        return float(self._ask(phase)["seconds"])

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        self._errors.close()
        self._folder.cleanup()

    def __enter__(self) -> PeerProcess:
        """Returns itself."""
        return self

    def __exit__(self, *unused: object) -> None:
        """Closes."""
        self.close()

    def _ask(self, request: Any) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise UserError(
                f"the process of {self._name} ended: {self._last_error()}; check that "
                "--python has PyTorch and what its README asks for."
            )
        answer = json.loads(line)
        if "error" in answer:
            raise UserError(
                f"{self._name} failed: {printable(answer['error'])}; check that "
                "--python has PyTorch and what its README asks for."
            )
        return answer

    def _last_error(self) -> str:
        """The last line that the process wrote to stderr."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return printable(said[-1]) if said else "it said nothing"


def check_checkout(name: str, checkout: str) -> None:
    """Raises `UserError` unless a folder holds the peer's program."""
    absent = [mark for mark in MARKS[name] if not (Path(checkout) / mark).exists()]
    if absent:
        raise UserError(
            f"--{name} {checkout} has no {absent[0]}: give a checkout of its "
            "repository."
        )


def _interpreter(python: str) -> str:
    found = shutil.which(python)
    if found is None:
        raise UserError(
            f"--python {python} is no program: give the path of a Python that has "
            "PyTorch."
        )
    # Not resolved: a virtual environment's python is a link, and is known by its place.
    return os.path.abspath(found)


def _environment(threads: int) -> dict[str, str]:
    """The environment without what would make the other Python another one.

    Where this process has huge pages, the other one has inherited them.
    """
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    if threads:
        kept |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return kept
