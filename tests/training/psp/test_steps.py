"""What an encoder is shown, and what its outputs are measured by."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.losses import encoder as losses_of
from stylegan_jax.models.psp import PSP
from stylegan_jax.training.networks import Networks
from stylegan_jax.training.psp.steps import EncoderHyper, Losses

RNG = np.random.default_rng(0)
WEIGHTS = {
    "l2": 1.0,
    "lpips": 0.8,
    "identity": 0.5,
    "w_norm": 0.01,
    "l2_crop": 0.1,
    "lpips_crop": 0.2,
}


NONE = Networks({})


class Stand:
    """A frozen network whose features are means of colours times its one weight."""

    variables = {"scale": np.float32(2.0)}

    @property
    def module(self):
        return self

    def apply(self, variables, x, y=None):
        if y is None:
            return {"pool": variables["scale"] * x.mean((1, 2))}
        return variables["scale"] * jnp.abs(x - y).mean((1, 2, 3))

    def embed_aligned(self, variables, x):
        found = variables["scale"] * x.mean((1, 2))
        return found / jnp.linalg.norm(found, axis=1, keepdims=True)


def make(weights=WEIGHTS, networks=NONE, **hyper):
    labels = hyper.get("labels", 0)
    psp = PSP(2, input_size=32, input_nc=labels or 3, w_dim=4)
    return Losses(
        psp, EncoderHyper(batch=2, size=16, weights=weights, **hyper), networks
    )


def pairs(channels=3, top=256):
    return {
        "source": RNG.integers(0, top, (2, 32, 32, channels), np.uint8),
        "target": RNG.integers(0, 256, (2, 16, 16, 3), np.uint8),
    }


def test_pictures_are_scaled_and_fitted():
    batch = pairs()
    source, target = make().inputs(batch, None)
    np.testing.assert_allclose(source, batch["source"] / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(target, batch["target"] / 127.5 - 1, atol=1e-6)


def test_pictures_may_be_their_own_source():
    batch = {"target": pairs()["target"]}
    source, target = make().inputs(batch, None)
    assert (source.shape, target.shape) == ((2, 32, 32, 3), (2, 16, 16, 3))
    np.testing.assert_allclose(source.mean((1, 2)), target.mean((1, 2)), atol=0.02)


@pytest.mark.parametrize("classes", [3, 4])
def test_label_maps_become_planes(classes):
    batch = pairs(1, classes)
    losses = make(labels=classes)
    source, _ = losses.inputs(batch, None)
    assert source.shape == (2, 32, 32, classes)
    np.testing.assert_array_equal(np.argmax(source, -1), batch["source"][..., 0])
    batch["source"][:] = np.arange(2, dtype=np.uint8)[:, None, None, None]
    shown, _ = losses.shown(batch)
    assert len(np.unique(shown)) == 2


def test_random_draws_belong_to_the_sample():
    batch = pairs()
    keys = jax.random.split(jax.random.key(1), 2)
    losses = make(mirror="apart", factors=(1, 2, 4))
    both = losses.inputs(batch, keys)
    second = losses.inputs({k: v[1:] for k, v in batch.items()}, keys[1:])
    for x, y in zip(both, second, strict=True):
        np.testing.assert_allclose(x[1:], y, atol=1e-6)


def test_what_is_shown_to_people_is_shrunk_the_most():
    batch = pairs()
    kept, shrunk = (
        make().inputs(batch, None)[0],
        make(factors=(1, 8)).inputs(batch, None)[0],
    )
    assert np.var(shrunk) < 0.2 * np.var(kept)


def test_every_distance_by_its_formula():
    networks = Networks({"lpips": Stand(), "identity": Stand()})
    losses = make(networks=networks)
    image, target = (
        RNG.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32) for _ in "ab"
    )
    w_plus = RNG.standard_normal((2, 4, 4)).astype(np.float32)
    mean = RNG.standard_normal((1, 4)).astype(np.float32)
    found = losses.compare(w_plus, image, target, mean, networks.variables())
    assert list(found) == list(WEIGHTS)
    crop = [losses_of.inner_face(x) for x in (image, target)]
    expected = {
        "l2": np.mean((image - target) ** 2, (1, 2, 3)),
        "lpips": 2 * np.mean(np.abs(image - target), (1, 2, 3)),
        "w_norm": np.sqrt(np.sum((w_plus - mean) ** 2, (1, 2))),
        "l2_crop": np.mean(np.square(crop[0] - crop[1]), (1, 2, 3)),
        "lpips_crop": 2 * np.mean(np.abs(crop[0] - crop[1]), (1, 2, 3)),
    }
    a, b = image.mean((1, 2)), target.mean((1, 2))
    cosine = np.sum(a * b, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    expected["identity"] = 1 - cosine
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
    total = sum(WEIGHTS[name] * value.mean() for name, value in expected.items())
    assert float(losses.total(found)) == pytest.approx(total, rel=1e-5)


def test_a_loss_without_weight_needs_no_network():
    image = jnp.zeros((1, 16, 16, 3))
    w_plus = jnp.zeros((1, 4, 4))
    found = make({"l2": 1.0}).compare(w_plus, image, image, jnp.zeros((1, 4)), {})
    assert list(found) == ["l2"]
