import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.losses.encoder import (
    identity,
    inner_face,
    l2,
    moco,
    moco_input,
    w_norm,
)
from stylegan_jax.models.features import LPIPS, inputs

RNG = np.random.default_rng(0)


def pictures(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def unit(x):
    """Stands for a frozen network: a fixed projection to vectors of length 1."""
    flat = x.reshape(len(x), -1)
    matrix = np.random.default_rng(1).standard_normal((flat.shape[1], 5))
    y = flat @ jnp.asarray(matrix, jnp.float32)
    return y / jnp.linalg.norm(y, axis=1, keepdims=True)


def test_l2_is_the_mean_square_of_each_sample():
    x, y = pictures(3, 4, 6, 3), pictures(3, 4, 6, 3)
    np.testing.assert_allclose(
        l2(x, y), ((x - y) ** 2).reshape(3, -1).mean(1), rtol=1e-6
    )
    assert l2(jnp.asarray(x, jnp.bfloat16), y).dtype == jnp.float32


def test_w_norm_is_the_distance_from_the_mean():
    w, mean = pictures(3, 4, 5), pictures(5)
    want = [np.linalg.norm(v - mean) for v in w]
    np.testing.assert_allclose(w_norm(w, mean), want, rtol=1e-6)
    # pSp's program without the mean, and a mean for each layer.
    np.testing.assert_allclose(
        w_norm(w, np.zeros(5)), [np.linalg.norm(v) for v in w], rtol=1e-6
    )
    each = np.tile(mean, (4, 1))
    np.testing.assert_allclose(w_norm(w, each), want, rtol=1e-6)


def test_w_norm_has_a_gradient_at_the_mean_itself():
    mean = pictures(5)
    w = np.stack([np.tile(mean, (4, 1)), np.tile(mean, (4, 1)) + 1])
    value, gradient = jax.value_and_grad(lambda w: w_norm(w, mean).sum())(w)
    np.testing.assert_allclose(value, np.sqrt(20), rtol=1e-5)
    assert np.asarray(gradient[0]).tolist() == np.zeros((4, 5)).tolist()
    np.testing.assert_allclose(gradient[1], 1 / np.sqrt(20), rtol=1e-5)


def test_identity_is_one_minus_the_cosine():
    x, y = pictures(2, 4, 4, 3), pictures(2, 4, 4, 3)
    want = 1 - (np.asarray(unit(x)) * np.asarray(unit(y))).sum(1)
    np.testing.assert_allclose(identity(unit, x, y), want, atol=1e-6)
    np.testing.assert_allclose(identity(unit, x, x), 0, atol=1e-6)
    np.testing.assert_allclose(identity(unit, -x, x), 2, atol=1e-6)


def test_no_gradient_reaches_the_wanted_picture():
    x, y = pictures(1, 4, 4, 3), pictures(1, 4, 4, 3)
    to_x, to_y = jax.grad(lambda x, y: identity(unit, x, y).sum(), (0, 1))(x, y)
    assert np.abs(to_x).max() > 0 and not np.asarray(to_y).any()


def test_moco_sees_normalised_pictures_of_224_pixels():
    seen = []

    def network(x):
        seen.append(x)
        return 7 * x.mean((1, 2))  # not of length 1

    x, y = pictures(2, 32, 32, 3), pictures(2, 32, 32, 3)
    found = moco(network, x, y)
    assert [s.shape for s in seen] == [(2, 224, 224, 3)] * 2
    a, b = (np.asarray(s).mean((1, 2)) for s in seen)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(found, 1 - cosine, atol=1e-6)
    grey = np.full((1, 448, 448, 3), 0.5, np.float32)
    np.testing.assert_allclose(
        moco_input(grey)[0, 0, 0], inputs.imagenet(grey)[0, 0, 0], rtol=1e-5
    )
    exact = pictures(1, 224, 224, 3)
    np.testing.assert_array_equal(moco_input(exact), inputs.imagenet(exact))


def test_moco_has_a_gradient_where_no_feature_is_active():
    x = pictures(1, 224, 224, 3)

    def loss(x):
        return moco(lambda x: 0 * x.mean((1, 2)), x, x).sum()

    assert np.isfinite(jax.grad(loss)(x)).all()


def test_the_inner_face_is_psps_crop():
    x = pictures(1, 256, 256, 3)
    np.testing.assert_array_equal(inner_face(x), x[:, 35:223, 32:220])
    large = np.repeat(np.repeat(x, 4, 1), 4, 2)
    want = large[:, 140:892, 128:880]
    np.testing.assert_array_equal(inner_face(large), want)
    small = x[:, :64, :64]
    np.testing.assert_array_equal(inner_face(small), small[:, 9:56, 8:55])


def test_the_inner_face_is_square_and_inside_at_any_size():
    for side in range(8, 520):
        index = np.broadcast_to(np.arange(side)[:, None], (side, side))[None, ..., None]
        rows = np.asarray(inner_face(index))[0, :, 0, 0]
        assert inner_face(index).shape == (1, len(rows), len(rows), 1)
        assert abs(len(rows) - side * 188 / 256) <= 0.5
        assert abs(rows[0] - side * 35 / 256) <= 0.5


def test_lpips_of_the_inner_face_of_64_pixels():
    x, y = pictures(2, 1, 64, 64, 3)
    module = LPIPS("alex", 4)
    face_x, face_y = inner_face(x), inner_face(y)
    variables = jax.jit(module.init)(jax.random.key(0), face_x, face_y)
    assert 0 < float(jax.jit(module.apply)(variables, face_x, face_y)[0]) < 10


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: l2(pictures(1, 4, 4, 3), pictures(1, 4, 5, 3)), "one shape"),
        (lambda: l2(pictures(4, 4, 3), pictures(4, 4, 3)), "N, H, W, C"),
        (lambda: identity(unit, pictures(1, 4, 4, 3), pictures(2, 4, 4, 3)), "shape"),
        (lambda: moco(unit, pictures(1, 4, 4, 3), pictures(2, 4, 4, 3)), "one shape"),
        (lambda: w_norm(pictures(2, 5), pictures(5)), "num_ws, w_dim"),
        (lambda: w_norm(pictures(2, 4, 5), pictures(4)), r"\[5\] or \[4, 5\], got"),
        (lambda: w_norm(pictures(2, 4, 5), pictures(1, 5)), r"got \[1, 5\]"),
        (lambda: inner_face(pictures(1, 7, 8, 3)), "at least 8"),
        (lambda: inner_face(pictures(64, 64, 3)), "at least 8"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
