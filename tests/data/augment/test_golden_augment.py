import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_case import GoldenCase

from stylegan_jax.data.augment import AugmentSpec, augment, make_spec

CASE = GoldenCase("nvlabs_augment")
NAMES = sorted(set(CASE.expected) - {"input"})

run = jax.jit(augment, static_argnames="spec")


def nhwc(name):
    return CASE.expected[name].transpose(0, 2, 3, 1)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_original(name):
    operation, percentile = name.split("_")
    if operation == "bgc":
        spec = make_spec("bgc", mirror=True)
    else:
        spec = AugmentSpec(**{operation: 1.0})
    images = jnp.asarray(nhwc("input"))
    keys = jax.random.split(jax.random.key(0), images.shape[0])
    ours = run(images, keys, 1.0, spec, percentile=float(percentile))
    error = np.linalg.norm(ours - nhwc(name)) / np.linalg.norm(nhwc(name))
    assert error < 1e-5
    np.testing.assert_allclose(ours, nhwc(name), atol=1e-4)


def test_every_operation_but_noise_is_covered():
    single = {name.split("_")[0] for name in NAMES} - {"bgc"}
    spec = make_spec("bgcfnc", mirror=True)
    assert {op for op in single if spec.has(op)} == single
    assert len(single) == 14
