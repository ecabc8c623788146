import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.features.irse import (
    IRSE,
    STAGES,
    Gate,
    PReLU,
    adaptive_average_pool,
    crop_aligned,
    plan_units,
    stage_ends,
)
from tests.models.psp.tiny_psp import draw

TINY = {"num_layers": 18, "width": 4, "input_size": 32, "embedding_dim": 6}


@pytest.fixture(scope="module")
def tiny():
    module = IRSE(**TINY)
    x = jax.random.normal(jax.random.key(1), (3, 32, 32, 3))
    return module, draw(module, (32, 32, 3)), x


def test_embeddings_have_length_one_and_tell_pictures_apart(tiny):
    module, variables, x = tiny
    y = jax.jit(module.apply)(variables, x)
    assert y.shape == (3, 6)
    np.testing.assert_allclose(jnp.linalg.norm(y, axis=1), 1, rtol=1e-5)
    assert not np.allclose(y[0], y[1], atol=1e-3)


def test_an_embedding_does_not_depend_on_the_batch(tiny):
    module, variables, x = tiny
    whole = jax.jit(module.apply)(variables, x)
    alone = jax.jit(module.apply)(variables, x[:1])
    np.testing.assert_allclose(alone, whole[:1], atol=1e-5)


def test_training_collects_statistics_with_torchs_momentum(tiny):
    module, variables, x = tiny

    def step(variables, x):
        return module.apply(variables, x, train=True, mutable=["batch_stats"])[1]

    new = jax.jit(step)(variables, x)["batch_stats"]["backbone"]
    kernel = variables["params"]["backbone"]["input_conv"]["kernel"]
    first = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    old = variables["batch_stats"]["backbone"]["input_bn"]["mean"]
    want = 0.9 * old + 0.1 * first.mean((0, 1, 2))
    np.testing.assert_allclose(new["input_bn"]["mean"], want, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("number", "units"), [(18, 8), (34, 16), (50, 24), (100, 49), (152, 50)]
)
def test_depths(number, units):
    plans = plan_units(number, 64)
    assert len(plans) == units
    assert [plans[i].features for i in stage_ends(number)] == [64, 128, 256, 512]
    assert sum(plan.stride == 2 for plan in plans) == 4
    # A shortcut with weights stands where the channels change.
    assert sum(plan.inputs != plan.features for plan in plans) == 3


def test_the_pyramid_of_fifty_layers_ends_where_psp_takes_it():
    assert stage_ends(50) == [2, 6, 20, 23]


@pytest.mark.parametrize("mode", ["ir_se", "ir"])
def test_gates_are_there_in_the_one_mode_only(mode):
    module = IRSE(**TINY, mode=mode)
    x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    unit = jax.eval_shape(module.init, jax.random.key(0), x)["params"]["backbone"]
    assert ("se" in unit["unit0"]) == (mode == "ir_se")


@pytest.mark.parametrize(
    "fields",
    [
        {"num_layers": 51},
        {"width": 0},
        {"width": 2**24},
        {"mode": "se"},
        {"input_size": 100},
        {"input_size": 2**24},
        {"embedding_dim": 0},
    ],
    ids=str,
)
def test_fields_that_make_no_network(fields):
    module = IRSE(**{**TINY, **fields})
    x = jax.ShapeDtypeStruct((1, module.input_size, module.input_size, 3), jnp.float32)
    with pytest.raises(ValueError, match=next(iter(fields)).split("_")[0]):
        jax.eval_shape(module.init, jax.random.key(0), x)


def test_prelu_has_a_slope_for_each_channel():
    x = jnp.array([[-2.0, -2.0, 3.0]])
    y = PReLU().apply({"params": {"slope": jnp.array([0.5, -1.0, 7.0])}}, x)
    np.testing.assert_allclose(y, [[-1.0, 2.0, 3.0]])


def test_a_gate_scales_channels_by_their_means():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 32)).astype(np.float32)
    rng = np.random.default_rng(1)
    down, up = rng.standard_normal((32, 2)), rng.standard_normal((2, 32))
    variables = {"params": {"reduce": {"kernel": down}, "expand": {"kernel": up}}}
    hidden = np.maximum(x.mean((1, 2)) @ down, 0)
    want = x / (1 + np.exp(-(hidden @ up)))[:, None, None]
    np.testing.assert_allclose(Gate().apply(variables, x), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 2), (7, 7), (16, 1), (32, 24)], ids=str)
def test_adaptive_pooling_averages_overlapping_cells(size):
    x = np.random.default_rng(0).standard_normal((2, 16, 12, 3)).astype(np.float32)
    y = adaptive_average_pool(jnp.asarray(x), size)
    assert y.shape == (2, *size, 3)
    for i in range(size[0]):
        for j in range(size[1]):
            rows = slice(i * 16 // size[0], -(-(i + 1) * 16 // size[0]))
            columns = slice(j * 12 // size[1], -(-(j + 1) * 12 // size[1]))
            want = x[:, rows, columns].mean((1, 2))
            np.testing.assert_allclose(y[:, i, j], want, rtol=1e-4, atol=1e-6)


def test_the_crop_is_the_inner_face_at_any_size():
    rows = np.linspace(-1, 1, 256, dtype=np.float32)
    x = np.broadcast_to(rows[None, :, None, None], (1, 256, 256, 3))
    y = crop_aligned(jnp.asarray(x), 94)
    assert y.shape == (1, 94, 94, 3)
    # 188 rows from 35 on, two to a cell.
    np.testing.assert_allclose(y[0, 0, 0, 0], rows[35:37].mean(), rtol=1e-5)
    np.testing.assert_allclose(y[0, -1, 0, 0], rows[221:223].mean(), rtol=1e-5)
    doubled = crop_aligned(jnp.asarray(x.repeat(2, 1).repeat(2, 2)), 94)
    np.testing.assert_allclose(doubled, y, atol=1e-6)


def test_every_depth_is_made_of_four_stages():
    assert all(len(stages) == 4 for stages in STAGES.values())
