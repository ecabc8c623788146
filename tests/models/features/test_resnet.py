import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.features import ResNet

TINY = ResNet((1, 2, 1, 1), True, 5, 4)


@pytest.fixture(scope="module")
def variables():
    x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    return jax.jit(TINY.init)(jax.random.key(0), jnp.zeros(x.shape))


@pytest.mark.parametrize(
    "module, parameters",
    [
        # Parameters of torchvision's models with their 1000 classes, and without.
        (ResNet((2, 2, 2, 2), False, 1000), 11_689_512),
        (ResNet((3, 4, 6, 3), True, 1000), 25_557_032),
        (ResNet((3, 4, 6, 3), True), 25_557_032 - 2_049_000),
        (ResNet((3, 4, 23, 3), True, 1000), 44_549_160),
    ],
)
def test_published_sizes(module, parameters):
    x = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    found, variables = jax.eval_shape(
        lambda x: module.init_with_output(jax.random.key(0), x, module.taps), x
    )
    assert sum(v.size for v in jax.tree.leaves(variables["params"])) == parameters
    sides = {k: v.shape[1] for k, v in found.items() if v.ndim == 4}
    assert sides == {"stem": 112, "layer1": 56, "layer2": 28, "layer3": 14, "layer4": 7}
    assert found["pool"].shape == (1, 2048 if module.bottleneck else 512)
    assert ("logits" in found) == bool(module.num_classes)


def test_pool_is_the_mean_of_the_last_map(variables):
    x = jax.random.normal(jax.random.key(1), (2, 40, 32, 3))
    found = jax.jit(lambda v, x: TINY.apply(v, x, ["layer4", "pool", "logits"]))(
        variables, x
    )
    assert set(found) == {"layer4", "pool", "logits"}
    np.testing.assert_allclose(
        found["pool"], np.mean(found["layer4"], (1, 2)), rtol=1e-5, atol=1e-6
    )
    assert (np.asarray(found["layer4"]) >= 0).all()
    assert set(jax.eval_shape(TINY.apply, variables, x)) == {"pool", "logits"}


def test_training_moves_the_running_statistics(variables):
    x = 3 + jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
    before = variables["batch_stats"]
    train = jax.jit(lambda v: TINY.apply(v, x, train=True, mutable="batch_stats"))
    _, after = train(variables)
    moved = jax.tree.map(
        lambda a, b: bool((a != b).any()), after["batch_stats"], before
    )
    assert all(jax.tree.leaves(moved))
    # Without `train` nothing is written: apply would raise if it were.
    jax.eval_shape(TINY.apply, variables, x)


@pytest.mark.parametrize(
    "module, words",
    [
        (ResNet((1, 1, 1), False), "four stages"),
        (ResNet((1, 1, 1, 1000), False), "1 to 64 blocks"),
        (ResNet((1, 0, 1, 1), False), "1 to 64 blocks"),
        (ResNet((1, 1, 1, 1), False, 0, 0), "width"),
    ],
)
def test_impossible_configs_are_refused(module, words):
    x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match=words):
        jax.eval_shape(module.init, jax.random.key(0), x)
