"""Cross-domain correspondence against its definition, written with loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.losses.correspondence import cross_domain_correspondence

N, GROUP = 8, 4


def features(seed, n=N):
    rng = np.random.default_rng(seed)
    shapes = [(n, 4, 4, 3), (n, 8, 8, 2)]
    return [rng.standard_normal(s).astype(np.float32) for s in shapes]


def by_definition(adapted, source, group):
    total = []
    for new, old in zip(adapted, source, strict=True):
        n = len(new)
        for i in range(n):
            others = [j for j in range(n) if j != i and (i - j) % (n // group) == 0]
            p, q = (softmax([cosine(x[i], x[j]) for j in others]) for x in (new, old))
            total.append(float(np.sum(p * np.log(p / q))))
    return np.mean(total)


def cosine(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def softmax(values):
    e = np.exp(np.asarray(values))
    return e / e.sum()


def test_is_the_definition():
    a, b = features(0), features(1)
    loss = cross_domain_correspondence(a, b, GROUP)
    np.testing.assert_allclose(loss, by_definition(a, b, GROUP), rtol=1e-4)
    assert loss > 0


def test_brightness_of_features_does_not_count():
    a = features(0)
    louder = [x * 3.0 for x in a]
    assert float(cross_domain_correspondence(louder, a, GROUP)) < 1e-6


def test_is_the_same_in_parts_of_whole_groups():
    """Samples i, i + N/2, … stay together, as ``spmd.batch_rows`` lays them out."""
    a, b = features(0), features(1)
    whole = cross_domain_correspondence(a, b, GROUP)
    halves = [
        cross_domain_correspondence([x[s::2] for x in a], [x[s::2] for x in b], GROUP)
        for s in (0, 1)
    ]
    np.testing.assert_allclose(np.mean(halves), whole, rtol=1e-5)


def test_gradient_leads_back_to_the_source():
    source = features(1)
    adapted = [jnp.asarray(x) for x in features(0)]
    step = jax.jit(jax.value_and_grad(cross_domain_correspondence), static_argnums=2)
    first, _ = step(adapted, source, GROUP)
    for _ in range(200):
        _, gradient = step(adapted, source, GROUP)
        adapted = jax.tree.map(lambda x, g: x - 20 * g, adapted, gradient)
    last, _ = step(adapted, source, GROUP)
    assert last < 0.2 * first


def test_features_of_zeros_have_finite_gradients():
    adapted = [jnp.zeros_like(x) for x in features(0)]
    gradient = jax.grad(cross_domain_correspondence)(adapted, features(1), GROUP)
    assert all(bool(jnp.isfinite(g).all()) for g in gradient)


@pytest.mark.parametrize("group", [2, 3])
def test_groups_that_say_nothing(group):
    with pytest.raises(ValueError, match="at least 3"):
        cross_domain_correspondence(features(0), features(1), group)
