"""MobileStyleGAN's arithmetic, against a slow rewrite in NumPy."""

import jax
import numpy as np
import pytest
from golden_draw import relative_error
from tiny_mobilestylegan import TINY, tiny_mobilestylegan

from stylegan_jax.models.mobilestylegan import Generator
from stylegan_jax.models.mobilestylegan.layers import convolve_each
from stylegan_jax.models.mobilestylegan.wavelets import inverse_haar


def haar(x):
    """[H, W, 4 C] to [2 H, 2 W, C]: rows first, then columns, in orthonormal steps."""
    height, width, channels = x.shape
    c = channels // 4
    low, high = x[..., :c], x[..., c:].reshape(height, width, c, 3)
    lh, hl, hh = (high[..., i] for i in range(3))

    def doubled(one, two, axis):
        pair = [(one + two) / 2**0.5, (one - two) / 2**0.5]
        shape = list(one.shape)
        shape[axis] *= 2
        return np.stack(pair, axis + 1).reshape(shape)

    return doubled(doubled(low, lh, 0), doubled(hl, hh, 0), 1)


def test_sub_bands_come_together():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 24)).astype(np.float32)
    got = np.asarray(inverse_haar(x))
    assert got.shape == (2, 6, 10, 6)
    np.testing.assert_allclose(got, [haar(each) for each in x], atol=1e-6)
    # Orthonormal: nothing is lost and nothing grows.
    assert np.square(got).sum() == pytest.approx(np.square(x).sum(), rel=1e-5)


def correlated(x, kernel):
    """[H, W, I] and [3, 3, I, O] to [H, W, O], with zeros around."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    taps = [(i, j) for i in range(3) for j in range(3)]
    return sum(
        padded[i : i + height, j : j + width] @ kernel[i, j].astype(np.float64)
        for i, j in taps
    )


def test_every_channel_has_its_own_kernel():
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((1, 4, 5, 3)), rng.standard_normal((3, 3, 3))
    full = kernel[..., None] * np.eye(3)
    want = correlated(x[0], full)
    got = convolve_each(x.astype(np.float32), kernel.astype(np.float32))
    np.testing.assert_allclose(got[0], want, atol=1e-5)


def drawn(variables, w, noise):
    """The picture [32, 32, 3] of one w [w_dim], from the paper and the file's figures.

    A style is a bare dense layer; it is divided by the root of 9 times its channels
    before a kernel of 3x3, by that of its channels before the last one, and not before
    a wavelet transform.
    """
    p = variables["params"]["synthesis"]
    maps = variables["noise"]["synthesis"]

    def style(tree):
        return w @ tree["affine"]["kernel"] + tree["affine"]["bias"]

    def finish(x, tree, const):
        if noise:
            x = x + const["finish"]["noise_const"][..., None]
        x = x + tree["finish"]["bias"]
        return np.where(x > 0, x, 0.2 * x)

    x = p["const"]
    first = p["b4"]
    x = correlated(x * style(first["style"]) / (9 * 16) ** 0.5, first["kernel"])
    x = finish(x, first, maps["b4"])
    for name in ("b8", "b16"):
        x = haar(x * style(p[name]["up"]))
        for conv in ("conv0", "conv1"):
            tree = p[name][conv]
            inputs = x.shape[2]
            full = tree["depthwise"][..., None] * np.eye(inputs)
            x = correlated(x * style(tree["style"]) / (9 * inputs) ** 0.5, full)
            x = finish(x @ tree["pointwise"], tree, maps[name][conv])
    last = p["to_wavelets"]
    x = (x * style(last["style"]) / x.shape[2] ** 0.5) @ last["kernel"]
    return haar(x + last["bias"])


@pytest.mark.parametrize("noise_mode", ["const", "none"])
def test_pictures_are_what_the_arithmetic_says(noise_mode):
    module, variables = tiny_mobilestylegan()
    w = np.random.default_rng(1).standard_normal((2, 5)).astype(np.float32)
    w_plus = np.repeat(w[:, None], module.num_ws, 1)
    draw = jax.jit(
        lambda v, w: module.apply(v, w, noise_mode=noise_mode, method="synthesis")
    )
    got = np.asarray(draw(variables, w_plus))
    assert got.shape == (2, *module.image_shape) == (2, 32, 32, 3)
    want = np.stack([drawn(variables, each, noise_mode == "const") for each in w])
    assert relative_error(got, want) < 1e-5
    # Each latent moves the picture, so none is left out.
    moved = w_plus[:1] + 0.5 * np.eye(module.num_ws, dtype=np.float32)[..., None]
    others = np.concatenate([draw(variables, each[None]) for each in moved])
    assert (np.abs(others - got[0]).max((1, 2, 3)) > 1e-3).all()


def test_the_published_size():
    module = Generator(num_blocks=9)
    assert module.image_shape == (1024, 1024, 3)
    assert (module.num_ws, module.c_dim) == (23, 0)
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 512), np.float32)
    )
    trained = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]["synthesis"]))
    assert trained == 7_306_380


@pytest.mark.parametrize(
    ("fields", "call", "words"),
    [
        ({"channel_max": 6}, {}, "4 divides"),
        ({"num_blocks": 1}, {}, "at least 2"),
        ({}, {"noise_mode": "random"}, "const or none"),
        ({}, {"noise_keys": np.zeros(1, np.uint32)}, "without keys"),
        ({}, {"w_plus": np.zeros((1, 2, 5), np.float32)}, "w_plus"),
    ],
    ids=["width", "blocks", "noise", "keys", "shape"],
)
def test_what_it_cannot_draw_is_refused(fields, call, words):
    module = Generator(**{**TINY, **fields})
    _, variables = tiny_mobilestylegan()
    call = {"w_plus": np.zeros((1, 8, 5), np.float32), **call}
    with pytest.raises(ValueError, match=words):
        module.apply(variables, **call, method="synthesis")
