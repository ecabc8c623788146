import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import tiny_generator

from stylegan_jax.models.stylegan2 import Generator, truncate

ARCHITECTURES = ["skip", "resnet", "orig"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def inputs(module, n=2):
    """z and c; labels are one-hot."""
    c = np.eye(n, module.c_dim, dtype=np.float32) if module.c_dim else None
    return noise(n, module.z_dim), c


def tiny(**fields):
    # A mapping network at the usual rate of 0.01 would map small draws to nearly 0.
    return tiny_generator(mapping_lr_multiplier=1.0, **fields)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_shapes_of_every_kind(architecture):
    kinds = [*itertools.product([0, 3], [(4, 4), (3, 5)], [1, 4, 6], [2])]
    for c_dim, grid, channels, blocks in [*kinds, (0, (4, 4), 3, 1)]:
        module = Generator(
            num_blocks=blocks,
            z_dim=8,
            w_dim=6,
            c_dim=c_dim,
            base_grid=grid,
            img_channels=channels,
            mapping_layers=1,
            channel_base=32,
            architecture=architecture,
        )
        z, c = (jax.ShapeDtypeStruct((2, d), np.float32) for d in (8, max(c_dim, 1)))
        images, variables = jax.eval_shape(
            module.init_with_output, jax.random.key(0), z, c if c_dim else None
        )
        assert set(variables) == {"params", "moving_stats", "noise"}
        scale = 2 ** (blocks - 1)
        size = (grid[0] * scale, grid[1] * scale, channels)
        assert module.image_shape == size
        assert images.shape == (2, *size)
        assert images.dtype == jnp.float32
        assert module.num_ws == 2 * blocks


@pytest.mark.parametrize(
    "architecture, c_dim, base_grid, img_channels",
    [
        ("skip", 0, (4, 4), 4),
        ("skip", 3, (3, 5), 1),
        ("resnet", 0, (3, 5), 6),
        ("resnet", 3, (4, 4), 1),
        ("orig", 0, (4, 4), 1),
        ("orig", 3, (3, 5), 6),
    ],
)
def test_runs(architecture, c_dim, base_grid, img_channels):
    module, variables = tiny(
        architecture=architecture,
        c_dim=c_dim,
        base_grid=base_grid,
        img_channels=img_channels,
        num_blocks=2,
    )
    z, c = inputs(module)

    @jax.jit
    def both(z, c):
        image = module.apply(variables, z, c)
        w_plus = module.apply(variables, z, c, method="mapping")
        parts = module.apply(variables, w_plus, noise_mode="const", method="synthesis")
        return image, parts

    image, parts = both(z, c)
    assert image.shape == (2, *module.image_shape)
    assert np.all(np.isfinite(image))
    assert np.std(image) > 0.01
    assert np.abs(image[0] - image[1]).max() > 1e-3  # z matters
    np.testing.assert_allclose(image, parts, atol=1e-6)  # mapping, then synthesis


def test_num_ws_counts_two_for_every_block():
    assert Generator(num_blocks=7).num_ws == 14
    assert Generator(num_blocks=9).num_ws == 18
    assert Generator(num_blocks=9).image_shape == (1024, 1024, 3)


def test_names_of_the_variables():
    module, variables = tiny()
    synthesis = variables["params"]["synthesis"]
    assert set(variables["params"]) == {"mapping", "synthesis"}
    assert set(variables["params"]["mapping"]) == {"fc0", "fc1"}
    assert set(synthesis) == {"b4", "b8", "b16"}
    assert set(synthesis["b4"]) == {"const", "conv1", "torgb"}
    assert set(synthesis["b8"]) == {"conv0", "conv1", "torgb"}
    names = {"weight", "bias", "noise_strength", "affine"}
    assert set(synthesis["b8"]["conv0"]) == names
    resnet = tiny(architecture="resnet")[1]["params"]["synthesis"]
    assert set(resnet["b8"]) == {"conv0", "conv1", "skip"}
    assert set(resnet["b8"]["skip"]) == {"weight"}
    assert "torgb" in resnet["b16"]
    assert variables["moving_stats"]["mapping"]["w_avg"].shape == (module.w_dim,)
    assert variables["noise"]["synthesis"]["b8"]["conv0"]["noise_const"].shape == (8, 8)


def test_labels_matter():
    module, variables = tiny(c_dim=3)
    z = np.repeat(noise(1, module.z_dim), 4, 0)
    c = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    images = np.asarray(jax.jit(module.apply)(variables, z, c))
    np.testing.assert_allclose(images[3], images[0], atol=1e-5)
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert np.abs(images[i] - images[j]).max() > 1e-2


@pytest.mark.parametrize("cutoff", [None, 0, 2, 5, 9])
def test_truncate(cutoff):
    w_plus, w_avg = noise(2, 5, 4), noise(4, seed=1)
    y = truncate(w_plus, w_avg, 0.7, cutoff)
    expected = np.stack(
        [
            w_avg + 0.7 * (w_plus[:, k] - w_avg)
            if cutoff is None or k < cutoff
            else w_plus[:, k]
            for k in range(5)
        ],
        1,
    )
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_truncation_of_the_mapping():
    module, variables = tiny()
    z, _ = inputs(module)
    w_avg = variables["moving_stats"]["mapping"]["w_avg"]

    @jax.jit
    def mapped(psi):
        w = module.apply(variables, z, method="w")
        options = {"truncation_psi": psi, "method": "mapping"}
        full = module.apply(variables, z, **options)
        return w, full, module.apply(variables, z, truncation_cutoff=2, **options)

    w, full, cut = mapped(1.0)
    assert full.shape == (2, module.num_ws, module.w_dim)
    for y in (full, cut):
        np.testing.assert_allclose(y, np.repeat(w[:, None], 6, 1), atol=1e-6)
    w, full, cut = mapped(0.0)  # psi is traced: no second program
    assert np.abs(w - w_avg).max() > 0.1
    np.testing.assert_allclose(full, np.broadcast_to(w_avg, full.shape), atol=1e-6)
    np.testing.assert_allclose(cut[:, :2], full[:, :2], atol=1e-6)
    np.testing.assert_allclose(cut[:, 2:], np.repeat(w[:, None], 4, 1), atol=1e-6)
    assert mapped._cache_size() == 1


def refused(message, method=None, args=None, kwargs=None, **fields):
    module = Generator(**{"num_blocks": 2, "z_dim": 8, "w_dim": 8} | fields)
    args = (jnp.zeros((2, 8)),) if args is None else args
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            lambda: module.init(jax.random.key(0), *args, method=method, **kwargs or {})
        )


def test_refuses_unknown_names():
    refused(
        "^Unknown generator architecture 'dense', choose from skip, resnet, orig.",
        architecture="dense",
    )
    refused(
        "^Unknown noise mode 'fixed', choose from random, const, none.",
        kwargs={"noise_mode": "fixed"},
    )
    refused("^Unknown dtype 'half', choose from float32, bfloat16", dtype="half")


def test_refuses_inputs_that_do_not_fit():
    w_plus = jnp.zeros((2, 4, 8))
    refused(
        r"w_plus in Generator.synthesis has shape \(2, 3, 8\), expected \(any, 4, 8\)",
        method="synthesis",
        args=(w_plus[:, :3],),
    )
    refused(r"has shape \(2, 8\), expected", method="synthesis", args=(w_plus[:, 0],))
    refused("it needs c of shape", c_dim=3)
    refused("needs noise_keys", method="synthesis", args=(w_plus,))
    for keys in (jax.random.key(0), jax.random.split(jax.random.key(0), 1)):
        refused(
            r"noise_keys in Generator.synthesis has shape \(1?,?\), expected \(2\)",
            method="synthesis",
            args=(w_plus,),
            kwargs={"noise_keys": keys},
        )
