import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.psp.encoder import (
    ENCODER_TYPES,
    GRADUAL,
    INTO_W,
    INTO_W_PLUS,
    Encoder,
    _enlarge,
    halvings,
)
from tests.models.psp.tiny_psp import draw

TINY = {"num_layers": 18, "width": 4, "input_size": 32, "w_dim": 6}


def make(kind, **fields):
    num_ws = 1 if kind == INTO_W else 9
    return Encoder(**{**TINY, "encoder_type": kind, "num_ws": num_ws, **fields})


def shape_of(module):
    side = module.input_size
    x = jax.ShapeDtypeStruct((2, side, side, module.input_nc), jnp.float32)
    y, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
    return y.shape


@pytest.mark.parametrize("kind", ENCODER_TYPES)
@pytest.mark.parametrize("size", [32, 64, 128])
def test_shapes_of_every_type_and_size(kind, size):
    module = make(kind, input_nc=5, input_size=size)
    assert shape_of(module) == (2, module.num_ws, 6)


@pytest.mark.parametrize("num_layers", [34, 50, 100, 152])
def test_shapes_of_every_depth(num_layers):
    # Gates are in every unit or in none: one depth without them is enough.
    mode = "ir" if num_layers == 34 else "ir_se"
    module = make(GRADUAL, num_layers=num_layers, mode=mode)
    assert shape_of(module) == (2, 9, 6)


def test_latents_depend_on_the_picture_alone():
    module = make(GRADUAL)
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    variables = draw(module, (32, 32, 3))
    both = jax.jit(module.apply)(variables, x)
    alone = jax.jit(module.apply)(variables, x[1:])
    np.testing.assert_allclose(alone, both[1:], atol=1e-5)
    assert not np.allclose(both[0], both[1], atol=1e-3)


def test_training_keeps_statistics_of_the_batch():
    module = make(INTO_W_PLUS)
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    variables = draw(module, (32, 32, 3))

    def step(variables, x):
        return module.apply(variables, x, train=True, mutable=["batch_stats"])

    y, new = jax.jit(step)(variables, x)
    assert np.isfinite(y).all()
    moved = jax.tree.map(
        lambda a, b: not np.allclose(a, b),
        variables["batch_stats"],
        new["batch_stats"],
    )
    assert all(jax.tree.leaves(moved))


def test_coarse_middle_and_fine_heads_end_in_one_cell():
    assert [halvings(i, 256) for i in (0, 2, 3, 6, 7, 17)] == [4, 4, 5, 5, 6, 6]
    assert [halvings(i, 32) for i in (0, 3, 7)] == [1, 2, 3]


def test_levels_are_enlarged_from_corner_to_corner():
    x = np.arange(4, dtype=np.float32)[None, :, None, None].repeat(3, 2)
    y = _enlarge(jnp.asarray(x), (7, 5))
    np.testing.assert_allclose(y[0, :, 2, 0], np.arange(7) / 2, atol=1e-6)
    np.testing.assert_allclose(_enlarge(x[:, 3:, :1], (2, 2))[0, :, 1, 0], [3, 3])


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Encoder4Editing", {}),
        (GRADUAL, {"input_size": 48}),
        (GRADUAL, {"input_size": 16}),
        (GRADUAL, {"input_size": 2**20}),
        (GRADUAL, {"num_ws": 65}),
        (GRADUAL, {"num_ws": 0}),
        (INTO_W, {"num_ws": 2}),
        (INTO_W_PLUS, {"w_dim": 0}),
        (INTO_W_PLUS, {"input_nc": 2**24}),
    ],
    ids=str,
)
def test_fields_that_make_no_encoder(kind, fields):
    module = make(kind, **fields)
    side = module.input_size
    x = jax.ShapeDtypeStruct((1, side, side, module.input_nc), jnp.float32)
    with pytest.raises(ValueError, match=next(iter(fields), "encoder_type")):
        jax.eval_shape(module.init, jax.random.key(0), x)


def test_pictures_of_another_size_are_refused():
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    with pytest.raises(ValueError, match="x in Encoder has shape"):
        jax.eval_shape(make(GRADUAL).init, jax.random.key(0), x)
