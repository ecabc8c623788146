import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.models.stylegan2.discriminator import minibatch_std
from stylegan_jax.training.rngs import Draw
from stylegan_jax.training.stylegan2.scores import Scores, side_by_side


def test_one_pass_gives_what_two_give():
    keys = jax.random.split(jax.random.key(0), 2)
    fake, real = (jax.random.normal(key, (8, 2, 2, 4)) for key in keys)
    label = jnp.arange(8.0)[:, None]

    def judge(images, label):
        seen = minibatch_std(images, 4)
        return jnp.sum(seen, (1, 2, 3)) + 10 * seen[:, 0, 0, -1] + label[:, 0]

    def augment(images, draw):
        return images * (2.0 if draw is Draw.AUGMENT_FAKE else 3.0)

    score = Scores(judge, augment, label, 4)
    found = score.both(fake, real)
    expected = score(fake, Draw.AUGMENT_FAKE), score(real, Draw.AUGMENT_REAL)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_batches_alternate_by_rows():
    both = side_by_side(jnp.arange(4), jnp.arange(10, 14), 2)
    assert both.tolist() == [0, 1, 10, 11, 2, 3, 12, 13]
