import numpy as np
import pytest

from stylegan_jax.convert_torch.rules.language import Axes, Buffer, Rule, expand

CASES = {
    "conv": ("OIHW>HWIO", (5, 3, 2, 4), (2, 4, 3, 5), {}),
    "leading one": ("1OIHW>HWIO", (1, 5, 3, 2, 4), (2, 4, 3, 5), {}),
    "dense": ("OI>IO", (5, 3), (3, 5), {}),
    "as it is": ("", (5, 3), (5, 3), {}),
    "scalar": ("1>", (1,), (), {}),
    "ones around": ("1C11>C", (1, 3, 1, 1), (3,), {}),
    "flattened": ("O(CHW)>(HWC)O", (5, 24), (24, 5), {"H": 2, "W": 4}),
    "upside down": ("HWIO>HWIO flip", (2, 4, 3, 5), (2, 4, 3, 5), {}),
}


@pytest.mark.parametrize("name", CASES)
def test_axes_turn_and_turn_back(name):
    text, source, target, sizes = CASES[name]
    axes = Axes(text, sizes)
    array = np.arange(np.prod(source), dtype=np.float32).reshape(source)
    turned = axes.forward(array)
    assert turned.shape == target
    assert axes.source_shape(target) == source
    np.testing.assert_array_equal(axes.backward(turned), array)


def test_flattened_axes_change_their_order():
    array = np.arange(24).reshape(1, 24)  # C=3, H=2, W=4
    turned = Axes("O(CHW)>(HWC)O", {"H": 2, "W": 4}).forward(array)
    want = array.reshape(3, 2, 4).transpose(1, 2, 0).reshape(24, 1)
    np.testing.assert_array_equal(turned, want)


def test_flip_reverses_both_directions():
    array = np.arange(6).reshape(2, 3, 1, 1)
    turned = Axes("HWIO>HWIO flip").forward(array)
    np.testing.assert_array_equal(turned, array[::-1, ::-1])


def test_plus_one():
    np.testing.assert_array_equal(
        Axes("O>O +1").forward(np.zeros(3, np.float32)), np.ones(3)
    )


def test_blanks_are_filled_from_scopes():
    table = (
        Rule("style.{j}.weight", "params/fc{i}/weight", "OI>IO", "fc"),
        Buffer("kernel{i}", lambda values: np.full(2, values["taps"]), "fc"),
    )
    scopes = {"": [{"taps": 3}], "fc": [{"i": 0, "j": 1}, {"i": 1, "j": 2}]}
    expansion = expand(table, scopes)
    assert [(e.source, e.target) for e in expansion.entries] == [
        ("style.1.weight", "params/fc0/weight"),
        ("style.2.weight", "params/fc1/weight"),
    ]
    assert [b.source for b in expansion.buffers] == ["kernel0", "kernel1"]
    np.testing.assert_array_equal(expansion.buffers[1].value(), [3, 3])
