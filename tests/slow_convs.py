"""Finds convolutions that XLA's CPU backend runs through a loop."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp

# XLA's CPU backend hands a convolution to a tuned contraction where the operands lie in
# the canonical layout and nothing is reversed; all else becomes a loop, up to 200 times
# slower. Strides, dilation and asymmetric padding lead there: if not in this program
# then in its derivatives.

CANONICAL = "b01f_01io->b01f"
OPERATION = re.compile(r" = (?P<type>\w+)\[[^=]* convolution\(")


def convolutions(text):
    """The lines of optimised HLO that are convolutions."""
    return [line.strip() for line in text.splitlines() if OPERATION.search(line)]


def slow(text):
    """Those that the CPU backend runs through a loop, or their derivatives."""
    found = []
    for line in convolutions(text):
        window = re.search(r"window=\{([^}]*)\}", line)
        fields = dict(f.split("=") for f in window.group(1).split()) if window else {}
        pads = [p.split("_") for p in fields.get("pad", "0_0").split("x")]
        usual = (
            set(fields) <= {"size", "pad", "stride"}
            and set(fields.get("stride", "1").split("x")) == {"1"}
            and all(low == high and int(low) >= 0 for low, high in pads)
            and f"dim_labels={CANONICAL}" in line
            and OPERATION.search(line)["type"] in ("f16", "f32")
        )
        if not usual:
            found.append(line)
    return found


def compiled(f, order, *args):
    """Optimised HLO of f, its gradient, or the gradient of its gradient's norm."""

    def loss(*args):
        return jnp.sum(jnp.sin(f(*args).astype(jnp.float32)))

    def norm(*args):
        gradients = jax.grad(loss, (0, 1))(*args)
        return sum(jnp.sum(jnp.square(g.astype(jnp.float32))) for g in gradients)

    program = [f, jax.grad(loss, (0, 1)), jax.grad(norm, (0, 1))][order]
    cpu = jax.devices("cpu")[0]
    with jax.default_device(cpu):
        return jax.jit(program).lower(*args).compile().as_text()
