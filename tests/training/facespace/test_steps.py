import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stylegan_jax.training.facespace.state import Leaves
from stylegan_jax.training.facespace.steps import (
    looked_at,
    move_leaves,
    with_constant,
)


def test_leaves_move_as_adam_does_and_others_rest():
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 2, 4)).astype(np.float32)
    zeros = jnp.zeros_like(w)
    leaves = Leaves(w=jnp.asarray(w), mu=zeros, nu=zeros, count=jnp.zeros(3, jnp.int32))
    adam = optax.adam(0.1)
    own = {i: (jnp.asarray(w[i]), adam.init(jnp.asarray(w[i]))) for i in range(3)}
    # Photo 2 is in no batch, photo 1 in every other one.
    for step in range(4):
        moved = np.array([True, step % 2 == 0, False])
        gradient = rng.standard_normal(w.shape).astype(np.float32)
        leaves = move_leaves(leaves, jnp.asarray(gradient), jnp.asarray(moved), 0.1)
        for i in np.flatnonzero(moved):
            p, state = own[i]
            updates, state = adam.update(jnp.asarray(gradient[i]), state)
            own[i] = optax.apply_updates(p, updates), state
    np.testing.assert_array_equal(leaves.count, [4, 2, 0])
    for i in range(3):
        np.testing.assert_allclose(leaves.w[i], own[i][0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(leaves.w[2], w[2])


def test_a_code_of_one_number_tells_more_than_two_faces():
    v = with_constant(jnp.array([[0.5], [1.0], [2.0]]))
    np.testing.assert_array_equal(v, [[0.5, 1], [1, 1], [2, 1]])
    directions = v / jnp.linalg.norm(v, axis=1, keepdims=True)
    assert len({tuple(map(float, d)) for d in directions}) == 3


@pytest.mark.parametrize(
    ("shape", "seen"),
    [((64, 64), (64, 64)), ((512, 512), (256, 256)), ((512, 256), (256, 128))],
)
def test_networks_look_at_256_pixels_at_most(shape, seen):
    x = jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)
    assert jax.eval_shape(looked_at, x).shape == (1, *seen, 3)
