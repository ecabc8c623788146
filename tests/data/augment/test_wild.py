"""Distorted pairs: halves that stay together, and damage as cameras do it."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data.augment import jpeg
from stylegan_jax.data.augment.wild import PHOTOS, Wild, blind_spot, distort
from stylegan_jax.errors import UsageError

GEOMETRY = Wild(rotate=20.0, scale=0.2, translate=0.1, crop=0.2)
DAMAGE = {"light": 1.0, "colour": 0.3, "blur": 8.0, "noise": 0.1, "jpeg": 10.0}


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def scene(count=4, size=32):
    """Smooth pictures with some edges and colour, [N, H, W, 3] in [-1, 1]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    waves = rng.uniform(1, 3, (count, 3, 2)) * 2 * np.pi
    picture = np.sin(waves[..., 0, None, None] * x + waves[..., 1, None, None] * y)
    picture = 0.6 * picture + 0.3 * np.sign(x - y)
    return jnp.asarray(picture.transpose(0, 2, 3, 1), jnp.float32)


@pytest.fixture(scope="module")
def compiled():
    return jax.jit(distort, static_argnames="settings")


def test_without_settings_nothing_is_computed():
    a, b = scene(), -scene()
    source, target, second = distort(keys(4), a, b, Wild())
    assert source is a and target is b and second is None
    assert Wild().describe() == "nothing" and not Wild().moves and not Wild().damages
    assert not Wild(jpeg=10.0, probability=0.0).damages


def test_what_is_geometry_moves_both_halves_alike(compiled):
    a = scene()
    source, target, second = compiled(keys(4), a, a, settings=GEOMETRY, second=-a)
    assert np.abs(np.asarray(source - a)).mean() > 0.05
    np.testing.assert_array_equal(source, target)
    np.testing.assert_array_equal(source, -second)
    # Sources of another size show the same place; compare where both are smooth.
    small = jax.image.resize(a, (4, 16, 16, 3), "linear")
    other, _, _ = compiled(keys(4), small, a, settings=GEOMETRY)
    large = jax.image.resize(target, (4, 16, 16, 3), "linear")
    assert np.abs(np.asarray(other - large)).mean() < 0.06


def test_borders_are_reflected_and_ramps_moved_exactly(compiled):
    # Cubic convolution reproduces straight lines, away from where they are folded.
    row = jnp.linspace(-0.9, 0.9, 32)
    a = jnp.broadcast_to(row[None, None, :, None], (4, 32, 32, 1))
    source, _, _ = compiled(keys(4), a, a, settings=Wild(translate=0.4))
    step, moves = 1.8 / 31, []
    for line in np.asarray(source)[:, 16, :, 0]:
        moves.append((line[16] - float(row[16])) / step)
        places = np.arange(32) + moves[-1]
        folded = np.abs(places)
        folded = np.where(folded > 31, 62 - folded, folded)
        inner = (np.abs(places) > 2) & (np.abs(places - 31) > 2)
        np.testing.assert_allclose(line[inner], (folded * step - 0.9)[inner], atol=1e-5)
    assert np.ptp(moves) > 2 and np.abs(moves).max() < 16


def test_classes_are_moved_and_never_mixed_or_damaged(compiled):
    maps = jnp.asarray(np.random.default_rng(0).choice([0, 7, 19], (4, 32, 32, 1)))
    both = dataclasses.replace(GEOMETRY, **DAMAGE)
    source, _, _ = compiled(keys(4), maps, scene(), settings=both)
    assert source.dtype == maps.dtype
    assert set(np.unique(source)) == {0, 7, 19} and (source != maps).any()


@pytest.mark.parametrize("name", DAMAGE)
def test_each_damage_is_the_sources_alone_and_depends_on_its_key(compiled, name):
    a = scene()
    wild = Wild(**{name: DAMAGE[name]}, probability=1.0)
    source, target, second = compiled(keys(4), a, a, settings=wild, second=a)
    assert target is a or np.array_equal(target, a)
    changed = np.abs(np.asarray(source - a)).mean((1, 2, 3))
    # Strengths are drawn from nothing on, so that one may change little.
    assert (changed > 1e-4).sum() >= 2 and len(np.unique(changed)) == 4
    assert (np.abs(np.asarray(source)) <= 1).all()
    assert not np.array_equal(source, second)  # its own damage
    # Another batch, in another order, gives the same.
    again, _, _ = compiled(keys(4)[::-1], a[::-1], a, settings=wild, second=a)
    np.testing.assert_allclose(again[::-1], source, atol=1e-5)


