import numpy as np
import pytest

from stylegan_jax.models.features import inputs


def sampled(x, size, offset):
    """Every new pixel from its four neighbours, one at a time."""
    height, width, channels = x.shape
    out = np.zeros((size, size, channels))
    for i in range(size):
        for j in range(size):
            y = np.clip((i + offset) * height / size - offset, 0, height - 1)
            z = np.clip((j + offset) * width / size - offset, 0, width - 1)
            top, left = int(y), int(z)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, u = y - top, z - left
            upper = x[top, left] * (1 - u) + x[top, right] * u
            lower = x[below, left] * (1 - u) + x[below, right] * u
            out[i, j] = upper * (1 - v) + lower * v
    return out


@pytest.mark.parametrize("shape", [(5, 9, 3), (31, 24, 1), (12, 12, 3)])
@pytest.mark.parametrize("how, offset", [("bilinear", 0.5), ("tensorflow", 0.0)])
def test_resize_takes_the_four_neighbours(shape, how, offset):
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    got = np.asarray(inputs.resize(x, 12, how))
    assert got.shape == (2, 12, 12, shape[2])
    for picture, want in zip(got, x, strict=True):
        np.testing.assert_allclose(picture, sampled(want, 12, offset), atol=2e-6)


def test_the_two_ways_of_resizing_differ_and_none_leaves_the_picture():
    x = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)
    bilinear = np.asarray(inputs.resize(x, 4, "bilinear"))
    corners = np.asarray(inputs.resize(x, 4, "tensorflow"))
    assert bilinear[0, 0, 0, 0] == x[0, :2, :2].mean()
    assert corners[0, 0, 0, 0] == x[0, 0, 0, 0]
    assert inputs.resize(x, 4, "none") is x
    with pytest.raises(ValueError, match="'cubic', choose from bilinear"):
        inputs.resize(x, 4, "cubic")


def test_bytes_become_minus_one_to_one():
    x = np.array([0, 128, 255], np.uint8).reshape(1, 1, 1, 3)
    tensorflow = np.asarray(inputs.from_uint8(x)).ravel()
    np.testing.assert_allclose(tensorflow, [-1, 0, 127 / 128])
    pytorch = np.asarray(inputs.from_uint8(x, "pytorch")).ravel()
    np.testing.assert_allclose(pytorch, [-1, 1 / 255, 1], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="'unit', choose from tensorflow"):
        inputs.from_uint8(x, "unit")


def test_imagenet_mean_becomes_zero():
    mean = 2 * np.array(inputs.IMAGENET_MEAN, np.float32).reshape(1, 1, 1, 3) - 1
    np.testing.assert_allclose(inputs.imagenet(mean), np.zeros((1, 1, 1, 3)), atol=1e-6)
    # LPIPS rounds the same constants, so the two agree to about a hundredth.
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 2, 2, 3)
    np.testing.assert_allclose(inputs.lpips(x), inputs.imagenet(x), atol=0.02)
