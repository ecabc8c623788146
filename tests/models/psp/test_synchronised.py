"""Batch norm over the devices of a mapped axis is batch norm over the whole batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from stylegan_jax.models.psp.encoder import INTO_W_PLUS, Encoder
from tests.models.psp.tiny_psp import draw

MODULE = Encoder(
    encoder_type=INTO_W_PLUS, num_layers=18, width=4, input_size=32, num_ws=4, w_dim=6
)


def relative(ours, theirs):
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def step(devices, variables, x, target):
    """Codes, statistics and gradients of a mean square error of all pictures."""

    def loss(params, stats, x, target):
        y, new = MODULE.apply(
            {"params": params, **stats},
            x,
            train=True,
            axis_name="data",
            mutable=["batch_stats"],
        )
        return jnp.mean((y - target) ** 2), (y, new)

    def local(params, stats, x, target):
        params = jax.lax.pcast(params, "data", to="varying")
        (_, (y, new)), gradient = jax.value_and_grad(loss, has_aux=True)(
            params, stats, x, target
        )
        return y, jax.lax.pmean(new, "data"), jax.lax.pmean(gradient, "data")

    mesh = Mesh(np.asarray(jax.devices()[:devices]), ("data",))
    whole, split = PartitionSpec(), PartitionSpec("data")
    specs = {
        "in_specs": (whole, whole, split, split),
        "out_specs": (split,) + 2 * (whole,),
    }
    mapped = jax.jit(jax.shard_map(local, mesh=mesh, **specs))
    stats = {"batch_stats": variables["batch_stats"]}
    return jax.device_get(mapped(variables["params"], stats, x, target))


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (8, 32, 32, 3)).astype(np.float32)
    target = rng.standard_normal((8, 4, 6)).astype(np.float32)
    return draw(MODULE, (32, 32, 3)), x, target


def test_eight_devices_compute_what_one_does(inputs):
    one, eight = (step(n, *inputs) for n in (1, 8))
    assert relative(eight[0], one[0]) < 1e-5
    for k in (1, 2):
        ours, theirs = jax.tree.leaves(eight[k]), jax.tree.leaves(one[k])
        vectors = (np.concatenate([np.ravel(a) for a in t]) for t in (ours, theirs))
        assert relative(*vectors) < 1e-5
    # A picture's own statistics would have given it another code.
    variables, x, _ = inputs
    alone = jax.jit(partial(MODULE.apply, train=True, mutable=["batch_stats"]))
    assert relative(alone(variables, x[:1])[0], one[0][:1]) > 0.05
