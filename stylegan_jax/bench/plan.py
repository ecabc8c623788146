"""Plans a training run for chips that are not here."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import IO, Any, Self

from stylegan_jax.bench.targets import (
    ENVIRONMENT,
    REMOVED,
    find_target,
    need_compiler,
)
from stylegan_jax.errors import UsageError, UserError

_WORKER = "stylegan_jax.bench.plan_worker"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be planned.

    Attributes:
        config: ``NAME_OR_FILE[:ARG]``.
        overrides: words like ``--config.train.batch=16``.
        target: a name of `targets.TARGETS`.
        images_per_device: sets the batch; None for the configuration's own.
        phases: names of programs; none for all.
        search: whether to look for the largest batch.
        effort: how hard the compiler tries, from -1 to 0, which is how `train` has it;
            None leaves it to the target.
    """

    config: str
    overrides: tuple[str, ...]
    target: str
    images_per_device: int | None = None
    phases: tuple[str, ...] = ()
    search: bool = True
    effort: float | None = None

    def to_json(self) -> str:
        """As text, for another process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        given = json.loads(text)
        for name in ("overrides", "phases"):
            given[name] = tuple(given[name])
        return cls(**given)


def plan(
    request: Request, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Compiles a training step for a target in a process of its own.

    Args:
        request: what is to be planned.
        say: called with a line of text as the work goes on.

    Returns:
        JSON values, see docs/plan.md.

    Raises:
        UserError: for what the run itself refuses, or a process that was ended.
        UsageError: for an unknown target, phase or configuration.
        MissingExtra: the target's compiler is not installed.
    """
    need_compiler(find_target(request.target))
    with (
        tempfile.TemporaryFile("w+", errors="replace") as log,
        subprocess.Popen(
            [sys.executable, "-m", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=worker_environment(os.environ),
            text=True,
        ) as worker,
    ):
        try:
            found = _converse(worker, request, say)
        finally:
            # Also where a person has had enough: no compiler is left behind.
            worker.kill()
        if found is None:
            raise _ended(worker.returncode, log)
    if "error" in found:
        raise (UsageError if found["usage"] else UserError)(found["error"])
    return found["plan"]


def worker_environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process that compiles."""
    kept = {name: value for name, value in own.items() if name not in REMOVED}
    return {**kept, **ENVIRONMENT}


def _converse(
    worker: subprocess.Popen, request: Request, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """Hands over the request and the lines; the last answer, or None."""
    assert worker.stdin is not None and worker.stdout is not None
    found = None
    # Where it has ended already, its exit code and its last words tell why.
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(request.to_json())
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.close()
    for line in worker.stdout:
        try:
            answer = json.loads(line)
        except ValueError:
            continue  # a library's own words
        if not isinstance(answer, dict):
            continue
        if "say" in answer:
            say(answer["say"])
        elif "plan" in answer or "error" in answer:
            found = answer
    worker.wait()
    return found


def _ended(code: int, log: IO[str]) -> Exception:
    """What to raise for a worker that ended without an answer."""
    log.seek(0)
    text = log.read()
    if code >= 0:
        return RuntimeError(f"the compiling process failed:\n{text}")
    how = f"was ended by signal {-code}"
    if code == -signal.SIGKILL:
        how += ", as happens where the machine's memory does not suffice"
    return UserError(
        f"The compiling process {how}: free memory on this machine, or plan fewer "
        "programs at a time with --phases."
    )


def exit_code(found: dict[str, Any]) -> int:
    """0 where the run would compile and fit, else 1."""
    return 0 if found["compiles"] and found["fits"] else 1
