import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.bench import plan_memory
from stylegan_jax.training import spmd
from stylegan_jax.training.psp.state import EncoderState
from stylegan_jax.training.stylegan2.state import GanState


def array(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def gan_state():
    return GanState(
        step=array(),
        nimg=array(),
        g_params={"a": array(10)},
        d_params={"b": array(20)},
        g_opt=(array(10), {"mu": array(10)}),
        d_opt=(array(40),),
        ema_params={"a": array(10)},
        moving_stats={},
        noise={"n": array(5)},
        pl_mean=array(),
        augment=None,
        source_params={"a": array(10)},
    )


def test_parts_of_a_state():
    assert plan_memory.state_bytes(gan_state()) == {
        "parameters": 4 * 30,
        "optimiser": 4 * 60,
        "other": 4 * (10 + 5 + 10 + 3),
    }


def test_parts_of_the_state_of_another_trainer():
    state = EncoderState(
        step=array(),
        nimg=array(),
        params={"encoder": array(10)},
        frozen={"decoder": array(7)},
        opt=(array(20),),
        ema_params={"encoder": array(10)},
        batch_stats={},
        moving_stats={},
        noise={},
    )
    parts = plan_memory.state_bytes(state)
    assert (parts["parameters"], parts["optimiser"]) == (40, 80)
    assert parts["other"] == 4 * (7 + 10 + 2)


@pytest.mark.parametrize("wrapped", [True, False])
def test_what_a_step_changes(wrapped):
    # Constants of a program become arguments of what it wraps, in front of the others.
    constant = np.arange(3, dtype=np.float32)

    def step(state, batch, key):
        batch = batch * jnp.asarray(constant)
        g = {"a": state.g_params["a"] + spmd.mean(jnp.mean(batch))}
        return state.replace(g_params=g, step=state.step + 1), {}

    def alone(state, batch, key):
        g = {"a": state.g_params["a"] + jnp.mean(batch)}
        return state.replace(g_params=g, step=state.step + 1), {}

    args = (gan_state(), array(8, 3), jax.eval_shape(lambda: jax.random.key(0)))
    program = jax.jit(alone)
    if wrapped:
        program = spmd.data_parallel(step, spmd.make_mesh(jax.devices()[:8]))
    traced = program.trace(*args)
    assert plan_memory.changed_parameters(traced.jaxpr, args[0]) == 40


class Compiler:
    """Needs a + b * images bytes, and up to `fails` only what it says."""

    def __init__(self, a, b, bend=None, fails=None):
        self.a, self.b, self.bend, self.fails = a, b, bend, fails
        self.asked = []

    def need(self, images):
        extra = max(images - self.bend, 0) * self.b if self.bend else 0
        return self.a + self.b * images + extra

    def __call__(self, images):
        self.asked.append(images)
        if self.fails is not None and images >= self.fails:
            return None, False
        return self.need(images), True


def search(compiler, images, limit, unit=4):
    first = (images, compiler.need(images))
    return plan_memory.largest_batch(compiler, first, unit, limit, "d_reg")


def test_a_line_through_two_batches_finds_the_largest_and_compiles_it():
    compiler = Compiler(a=100, b=10)
    found = search(compiler, images=8, limit=555)
    assert (found.images, found.need, found.program) == (44, 540, "d_reg")
    assert compiler.asked == [4, 44]
    assert found.tried == {8: 180, 4: 140, 44: 540}


def test_the_smallest_batch_is_doubled_for_the_line():
    compiler = Compiler(a=100, b=10)
    assert search(compiler, images=4, limit=555).images == 44
    assert compiler.asked == [8, 44]


def test_a_bend_is_found_by_drawing_the_line_anew():
    compiler = Compiler(a=100, b=10, bend=20)
    found = search(compiler, images=8, limit=555)
    assert found.images == 32 and found.need <= 555
    assert len(compiler.asked) <= 4


def test_a_batch_that_is_too_large_is_made_smaller():
    found = search(Compiler(a=100, b=10), images=64, limit=300)
    assert (found.images, found.need) == (20, 300)


def test_the_batch_itself_may_be_the_largest():
    compiler = Compiler(a=100, b=10)
    found = search(compiler, images=8, limit=190)
    assert (found.images, found.need) == (8, 180)
    assert compiler.asked == [4]


def test_no_batch_fits():
    assert search(Compiler(a=100, b=10), images=4, limit=50).images == 0
    assert search(Compiler(a=100, b=10), images=8, limit=50).images == 0


def test_what_hardly_grows_is_not_looked_for_without_end():
    found = search(Compiler(a=100, b=0), images=8, limit=10**9)
    assert found.images == plan_memory.MOST_IMAGES and found.capped


def test_an_error_leaves_it_unknown():
    found = search(Compiler(a=100, b=10, fails=30), images=8, limit=555)
    assert found.images is None and "44 images" in found.why


def test_the_smallest_batch_is_tried_before_none_is_said_to_fit():
    compiler = Compiler(a=0, b=10, bend=4)
    found = search(compiler, images=64, limit=45)
    assert (found.images, found.need) == (4, 40)
