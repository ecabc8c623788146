"""Computing activations again instead of keeping them changes memory, nothing else."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.stylegan2 import Discriminator, Generator
from stylegan_jax.training.stylegan2.state import init_state
from stylegan_jax.training.stylegan2.steps import GanHyper, GanLosses, optimisers

BATCH = 4


@functools.cache
def setting(recompute):
    """Losses, a state, a batch, and the root key."""
    shared = {"num_blocks": 3, "channel_base": 64, "channel_max": 8}
    g = Generator(z_dim=8, w_dim=8, mapping_layers=2, **shared)
    d = Discriminator(mapping_layers=2, mbstd_group_size=2, **shared)
    hyper = GanHyper(batch=BATCH, recompute=recompute)
    make = jax.jit(
        lambda key: init_state(
            g, d, *optimisers(hyper), key, augmentation=hyper.augmentation
        )
    )
    image = np.random.default_rng(0).integers(0, 256, (BATCH, 16, 16, 3), np.uint8)
    batch = {
        "image": jnp.asarray(image),
        "label": jnp.zeros((BATCH, 0)),
        "index": jnp.arange(BATCH),
    }
    return GanLosses(g, d, hyper), make(jax.random.key(0)), batch, jax.random.key(1)


def params_of(phase, state):
    return state.g_params if phase.startswith("g") else state.d_params


@pytest.mark.parametrize("phase", ["g_main", "d_main", "g_reg", "d_reg"])
def test_less_is_kept(phase):
    def kept(recompute):
        losses, state, batch, key = setting(recompute)
        loss = getattr(losses, phase)

        def pull(params):
            return jax.vjp(lambda p: loss(p, state, batch, key)[0], params)[1]

        leaves = jax.tree.leaves(jax.eval_shape(pull, params_of(phase, state)))
        return sum(x.size * x.dtype.itemsize for x in leaves)

    assert kept(True) < 0.8 * kept(False)


@pytest.mark.parametrize(
    "phase", [pytest.param("g_reg", marks=pytest.mark.slow), "d_reg"]
)
def test_gradients_are_the_same(phase):
    found = []
    for recompute in (False, True):
        losses, state, batch, key = setting(recompute)
        gradient = jax.jit(jax.grad(getattr(losses, phase), has_aux=True))
        found.append(gradient(params_of(phase, state), state, batch, key)[0])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6), *found
    )
    assert any(np.any(x) for x in jax.tree.leaves(found[0]))
