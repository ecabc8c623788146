import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from stylegan_jax.data.augment import PIPES, AugmentSpec, augment, make_spec
from stylegan_jax.errors import UsageError

EVERYTHING = make_spec("bgcfnc", mirror=True)


def pictures(n=4, height=12, width=12, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(-1, 1, (n, height, width, channels)), jnp.float32)


def keys_of(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def share_changed(spec, p, n=2000, side=4):
    """Share of images of which an operation changes anything."""
    images = pictures(n, side, side)
    changed = jax.jit(lambda x, k: augment(x, k, p, spec))(images, keys_of(n))
    return float(np.mean(np.any(np.abs(changed - images) > 1e-4, axis=(1, 2, 3))))


def test_p_of_0_gives_the_images_back_bit_for_bit():
    images = pictures()
    same = jax.jit(lambda p: augment(images, keys_of(4), p, EVERYTHING))(0.0)
    np.testing.assert_array_equal(same, images)


def test_no_operation_gives_the_images_back():
    images = pictures()
    assert augment(images, keys_of(4), 1.0, AugmentSpec()) is images


@pytest.mark.parametrize("shape", [(8, 8, 3), (10, 16, 3), (9, 7, 1), (8, 8, 4)])
def test_any_shape_goes_through_everything(shape):
    images = pictures(3, *shape)
    changed = augment(images, keys_of(3), 1.0, EVERYTHING)
    assert changed.shape == images.shape and changed.dtype == jnp.float32
    assert np.all(np.isfinite(changed))
    assert np.all(np.any(np.abs(changed - images) > 1e-2, axis=(1, 2, 3)))


def test_an_image_depends_on_its_own_key_alone():
    images, keys = pictures(6), keys_of(6)
    together = augment(images, keys, 0.7, EVERYTHING)
    alone = augment(images[3:4], keys[3:4], 0.7, EVERYTHING)
    np.testing.assert_allclose(together[3:4], alone, atol=1e-5)
    turned = augment(images[::-1], keys[::-1], 0.7, EVERYTHING)
    np.testing.assert_allclose(turned[::-1], together, atol=1e-5)


def test_another_key_gives_another_picture():
    images = jnp.repeat(pictures(1), 2, 0)
    first, second = augment(images, keys_of(2), 1.0, EVERYTHING)
    assert np.abs(first - second).max() > 0.1


def test_an_operation_draws_the_same_whatever_else_is_on():
    images, keys = pictures(), keys_of(4)
    alone = augment(images, keys, 1.0, AugmentSpec(brightness=1.0))
    both = augment(images, keys, 1.0, AugmentSpec(brightness=1.0, cutout=1.0))
    kept = both != 0
    np.testing.assert_allclose(both[kept], alone[kept], atol=1e-6)


def test_sharded_over_devices_gives_the_same():
    images, keys = pictures(8), keys_of(8)
    mesh = Mesh(np.asarray(jax.devices()[:8]), ("data",))
    rows = PartitionSpec("data")

    def local(x, k, p):
        def total(y):
            changed = augment(y, k, p, EVERYTHING)
            return jnp.sum(jnp.square(changed)), changed

        return jax.grad(total, has_aux=True)(x)

    specs = {"in_specs": (rows, rows, PartitionSpec()), "out_specs": (rows, rows)}
    sharded = jax.jit(jax.shard_map(local, mesh=mesh, **specs))
    arguments = (images, keys, jnp.float32(0.8))
    pairs = zip(sharded(*arguments), jax.jit(local)(*arguments), strict=True)
    for ours, expected in pairs:
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_moving_p_does_not_compile_again():
    traces = []

    @jax.jit
    def step(p):
        traces.append(p)
        return augment(pictures(), keys_of(4), p, EVERYTHING)

    for p in (0.0, 0.1, 0.5, 0.8):
        step(p)
    assert len(traces) == 1


@pytest.mark.parametrize("p", [0.25, 0.6])
@pytest.mark.parametrize(
    "operation", ["xint", "scale", "rotate", "brightness", "saturation", "noise"]
)
def test_an_operation_happens_with_probability_p(operation, p):
    spec = AugmentSpec(**{operation: 1.0, "xint_max": 1.0})
    # A move by less than half a pixel on both axes is no move: 4 px, up to +-4.
    never = (1 / 8) ** 2 if operation == "xint" else 0.0
    assert share_changed(spec, p) == pytest.approx(p * (1 - never), abs=0.05)


@pytest.mark.parametrize(
    ("operation", "share"), [("xflip", 1 / 2), ("rotate90", 3 / 4), ("lumaflip", 1 / 2)]
)
def test_choices_include_the_unchanged_image(operation, share):
    spec = AugmentSpec(**{operation: 1.0})
    assert share_changed(spec, 0.8) == pytest.approx(0.8 * share, abs=0.05)


def test_a_multiplier_scales_the_probability():
    spec = AugmentSpec(contrast=0.5)
    assert share_changed(spec, 0.8) == pytest.approx(0.4, abs=0.05)


def scalar(x):
    """An uneven function of the images, whose gradient depends on them."""
    weights = jnp.linspace(-1.0, 1.0, x.size).reshape(x.shape)
    return jnp.sum(weights * x) + jnp.sum(x**3) / 3


@pytest.mark.parametrize("pipe", ["bg", "color", "filter", "bgcfnc"])
def test_gradient_agrees_with_differences(pipe):
    spec = make_spec(pipe, mirror=True)
    images, step = pictures(2, 8, 10), pictures(2, 8, 10, seed=1)
    run = jax.jit(lambda x: scalar(augment(x, keys_of(2), 1.0, spec)))
    slope = float(jnp.sum(jax.grad(run)(images) * step))
    # The function is a cubic along a line: this four-point rule is exact for it.
    at = {t: float(run(images + t * step)) for t in (-1.0, -0.5, 0.5, 1.0)}
    expected = (8 * (at[0.5] - at[-0.5]) - (at[1.0] - at[-1.0])) / 6
    assert slope == pytest.approx(expected, rel=1e-3, abs=1e-2)


@pytest.mark.slow
def test_r1_through_the_pipeline_agrees_with_differences():
    images, keys = pictures(2, 8, 8), keys_of(2)

    def penalty(weight):
        def logits(x):
            y = augment(x, keys, jnp.float32(0.9), EVERYTHING)
            return jnp.sum(jnp.tanh(weight * jnp.sum(y * y, (1, 2, 3)) / 50))

        return jnp.sum(jnp.square(jax.grad(logits)(images)))

    penalty = jax.jit(penalty)
    slope = float(jax.jit(jax.grad(penalty))(0.7))
    expected = float(penalty(0.72) - penalty(0.68)) / 0.04
    assert abs(slope) > 1e-3
    assert slope == pytest.approx(expected, rel=1e-2)


def test_r1_at_p_of_0_is_that_without_the_pipeline():
    images = pictures()

    def penalty(change):
        gradient = jax.grad(lambda x: scalar(change(x)))(images)
        return jnp.sum(jnp.square(gradient))

    through = penalty(lambda x: augment(x, keys_of(4), jnp.float32(0), EVERYTHING))
    assert float(through) == float(penalty(lambda x: x))


def test_wrong_arguments_are_refused():
    images = pictures()
    with pytest.raises(ValueError, match="float32"):
        augment(images.astype(jnp.bfloat16), keys_of(4), 1.0, EVERYTHING)
    with pytest.raises(ValueError, match="one for each of 4"):
        augment(images, keys_of(3), 1.0, EVERYTHING)
    with pytest.raises(ValueError, match=r"\[N, H, W, C\]"):
        augment(images[0], keys_of(4), 1.0, EVERYTHING)
    with pytest.raises(UsageError, match="blit, geom or bg"):
        augment(pictures(channels=2), keys_of(4), 1.0, EVERYTHING)
    geometry = make_spec("bg", mirror=True)
    assert augment(pictures(channels=2), keys_of(4), 1.0, geometry).shape[3] == 2


def test_mirroring_is_left_out_where_the_data_are_not_mirrored():
    assert make_spec("bgc", mirror=True).xflip == 1
    assert make_spec("bgc", mirror=False) == dataclasses.replace(
        make_spec("bgc", mirror=True), xflip=0.0
    )


def test_pipelines_hold_what_their_letters_say():
    assert PIPES["bgcfnc"] == sum(
        (PIPES[g] for g in ("blit", "geom", "color", "filter", "noise", "cutout")), ()
    )
    with pytest.raises(UsageError, match="bgx.*choose from blit, geom"):
        make_spec("bgx", mirror=True)


def test_every_value_out_of_range_is_named():
    with pytest.raises(UsageError) as raised:
        AugmentSpec(xflip=1.5, noise_std=-1.0, imgfilter_bands=(1.0, 1.0, 1.0, 2.0))
    for name in ("xflip", "noise_std", "imgfilter_bands"):
        assert name in str(raised.value)
