import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.data.augment import augment, make_spec
from stylegan_jax.errors import UsageError
from stylegan_jax.training.stylegan2.augmentation import Augmentation, make_augmentation


def run(augmentation, signs, batch=32, state=None):
    """The state after one step for each mean of sign(D(real))."""

    @jax.jit
    def step(state, sign):
        return augmentation.adapt(augmentation.observe(state, sign), batch)

    state = augmentation.init() if state is None else state
    for sign in signs:
        state = step(state, jnp.float32(sign))
    return state


def test_p_moves_every_four_batches_by_the_speed():
    ada = make_augmentation("ada")
    assert float(run(ada, [1, 1, 1]).p) == 0
    step = 32 * 4 / 500_000
    assert float(run(ada, [1] * 4).p) == pytest.approx(step)
    assert float(run(ada, [1] * 11).p) == pytest.approx(2 * step)
    fine = make_augmentation("ada", finetune=True)
    assert float(run(fine, [1] * 4).p) == pytest.approx(5 * step)


def test_p_follows_the_mean_since_its_last_move():
    ada = make_augmentation("ada", p=0.5)
    assert float(run(ada, [1, 1, 0.5, 0]).p) > 0.5  # mean 0.625
    assert float(run(ada, [1, 1, 0.3, 0]).p) < 0.5  # mean 0.575
    assert float(run(ada, [1] * 4 + [0.5] * 4).p) == pytest.approx(0.5)


def test_p_is_never_below_0_or_above_its_ceiling():
    ada = make_augmentation("ada", p=0.3, ceiling=0.4, kimg=1.0)
    assert float(run(ada, [-1] * 40).p) == 0
    assert float(run(ada, [1] * 40).p) == pytest.approx(0.4)
    beyond = ada.init().replace(p=jnp.float32(0.9))
    assert float(run(ada, [1] * 4, state=beyond).p) == pytest.approx(0.4)


def test_a_state_can_be_taken_up_anywhere():
    ada = make_augmentation("ada", kimg=5.0)
    signs = np.random.default_rng(0).uniform(0, 1, 30)
    whole = run(ada, signs)
    stored = jax.tree.map(np.asarray, run(ada, signs[:13]))
    resumed = run(ada, signs[13:], state=jax.tree.map(jnp.asarray, stored))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_broken_batch_is_not_counted():
    ada = make_augmentation("ada")
    assert float(run(ada, [1, np.nan, 1, 1]).p) == 0
    assert float(run(ada, [1, np.nan, 1, 1, 1]).p) > 0


@pytest.mark.parametrize("mode", ["none", "fixed", "diffaugment"])
def test_other_modes_keep_their_state(mode):
    augmentation = make_augmentation(mode, p=0.3)
    state = run(augmentation, [1] * 8)
    for a, b in zip(
        jax.tree.leaves(state), jax.tree.leaves(augmentation.init()), strict=True
    ):
        assert a.dtype == b.dtype and a == b


def test_each_mode_applies_its_own():
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)), "f4")
    keys = jax.random.split(jax.random.key(0), 2)

    def apply(mode, **numbers):
        augmentation = make_augmentation(mode, pipe="color", **numbers)
        return augmentation.apply(images, keys, augmentation.init())

    np.testing.assert_array_equal(apply("none"), images)
    np.testing.assert_array_equal(apply("ada"), images)
    expected = augment(images, keys, 0.9, make_spec("color", mirror=False))
    np.testing.assert_allclose(apply("fixed", p=0.9), expected, atol=1e-6)
    np.testing.assert_allclose(apply("ada", p=0.9, ceiling=1.0), expected, atol=1e-6)
    assert np.abs(apply("diffaugment", policy="cutout") - images).max() > 0


def test_warns_near_the_ceiling_and_of_a_leaking_fixed_p():
    ada = make_augmentation("ada", ceiling=0.6)
    assert ada.warning(0.5) is None
    assert "ceiling of 0.6" in ada.warning(0.58)
    assert make_augmentation("fixed", p=0.5).warning(0.5) is None
    assert "0.90" in make_augmentation("fixed", p=0.9).warning(0.9)
    assert make_augmentation("none").warning(0.0) is None


def test_every_value_out_of_range_is_named():
    with pytest.raises(UsageError) as raised:
        Augmentation(mode="adda", p=1.5, target=2.0, interval=0, kimg=0.0)
    for name in ("mode", "p", "target", "interval", "kimg"):
        assert f"augment.{name}=" in str(raised.value)
    with pytest.raises(UsageError, match="above augment.ceiling"):
        Augmentation(mode="ada", p=0.7, ceiling=0.5)
    with pytest.raises(UsageError, match="no augmentation pipeline"):
        make_augmentation("ada", pipe="bcg")
    with pytest.raises(UsageError, match="policy"):
        make_augmentation("diffaugment", policy="blur")


def test_all_offenders_are_named_at_once():
    with pytest.raises(UsageError) as caught:
        make_augmentation("adda", pipe="bgz", p=7)
    for named in ("bgz", "adda", "augment.p=7"):
        assert named in str(caught.value)
