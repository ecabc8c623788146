"""Keys depend on root, stream, step and sample, and on nothing else."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.training import rngs
from stylegan_jax.training.rngs import Draw, Stream

# Of HERE's two samples: the keys, and three unit normals of each key's Draw.Z.
GOLDEN_KEYS = [[735693213, 2883564040], [904335560, 2737466717]]
GOLDEN_NORMAL = [
    [1.1772401332855225, -1.09701669216156, -0.14985322952270508],
    [0.9165103435516357, -0.7026748657226562, 1.0251941680908203],
]
HERE = {"root": 0, "stream": Stream.G_MAIN, "step": 5, "index": (0, 7)}


def draw(what=Draw.Z, **changes):
    place = {**HERE, **changes}
    keys = rngs.sample_keys(
        jax.random.key(place["root"]),
        place["stream"],
        jnp.int32(place["step"]),
        jnp.asarray(place["index"], jnp.int32),
    )
    return np.asarray(rngs.normal(rngs.split(keys, what), (3,)))


def test_equal_places_draw_equally():
    np.testing.assert_array_equal(draw(), draw())


@pytest.mark.parametrize(
    "change",
    [
        {"root": 1},
        {"stream": Stream.D_MAIN},
        {"step": 6},
        {"index": (1, 8)},
        {"what": Draw.MIX_Z},
    ],
)
def test_any_other_place_draws_differently(change):
    assert not np.any(draw() == draw(**change))


def test_a_sample_does_not_depend_on_its_neighbours():
    together = draw(index=(3, 1, 4, 0))
    for place, index in enumerate((3, 1, 4, 0)):
        np.testing.assert_array_equal(together[place], draw(index=(index,))[0])


def test_step_may_be_traced():
    def keys(step):
        index = jnp.arange(2)
        return rngs.sample_keys(jax.random.key(0), Stream.D_MAIN, step, index)

    data = jax.random.key_data
    np.testing.assert_array_equal(data(jax.jit(keys)(9)), data(keys(9)))


def test_streams_and_draws_are_numbered_apart():
    everything = {
        tuple(draw(what, stream=stream, index=(0,)).ravel())
        for stream in Stream
        for what in Draw
    }
    assert len(everything) == len(Stream) * len(Draw)


def test_numbers_of_a_run_never_change():
    """A run goes on with other numbers, and no seed means the same, if these change."""
    assert {s.name: int(s) for s in Stream} == {
        "INIT_G": 0,
        "INIT_D": 1,
        "G_MAIN": 3,
        "G_REG": 4,
        "D_MAIN": 5,
        "D_REG": 6,
        "PSP": 7,
        "PIX2PIXHD": 8,
        "POOL": 9,
        "INIT_E": 10,
        "ATTRIBUTES": 11,
        "FACESPACE": 14,
    }
    assert {d.name: int(d) for d in Draw} == {
        "Z": 0,
        "MIX_Z": 1,
        "MIX_CUTOFF": 2,
        "NOISE": 3,
        "PATH": 4,
        "AUGMENT_FAKE": 5,
        "AUGMENT_REAL": 6,
        "MIRROR": 7,
        "DEGRADE": 8,
        "DISTORT": 9,
        "POOL": 10,
        "BETWEEN": 11,
        "BLEND": 14,
    }
    keys = rngs.sample_keys(
        jax.random.key(0), Stream.G_MAIN, jnp.int32(5), jnp.asarray([0, 7])
    )
    np.testing.assert_array_equal(jax.random.key_data(keys), GOLDEN_KEYS)
    np.testing.assert_allclose(draw(), GOLDEN_NORMAL, rtol=1e-5)
