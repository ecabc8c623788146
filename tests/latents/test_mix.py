import numpy as np
import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.latents.mix import mix


@pytest.mark.parametrize("layers", [[0], [5], [0, 1, 2], [1, 4], list(range(6))])
def test_columns_give_exactly_the_named_layers(layers):
    rng = np.random.default_rng(0)
    rows, columns = rng.standard_normal((2, 6, 8)), rng.standard_normal((3, 6, 8))
    mixed = mix(rows, columns, layers)
    assert mixed.shape == (2, 3, 6, 8)
    for r in range(2):
        for c in range(3):
            for layer in range(6):
                source = columns[c] if layer in layers else rows[r]
                np.testing.assert_array_equal(
                    mixed[r, c, layer], source[layer].astype(np.float32)
                )


def test_refusals():
    x = np.zeros((1, 6, 8))
    with pytest.raises(UserError, match="layers 0 to 5, got 6, -1"):
        mix(x, x, [0, 6, -1])
    with pytest.raises(UserError, match="of one model"):
        mix(x, np.zeros((1, 5, 8)), [0])
