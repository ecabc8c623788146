"""Checkpoints of a run: complete or absent, and exact."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from stylegan_jax.checkpoints.training_state import TrainingCheckpoints
from stylegan_jax.errors import UserError

DOCUMENT = {"step": 1, "nimg": 8, "data": [["abc", 1.0]], "seconds": 0.5}


def tree(seed=0):
    """What a run's state has: nested float32 of any bits, counters, scalars."""
    bits = np.random.default_rng(seed).integers(0, 2**32, (3, 5), np.uint32)
    values = bits.view(np.float32).copy()
    values[0, :3] = np.nan, -np.inf, -0.0
    return {
        "params": {"b4": {"weight": jnp.asarray(values)}},
        "low": jnp.asarray([1.5, -2.0], jnp.bfloat16),
        "opt": (optax.ScaleByAdamState(jnp.int32(seed), {}, {}), optax.EmptyState()),
        "noise": {},
        "pl_mean": jnp.float32(0.1),
    }


def same_bits(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)

    def check(a, b):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()

    jax.tree.map(check, found, expected)


@pytest.fixture
def opened(tmp_path):
    """Opens the test's folder, again and again; everything is closed at the end."""
    made = []

    def open_it(**options):
        made.append(TrainingCheckpoints(tmp_path / "checkpoints", **options))
        return made[-1]

    yield open_it
    for checkpoints in made:
        checkpoints.close()


def test_bits_come_back_in_another_process_s_hands(opened):
    first = opened()
    assert first.latest() is None
    first.save(1, tree(), DOCUMENT)
    first.wait()
    second = opened()
    assert second.latest() == 1
    assert second.read_document(1) == DOCUMENT
    same_bits(second.restore(1, tree(7)), tree())


def test_arrays_go_where_the_shardings_say(opened):
    checkpoints = opened()
    checkpoints.save(1, tree(), DOCUMENT)
    checkpoints.wait()
    mesh = Mesh(np.asarray(jax.devices()[:2]), ("data",))
    replicated = NamedSharding(mesh, PartitionSpec())
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=replicated), tree()
    )
    found = checkpoints.restore(1, like)
    same_bits(found, tree())
    assert all(x.sharding == replicated for x in jax.tree.leaves(found))


def test_what_is_saved_is_the_state_of_the_call(opened):
    """The buffers may be donated to the next step while the file is being written."""
    checkpoints = opened()
    state = {"x": jnp.arange(4.0)}
    checkpoints.save(1, state, DOCUMENT)
    state["x"].delete()
    checkpoints.wait()
    same_bits(checkpoints.restore(1, {"x": jnp.zeros(4)}), {"x": jnp.arange(4.0)})


def test_the_newest_are_kept(opened, tmp_path):
    checkpoints = opened(keep=2)
    for step in (3, 10, 20):
        checkpoints.save(step, {"x": jnp.full(2, step)}, {"step": step})
    checkpoints.wait()
    assert checkpoints.latest() == 20
    names = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert names == {"10", "20"}
    assert checkpoints.read_document(10) == {"step": 10}


def test_the_same_step_twice_is_harmless(opened):
    checkpoints = opened()
    checkpoints.save(1, tree(), DOCUMENT)
    checkpoints.save(1, tree(1), {})  # while the first is being written
    checkpoints.wait()
    checkpoints.save(1, tree(2), {})
    checkpoints.wait()
    assert checkpoints.read_document(1) == DOCUMENT
    same_bits(checkpoints.restore(1, tree()), tree())
    again = opened()
    again.save(1, tree(3), {})
    same_bits(again.restore(1, tree()), tree())


class TestOtherStates:
    def refusal(self, opened, like):
        checkpoints = opened()
        checkpoints.save(1, tree(), DOCUMENT)
        checkpoints.wait()
        with pytest.raises(UserError) as caught:
            checkpoints.restore(1, like)
        return str(caught.value)

    def test_shapes(self, opened, tmp_path):
        like = tree()
        like["params"]["b4"]["weight"] = jnp.zeros((3, 6))
        assert self.refusal(opened, like) == (
            f"The checkpoint {tmp_path / 'checkpoints' / '1'} does not fit this "
            "configuration: a run goes on with the networks it was begun with. Use the "
            "same model section as in config.json, or another --workdir. Different "
            "are: ['params']['b4']['weight'] is float32[3, 5] there and float32[3, 6] "
            "here."
        )

    def test_dtypes(self, opened):
        like = tree() | {"pl_mean": jnp.int32(0)}
        said = self.refusal(opened, like)
        assert "Different are: ['pl_mean'] is float32[] there and int32[] here." in said

    def test_structures(self, opened):
        like = tree()
        like["params"]["b8"] = like["params"].pop("b4")
        said = self.refusal(opened, like)
        assert (
            "['params']['b4']['weight'] is float32[3, 5] there and absent here" in said
        )
        assert "['params']['b8']['weight'] is absent there and float32[3, 5]" in said


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from stylegan_jax.checkpoints.training_state import TrainingCheckpoints

folder = Path(sys.argv[1])
checkpoints = TrainingCheckpoints(folder)
checkpoints.save(1, {"x": np.arange(8.0)}, {"step": 1})
checkpoints.wait()
big = np.random.default_rng(0).standard_normal((20, 10**6))  # 160 MB, incompressible
checkpoints.save(2, {"x": big}, {"step": 2})
while not [p for p in folder.iterdir() if p.name.startswith("2")]:
    time.sleep(0.001)
print("writing", flush=True)
time.sleep(600)
"""


def test_killed_while_writing(opened, tmp_path):
    folder = tmp_path / "checkpoints"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "writing\n"
    finally:
        process.kill()
        process.communicate(timeout=60)
    left = {p.name for p in folder.iterdir()}
    assert "2" not in left and len(left) > 1  # it was indeed cut short
    checkpoints = opened()
    assert checkpoints.latest() == 1
    assert checkpoints.read_document(1) == {"step": 1}
    like = {"x": np.zeros(8)}
    same_bits(checkpoints.restore(1, like), {"x": np.arange(8.0)})
    # The run goes on, and comes to the same step again.
    checkpoints.save(2, {"x": np.ones(8)}, {"step": 2})
    checkpoints.wait()
    assert opened().latest() == 2
    same_bits(checkpoints.restore(2, like), {"x": np.ones(8)})
    assert {p.name for p in folder.iterdir()} == {"1", "2"}


def test_an_earlier_version_s_tree_is_a_sentence(opened):
    checkpoints = opened()
    checkpoints.save(1, tree(), DOCUMENT)
    checkpoints.wait()
    with pytest.raises(UserError, match="earlier version.*init.model"):
        checkpoints.restore(1, {**tree(), "source_params": {}})
