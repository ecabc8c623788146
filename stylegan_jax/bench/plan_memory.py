"""What a program's memory is taken by, and the largest batch that fits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax

from stylegan_jax.bench import hlo
from stylegan_jax.training.run import Run, State

# Beyond this many images per device nothing is looked for.
MOST_IMAGES = 1024
_CONFIRMATIONS = 3
# A batch that fits is given up for one that is so many times larger.
_WORTH = 1.1

_WRAPPERS = ("shard_map", "jit")
_NOT_TRAINED = ("ema_", "source_")


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of a device's memory while a program runs.

    The sum of the parts is what XLA's ``memory_analysis`` gives: arguments, results
    that take no argument's place, temporaries and code.

    Attributes:
        parameters: that are trained.
        optimiser: the optimisers' state.
        other: of the state, averages above all.
        frozen: weights of frozen networks, which every step takes.
        batch: pictures, labels and keys.
        padding: of arguments, by the layout that the device needs.
        results: beside the new state: figures.
        temporaries: activations, gradients and scratch.
        code: the program itself.
    """

    parameters: int
    optimiser: int
    other: int
    frozen: int
    batch: int
    padding: int
    results: int
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(dataclasses.asdict(self).values())


def state_bytes(state: State) -> dict[str, int]:
    """Bytes of the state: ``parameters``, ``optimiser`` and ``other``."""
    found = {"parameters": 0, "optimiser": 0, "other": 0}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        found[_group(path)] += _bytes(leaf)
    return found


def changed_parameters(program: Any, state: State) -> int:
    """Bytes of the trained parameters that a traced step gives back changed.

    Args:
        program: of a step ``(state, …) -> (state, …)``, traced and wrapped by
            ``spmd.data_parallel`` or not at all.
        state: its first argument's shapes.
    """
    jaxpr = program.jaxpr
    # The state comes first, among arguments and results alike.
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return sum(
        _bytes(leaf)
        for place, (path, leaf) in enumerate(leaves)
        if _group(path) == "parameters"
        and _source(jaxpr, jaxpr.outvars[place]) is not jaxpr.invars[place]
    )


def memory_of(compiled: Any, module: hlo.Module, state: State, run: Run) -> Memory:
    """Splits what ``memory_analysis`` says of a compiled program.

    Args:
        compiled: ``jax.stages.Compiled``.
        module: its text.
        state: shapes of the state, all of which a step takes.
        run: what it was compiled for.
    """
    analysis = compiled.memory_analysis()
    entry = module.computations[module.entry].values()
    given = sum(hlo.bytes_of(i.shape) for i in entry if i.opcode == "parameter")
    parts = state_bytes(state)
    # Counters that a program does not look at are no arguments of it.
    parts["other"] -= max(sum(parts.values()) - given, 0)
    frozen = sum(map(_bytes, jax.tree.leaves(run.constants())))
    rest = given - sum(parts.values())
    frozen = min(frozen, rest)
    return Memory(
        **parts,
        frozen=frozen,
        batch=rest - frozen,
        padding=analysis.argument_size_in_bytes - sum(parts.values()) - rest,
        results=analysis.output_size_in_bytes - analysis.alias_size_in_bytes,
        temporaries=analysis.temp_size_in_bytes,
        code=analysis.generated_code_size_in_bytes,
    )


@dataclasses.dataclass(frozen=True)
class Largest:
    """The largest number of images that a device can compute with at a time.

    Attributes:
        images: 0 where not even the smallest number fits; None where it is not known.
        need: bytes at that number, as compiled; None where nothing was.
        program: the one that needs most, of which this is found.
        tried: images to bytes, everything that was compiled or failed to fit.
        capped: whether more was not looked for.
        why: why it is not known.
    """

    images: int | None
    need: int | None
    program: str
    tried: dict[int, int]
    capped: bool = False
    why: str | None = None


# Compiles the program at a number of images: bytes it needs, and whether it compiles.
Attempt = Callable[[int], tuple[int | None, bool]]


def largest_batch(
    attempt: Attempt, first: tuple[int, int], unit: int, limit: float, program: str
) -> Largest:
    """Finds the largest number of images by a line through two small ones.

    What the line gives is compiled; where that does not fit, the line is drawn anew
    through what was learnt, at most three times.

    Args:
        attempt: compiles at a number of images.
        first: a number of images and the bytes it needs.
        unit: images come in multiples of this.
        limit: bytes that may be taken.
        program: for the result.
    """
    tried = dict([first])
    images = first[0]
    if images >= 2 * unit:
        other = images // 2 // unit * unit
    else:
        other = 2 * images if first[1] <= limit else unit
    if other == images:
        return Largest(0, None, program, tried)
    need, _ = attempt(other)
    if need is None:
        why = f"with {other} images it does not compile"
        return Largest(None, None, program, tried, why=why)
    tried[other] = need
    best = max((n for n, b in tried.items() if b <= limit), default=0)
    confirmed: set[int] = set()
    for _ in range(_CONFIRMATIONS):
        guess = min(_extrapolate(tried, unit, limit), MOST_IMAGES // unit * unit)
        failed = [n for n, b in tried.items() if b > limit]
        guess = min(guess, min(failed, default=guess + unit) - unit)
        if not best and unit not in tried:
            guess = max(guess, unit)
        if guess <= best or (best in confirmed and guess < _WORTH * best):
            break
        need, compiles = attempt(guess)
        if need is None:
            why = f"with {guess} images it does not compile"
            return Largest(None, None, program, tried, why=why)
        tried[guess] = need
        if need <= limit and compiles:
            best = guess
            confirmed.add(guess)
    capped = best == MOST_IMAGES // unit * unit
    return Largest(best, tried.get(best), program, tried, capped)


def _extrapolate(tried: dict[int, int], unit: int, limit: float) -> int:
    """Where the line through the two largest numbers meets the limit."""
    (low, below), (high, above) = sorted(tried.items())[-2:]
    slope = (above - below) / (high - low)
    if slope <= 0:
        return MOST_IMAGES
    return max(int(low + (limit - below) / slope) // unit * unit, 0)


def _group(path: Any) -> str:
    """What part of a state a leaf belongs to, by its field's name."""
    name = re.sub(r"\W.*", "", jax.tree_util.keystr(path[:1]).strip(".[]'\""))
    if name == "opt" or name.endswith("_opt"):
        return "optimiser"
    if name.endswith("params") and not name.startswith(_NOT_TRAINED):
        return "parameters"
    return "other"


def _source(jaxpr: Any, variable: Any) -> Any:
    """The argument that a program gives back as ``variable``; None for what is new."""
    if any(variable is v for v in jaxpr.invars):
        return variable
    for eqn in jaxpr.eqns:
        for place, result in enumerate(eqn.outvars):
            if result is not variable or eqn.primitive.name not in _WRAPPERS:
                continue
            inner = getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"])
            found = _source(inner, inner.outvars[place])
            # Constants of the program may stand in front of the inner arguments.
            for outer, argument in zip(eqn.invars, inner.invars, strict=True):
                if argument is found:
                    return _source(jaxpr, outer)
    return None


def _bytes(leaf: Any) -> int:
    return leaf.size * leaf.dtype.itemsize
