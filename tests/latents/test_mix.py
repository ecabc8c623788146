import numpy as np
import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.latents.mix import mix, move_layers


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


def test_named_layers_go_to_the_style():
    rng = np.random.default_rng(0)
    person = rng.standard_normal((6, 8)).astype(np.float32)
    styles = rng.standard_normal((2, 6, 8)).astype(np.float32)
    moved = move_layers(person, styles, [3, 4], [0, 0.25, 1])
    assert moved.shape == (2, 3, 6, 8)
    np.testing.assert_array_equal(moved[:, 0], [person, person])
    others = [0, 1, 2, 5]
    np.testing.assert_array_equal(
        moved[:, :, others], np.broadcast_to(person[others], (2, 3, 4, 8))
    )
    np.testing.assert_allclose(moved[:, 2, 3:5], styles[:, 3:5], rtol=1e-5)
    want = 0.75 * person[3:5] + 0.25 * styles[:, 3:5]
    np.testing.assert_allclose(moved[:, 1, 3:5], want, atol=1e-6)
    with pytest.raises(UserError, match="layers 0 to 5, got 6"):
        move_layers(person, styles, [6], [1])
