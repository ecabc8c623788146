import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.psp import PSP, inject_layers
from stylegan_jax.models.psp.encoder import GRADUAL, INTO_W, INTO_W_PLUS
from stylegan_jax.models.psp.model import fit_square
from tests.models.psp.tiny_psp import FIELDS, tiny_psp


def encode(module, variables, x):
    return jax.jit(lambda v, x: module.apply(v, x, method="encode"))(variables, x)


@pytest.fixture(scope="module")
def x():
    return jax.random.normal(jax.random.key(1), (2, 32, 32, 3))


@pytest.mark.parametrize("kind", [GRADUAL, INTO_W, INTO_W_PLUS])
@pytest.mark.parametrize("learn_in_w", [False, True])
def test_variables_of_the_whole(kind, learn_in_w):
    module, variables = tiny_psp(encoder_type=kind, learn_in_w=learn_in_w)
    rows = 1 if learn_in_w else module.num_ws
    assert variables["moving_stats"]["latent_avg"].shape == (rows, 8)
    # The decoder's are those of a generator.
    decoder = module.make_decoder()
    z = jax.ShapeDtypeStruct((1, 8), jnp.float32)
    alone = jax.eval_shape(decoder.init, jax.random.key(0), z)
    inside = {k: v["decoder"] for k, v in variables.items() if "decoder" in v}
    assert jax.tree.map(jnp.shape, inside) == jax.tree.map(jnp.shape, dict(alone))
    assert module.image_shape == (16, 16, 3)


@pytest.mark.parametrize("kind", [GRADUAL, INTO_W])
def test_the_mean_latent_is_added_where_the_model_says_so(kind, x):
    module, variables = tiny_psp(encoder_type=kind)
    without, _ = tiny_psp(encoder_type=kind, start_from_latent_avg=False)
    with_mean = encode(module, variables, x)
    bare = encode(without, variables, x)
    assert with_mean.shape == bare.shape == (2, 6, 8)
    mean = variables["moving_stats"]["latent_avg"]
    np.testing.assert_allclose(with_mean - bare, np.stack([mean] * 2), atol=1e-4)
    if kind == INTO_W:
        np.testing.assert_array_equal(bare, np.repeat(bare[:, :1], 6, axis=1))


def test_the_picture_is_the_decoders_of_what_was_encoded(x):
    module, variables = tiny_psp()
    picture = jax.jit(module.apply)(variables, x)
    w_plus = encode(module, variables, x)
    decoder = module.make_decoder()
    inside = {k: v["decoder"] for k, v in variables.items() if "decoder" in v}
    draw = jax.jit(
        lambda v, w: decoder.apply(v, w, noise_mode="const", method="synthesis")
    )
    alone = draw(inside, w_plus)
    np.testing.assert_allclose(picture, alone, rtol=1e-3, atol=1e-4)


def test_layers_are_replaced_mixed_or_emptied():
    w_plus, other = np.full((2, 4, 3), 1.0), np.full((1, 4, 3), 5.0)
    replaced = inject_layers(w_plus, [1, 3], other)
    np.testing.assert_array_equal(replaced[:, :, 0], [[1, 5, 1, 5]] * 2)
    mixed = inject_layers(w_plus, [0], other, 0.25)
    np.testing.assert_array_equal(mixed[:, :, 0], [[2, 1, 1, 1]] * 2)
    emptied = inject_layers(w_plus, range(2))
    np.testing.assert_array_equal(emptied[:, :, 0], [[0, 0, 1, 1]] * 2)


@pytest.mark.parametrize(
    "fields",
    [
        {"decoder_num_blocks": 0},
        {"decoder_num_blocks": 17},
        {"decoder_mapping_layers": 2**24},
        {"encoder_type": "BackboneEncoder"},
        {"decoder_architecture": "resnext"},
        {"iterations": 0},
        {"iterations": 11},
        {"iterations": 2, "start_from_latent_avg": False},
    ],
    ids=str,
)
def test_fields_that_make_no_model(fields):
    module = PSP(**{**FIELDS, **fields})
    x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match=next(iter(fields)).removeprefix("decoder_")):
        jax.eval_shape(module.init, jax.random.key(0), x)


def test_passes_start_from_the_mean_latent_and_its_picture():
    module, variables = tiny_psp(encoder_type=INTO_W, iterations=2)
    shape = variables["params"]["encoder"]["backbone"]["input_conv"]["kernel"].shape
    assert shape == (3, 3, 3 + 3, 4)
    start = jax.jit(lambda v: module.apply(v, 2, method="start"))
    w_plus, image = start(variables)
    mean = variables["moving_stats"]["latent_avg"]
    np.testing.assert_array_equal(w_plus, np.stack([mean] * 2))
    draw = jax.jit(lambda v, w: module.apply(v, w, method="synthesis"))
    np.testing.assert_allclose(image, draw(variables, w_plus), rtol=1e-3, atol=1e-4)


def test_a_pass_sees_the_picture_before_it_and_adds(x):
    module, variables = tiny_psp(encoder_type=INTO_W, iterations=2)
    refine = jax.jit(lambda v, *args: module.apply(v, *args, method="refine"))
    images = jnp.zeros((2, 16, 16, 3)), jnp.ones((2, 16, 16, 3))
    w_plus = jnp.ones((2, 6, 8))
    results = [refine(variables, x, w_plus, image) for image in images]
    assert not np.allclose(*results, atol=1e-3)
    again = refine(variables, x, 3 * w_plus, images[0])
    np.testing.assert_allclose(again - results[0], 2 * w_plus, atol=1e-4)


def test_a_model_of_one_pass_has_no_refinement(x):
    module, variables = tiny_psp()
    w_plus = np.zeros((2, 6, 8), np.float32)
    with pytest.raises(ValueError, match="iterations=1"):
        module.apply(variables, x, w_plus, x, method="refine")


def test_pictures_are_averaged_down_and_interpolated_up():
    x = np.arange(4, dtype=np.float32)[None, None, :, None].repeat(4, 1)
    down = fit_square(jnp.asarray(x), 2)
    np.testing.assert_allclose(down[0, :, :, 0], [[0.5, 2.5]] * 2)
    up = fit_square(jnp.asarray(x), 8)
    row = [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    np.testing.assert_allclose(up[0, :, :, 0], [row] * 8, atol=1e-6)
    # A side of each kind: 2 x 8 to 4 x 4.
    both = fit_square(jnp.asarray(up[:, :2]), 4)
    pairs = np.mean(np.reshape(row, (4, 2)), 1)
    np.testing.assert_allclose(both[0, :, :, 0], [pairs] * 4, atol=1e-6)
    np.testing.assert_array_equal(fit_square(x, 4), x)
