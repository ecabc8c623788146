import jax
import jax.numpy as jnp
import numpy as np
import pytest
from onnx_files import TINY

from stylegan_jax.models.features.mobilefacenet import (
    ALIGNED_LEFT,
    ALIGNED_SIDE,
    ALIGNED_TOP,
    MobileFaceNet,
    crop_aligned,
)
from tests.models.psp.tiny_psp import draw

# FFHQ's mean face in pixels of 256, and ArcFace's template in pixels of 112.
FACE = ((96.5, 121.5), (159.0, 121.5), (127.4, 155.7), (98.7, 186.1), (157.0, 186.0))
TEMPLATE = (
    (38.29, 51.70),
    (73.53, 51.50),
    (56.03, 71.74),
    (41.55, 92.37),
    (70.73, 92.20),
)


@pytest.fixture(scope="module")
def tiny():
    module = MobileFaceNet(**TINY)
    return module, draw(module, (16, 16, 3)), jax.jit(module.apply)


def test_embeddings_have_length_one_and_do_not_depend_on_the_batch(tiny):
    _, variables, apply = tiny
    x = jax.random.uniform(jax.random.key(1), (3, 16, 16, 3), minval=-1)
    y = apply(variables, x)
    assert y.shape == (3, 6)
    np.testing.assert_allclose(jnp.linalg.norm(y, axis=1), 1, rtol=1e-5)
    assert not np.allclose(y[0], y[1], atol=1e-3)
    np.testing.assert_allclose(apply(variables, x[:1]), y[:1], atol=1e-5)


def test_the_published_network_has_its_parameters():
    module = MobileFaceNet()
    x = jax.ShapeDtypeStruct((1, 112, 112, 3), np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), x)
    sizes = jax.tree.map(lambda s: int(np.prod(s.shape)), shapes)
    # All tensors of w600k_mbf.onnx: the file is hardly longer than four times that.
    assert 13_500_000 < 4 * sum(jax.tree.leaves(sizes)) < 13_616_099


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"input_size": 20}, "no multiple of 8"),
        ({"stages": ()}, "1 to 6 stages"),
        ({"blocks": (1,)}, "each with its blocks"),
        ({"last": (4,)}, "two last"),
        ({"stem_groups": 3}, "does not divide"),
        ({"width": 0}, "width from 1"),
        ({"blocks": (1, 10**6)}, "up to 64 blocks"),
        ({"embedding_dim": 0}, "embedding_dim=0"),
    ],
    ids=str,
)
def test_fields_that_make_no_network(fields, words):
    module = MobileFaceNet(**{**TINY, **fields})
    with pytest.raises(ValueError, match=words):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))


def test_another_size_of_pictures(tiny):
    module, variables, _ = tiny
    with pytest.raises(ValueError, match="MobileFaceNet"):
        module.apply(variables, jnp.zeros((1, 24, 24, 3)))


def test_the_crop_takes_the_mean_face_to_the_template():
    face, template = np.array(FACE), np.array(TEMPLATE)
    # Whole numbers are the centres of pixels.
    left = np.array([ALIGNED_LEFT, ALIGNED_TOP])
    found = ((face + 0.5) / 256 - left) * 112 / ALIGNED_SIDE - 0.5
    assert np.abs(found - template).max() < 2.6
    # No other square is nearer: the residuals have no shift and no scale in them.
    centred = face - face.mean(0)
    assert np.abs((found - template).mean(0)).max() < 0.05
    assert abs((centred * (found - template)).sum() / (centred**2).sum()) < 1e-3


@pytest.mark.parametrize("side", [64, 256, 512])
def test_the_crop_resamples_where_the_square_lies(side):
    # A ramp in each direction: a resampled pixel tells where it was taken.
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    x = np.stack(np.meshgrid(place, place, indexing="ij"), -1)[None]
    found = np.asarray(crop_aligned(jnp.asarray(x)))[0]
    want = (np.arange(112) + 0.5) / 112 * ALIGNED_SIDE
    # To a tenth of a pixel: a triangle over few pixels has its centre so near.
    near = 0.1 / side
    np.testing.assert_allclose(found[:, 50, 0], want + ALIGNED_TOP, atol=near)
    np.testing.assert_allclose(found[50, :, 1], want + ALIGNED_LEFT, atol=near)


def test_the_crop_keeps_brightness_and_averages_what_it_makes_smaller():
    x = np.ones((1, 512, 512, 3), np.float32)
    np.testing.assert_allclose(crop_aligned(x), 1, atol=1e-5)
    board = (np.indices((1024, 1024)).sum(0) % 2).astype(np.float32)
    found = crop_aligned(board[None, :, :, None], 112)
    assert np.abs(np.asarray(found) - 0.5).max() < 0.05
