"""Choice of an operator's implementation, for each platform it may be lowered for."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

import jax
from jax import lax

_LOG = logging.getLogger(__name__)
_KERNELS = contextvars.ContextVar("kernels", default=True)


@dataclasses.dataclass(frozen=True)
class Choice:
    """An implementation and why it was taken."""

    implementation: str
    reason: str


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """What is traced within it takes XLA's form wherever no other one is named.

    For comparing, and for chips that the tables do not know. A function that was jitted
    and called before keeps what it was traced with.
    """
    token = _KERNELS.set(False)
    try:
        yield
    finally:
        _KERNELS.reset(token)


def kernels_allowed() -> bool:
    """Whether tables may choose a kernel here."""
    return _KERNELS.get()


def check_name(op: str, names: Iterable[str], implementation: str | None) -> None:
    """Raises ``ValueError`` unless the name is None or one of ``names``."""
    names = tuple(names)
    if implementation is not None and implementation not in names:
        known = ", ".join(names)
        raise ValueError(
            f"{op} has no implementation '{implementation}', choose from {known}."
        )


def run(
    op: str,
    choices: Mapping[str, Choice],
    functions: Mapping[str, Callable[..., jax.Array]],
    *args,
) -> jax.Array:
    """Runs what was chosen for the platform that the program is lowered for.

    The platform is known only when a program is lowered, which may be for a chip that
    this machine does not have. Only the chosen function is lowered; all that differ are
    traced. Logs every choice, with its reason, at level DEBUG.

    Args:
        op: the operator's name, for the log.
        choices: platform (cpu, cuda, rocm, tpu) to choice; "default" for all others.
        functions: implementation to function of ``args``.
        *args: arrays or trees of them.
    """
    for platform, choice in choices.items():
        _LOG.debug(
            "%s on %s: %s, %s", op, platform, choice.implementation, choice.reason
        )
    chosen = {p: functions[choice.implementation] for p, choice in choices.items()}
    if len({choice.implementation for choice in choices.values()}) == 1:
        return chosen["default"](*args)
    return lax.platform_dependent(*args, **chosen)