def test_light_may_fall_on_both(compiled):
    a = scene()
    wild = Wild(light=1.0, light_both=True, probability=0.5)
    a = jnp.tile(a, (4, 1, 1, 1))
    source, target, _ = compiled(keys(16), a, a, settings=wild)
    np.testing.assert_allclose(source, target, atol=1e-6)
    same = (np.asarray(source) == np.asarray(a)).all((1, 2, 3))
    assert 0 < same.sum() < 16  # the probability leaves some as they are


def test_light_brightens_by_stops(compiled):
    grey = jnp.full((64, 4, 4, 3), -0.5)  # a quarter of white
    wild = Wild(light=1.0, probability=1.0)
    source, _, _ = compiled(keys(64), grey, grey, settings=wild)
    values = np.asarray(source).mean((1, 2, 3)) / 2 + 0.5
    # One stop and half a gamma, either way, about.
    assert 0.05 < values.min() < 0.2 < 0.3 < values.max() < 0.75


def test_blur_keeps_flat_pictures_and_takes_detail(compiled):
    flat = jnp.full((2, 16, 16, 3), 0.25)
    wild = Wild(blur=64.0, probability=1.0)
    source, _, _ = compiled(keys(2), flat, flat, settings=wild)
    np.testing.assert_allclose(source, flat, atol=1e-5)
    rough = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)))
    source, _, _ = compiled(keys(2), rough.astype("f"), flat, settings=wild)
    assert np.std(source) < 0.5 * np.std(rough)


def saved(picture, quality):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream)).astype(float)


@pytest.mark.parametrize("shape", [(48, 48, 3), (37, 45, 3), (40, 24)])
def test_jpeg_is_what_pillow_makes(shape):
    channels = shape[2] if len(shape) == 3 else 1
    picture = np.asarray(scene(1, 64))[0, : shape[0], : shape[1], :channels]
    rng = np.random.default_rng(0)
    picture = picture + 0.1 * rng.standard_normal(picture.shape)
    picture = np.round(np.clip(picture, -1, 1) * 127.5 + 127.5).astype(np.uint8)
    qualities = [5, 30, 60, 90]
    batch = np.repeat(picture[None].astype(np.float32) / 127.5 - 1, 4, 0)
    ours = jax.jit(jpeg.compress)(
        jnp.asarray(batch), jnp.asarray(qualities, jnp.float32)
    )
    for quality, found in zip(qualities, ours, strict=True):
        found = np.asarray(found) * 127.5 + 127.5
        want = saved(picture.reshape(shape), quality).reshape(found.shape)
        error, theirs = found - picture, want - picture
        likeness = np.corrcoef(error.ravel(), theirs.ravel())[0, 1]
        assert likeness > 0.95, quality
        assert np.abs(found - want).mean() < 0.2 * np.abs(theirs).mean(), quality


def test_the_blind_spot_hides_a_corner_from_the_losses():
    fake, shown = jnp.zeros((2, 8, 8, 3)), jnp.ones((2, 8, 8, 6))
    found = np.asarray(blind_spot(fake, shown, 3))
    assert (found[:, :3, :3] == 1).all() and found.sum() == 2 * 9 * 3
    assert blind_spot(fake, shown, 0) is fake

    def loss(fake, shown):
        return jnp.sum(blind_spot(fake, shown, 3))

    ours, theirs = jax.grad(loss, (0, 1))(fake, shown)
    assert not np.any(theirs) and not np.any(ours[:, :3, :3]) and ours.sum() > 0
    with pytest.raises(UsageError, match="fits in a picture of 8x8"):
        blind_spot(fake, shown, 9)


def test_refusals_list_all_and_words_say_all():
    with pytest.raises(UsageError, match=r"rotate is 200 .*; jpeg is 0.5"):
        Wild(rotate=200, jpeg=0.5).check()
    with pytest.raises(UsageError, match="light is nan"):
        Wild(light=float("nan")).check()
    with pytest.raises(UsageError, match="has 4 channels"):
        distort(keys(1), jnp.zeros((1, 8, 8, 4)), jnp.zeros((1, 8, 8, 3)), PHOTOS)
    with pytest.raises(ValueError, match="not"):
        distort(keys(2), scene(), scene(), PHOTOS)
    said = PHOTOS.describe()
    assert "turned by up to 5°" in said and "JPEG from quality 30" in said
    assert said.endswith("damage of each kind in 50% of sources")


def test_no_gradient_passes():
    wild = Wild(light=1.0, light_both=True)

    @jax.jit
    @jax.grad
    def slope(a):
        return sum(jnp.sum(x) for x in distort(keys(4), a, a, wild)[:2])

    assert not np.any(slope(scene()))
