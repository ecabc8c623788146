"""What the tests of feature networks share: small states, with and without faults."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def random_state(
    shapes: Mapping[str, tuple[int, ...]], seed: int = 0
) -> dict[str, np.ndarray]:
    """Tensors of these shapes that keep activations near 1; variances are positive."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = np.zeros(shape, np.int64)
            continue
        value = rng.standard_normal(shape).astype(np.float32)
        if len(shape) > 1:
            value *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
        elif name.endswith("running_var"):
            value = np.float32(0.5) + np.abs(value)
        elif name.endswith("weight"):
            value = 1 + np.float32(0.1) * value
        else:
            value *= np.float32(0.1)
        state[name] = value
    return state


def assert_same_tensors(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    """Names, types, shapes and every bit."""
    assert set(found) == set(expected)
    for name, want in expected.items():
        have = found[name]
        assert (have.dtype, have.shape) == (want.dtype, want.shape), name
        assert have.tobytes() == np.ascontiguousarray(want).tobytes(), name


class Faulty:
    """Three faults in one state: a tensor gone, one too many, one misshapen."""

    def __init__(self, state: Mapping[str, np.ndarray], gone: str, bent: str):
        self.state = {name: v for name, v in state.items() if name != gone}
        self.state["surplus.weight"] = np.zeros(3, np.float32)
        self.state[bent] = np.zeros((*state[bent].shape, 1), np.float32)
        self.names = (gone, "surplus.weight", bent)
