"""Choice of an operator's implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax


def call(
    op: str,
    implementations: Mapping[str, Callable[..., jax.Array]],
    implementation: str | None,
    *args,
    **kwargs,
) -> jax.Array:
    """Runs the named implementation, or the first of the table that accepts the call.

    Args:
        op: the operator's name, for messages.
        implementations: name to function, in the order of preference. A function that
            cannot serve a call raises ``NotImplementedError`` with the reason.
        implementation: a name of the table, or None to choose.

    Raises:
        ValueError: for an unknown name.
        NotImplementedError: when the named implementation, or every one, declines.
    """
    if implementation is not None:
        if implementation not in implementations:
            known = ", ".join(implementations)
            raise ValueError(
                f"{op} has no implementation '{implementation}', choose from {known}."
            )
        return implementations[implementation](*args, **kwargs)
    reasons = []
    for name, function in implementations.items():
        try:
            return function(*args, **kwargs)
        except NotImplementedError as reason:
            reasons.append(f"{name}: {reason}")
    raise NotImplementedError(f"No implementation of {op} serves this call: {reasons}.")
