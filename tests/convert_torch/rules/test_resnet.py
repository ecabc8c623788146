"""torchvision's residual networks, against a reference in their own names."""

import jax
import numpy as np
import pytest
from feature_cases import Faulty, assert_same_tensors, random_state
from golden_draw import relative_error
from jax import lax

from stylegan_jax.checkpoints.features import ResNetFeatures
from stylegan_jax.convert_torch.rules import resnet
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError

LAYOUT = resnet.LAYOUTS[0]
CLASSES = 7


def torchvision_shapes(stages, bottleneck, width, classes=CLASSES):
    """The names and shapes of torchvision's state dict."""
    shapes = {}

    def conv(name, *shape):
        shapes[f"{name}.weight"] = shape

    def norm(name, channels):
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{leaf}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    conv("conv1", width, 3, 7, 7)
    norm("bn1", width)
    channels = width
    for s, number in enumerate(stages, 1):
        inner = width << (s - 1)
        outer = 4 * inner if bottleneck else inner
        for i in range(number):
            name = f"layer{s}.{i}"
            kernels = (1, 3, 1) if bottleneck else (3, 3)
            widths = (inner, inner, outer) if bottleneck else (inner, outer)
            fed = channels
            for c, (kernel, wide) in enumerate(zip(kernels, widths, strict=True), 1):
                conv(f"{name}.conv{c}", wide, fed, kernel, kernel)
                norm(f"{name}.bn{c}", wide)
                fed = wide
            if i == 0 and (s > 1 or channels != outer):
                conv(f"{name}.downsample.0", outer, channels, 1, 1)
                norm(f"{name}.downsample.1", outer)
            channels = outer
    if classes:
        conv("fc", classes, channels)
        shapes["fc.bias"] = (classes,)
    return shapes


def reference(state, x):
    """torchvision's forward pass, NCHW, from the state dict alone."""

    def conv(name, x, stride=1):
        weight = state[f"{name}.weight"]
        pad = weight.shape[2] // 2
        return lax.conv_general_dilated(
            x, weight, (stride, stride), ((pad, pad), (pad, pad))
        )

    def norm(name, x):
        leaves = ("weight", "bias", "running_mean", "running_var")
        scale, bias, mean, var = (
            state[f"{name}.{leaf}"][:, None, None] for leaf in leaves
        )
        return (x - mean) / np.sqrt(var + 1e-5) * scale + bias

    def relu(x):
        return np.maximum(x, 0)

    x = relu(norm("bn1", conv("conv1", x, 2)))
    x = lax.reduce_window(
        x, -np.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0),) * 2 + ((1, 1),) * 2
    )
    maps = []
    for s in range(1, 5):
        i = 0
        while f"layer{s}.{i}.conv1.weight" in state:
            name = f"layer{s}.{i}"
            convs = [c for c in (1, 2, 3) if f"{name}.conv{c}.weight" in state]
            y = x
            for c in convs:
                # The 3x3 convolution halves: the second of three, the first of two.
                halves = i == 0 and s > 1 and c == len(convs) - 1
                y = norm(f"{name}.bn{c}", conv(f"{name}.conv{c}", y, 1 + halves))
                y = relu(y) if c < len(convs) else y
            if f"{name}.downsample.0.weight" in state:
                x = conv(f"{name}.downsample.0", x, 2 if s > 1 else 1)
                x = norm(f"{name}.downsample.1", x)
            x = relu(x + y)
            i += 1
        maps.append(x)
    pooled = np.asarray(x).mean((2, 3))
    return maps, pooled, pooled @ state["fc.weight"].T + state["fc.bias"]


CASES = {
    "basic": ((1, 2, 1, 1), False),
    "bottleneck": ((1, 2, 1, 1), True),
    "resnet18": ((2, 2, 2, 2), False),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    stages, bottleneck = CASES[request.param]
    state = random_state(torchvision_shapes(stages, bottleneck, 8))
    config = LAYOUT.config(state, {})
    return stages, bottleneck, state, config, LAYOUT.expand(config)


def test_the_config_comes_from_the_names_and_shapes(case):
    stages, bottleneck, state, config, _ = case
    assert config == {
        "stages": stages,
        "bottleneck": bottleneck,
        "num_classes": CLASSES,
        "width": 8,
    }
    bare = {k: v for k, v in state.items() if not k.startswith("fc.")}
    assert LAYOUT.config(bare, {})["num_classes"] == 0
    assert resnet.layout_of(state) is LAYOUT
    assert resnet.layout_of({"conv1.weight": state["conv1.weight"]}) is None


def test_the_function_is_that_of_the_original(case):
    _, _, state, config, expansion = case
    shapes = ResNetFeatures.shapes(config, where="test")
    variables = to_jax(state, expansion, shapes, where="test")
    x = np.random.default_rng(1).standard_normal((2, 3, 64, 48)).astype(np.float32)
    network = ResNetFeatures(ResNetFeatures.MODULE(**config), variables)
    found = network(x.transpose(0, 2, 3, 1), taps=network.taps, normalise="none")
    with jax.default_matmul_precision("highest"):
        maps, pooled, logits = reference(state, x)
    for s, want in enumerate(maps, 1):
        got = np.asarray(found[f"layer{s}"]).transpose(0, 3, 1, 2)
        assert relative_error(got, want) < 1e-5
    assert relative_error(found["pool"], pooled) < 1e-5
    assert relative_error(found["logits"], logits) < 1e-5


def test_there_and_back_is_the_same_to_the_bit(case):
    _, _, state, config, expansion = case
    shapes = ResNetFeatures.shapes(config, where="test")
    variables = to_jax(state, expansion, shapes, where="test")
    assert_same_tensors(to_torch(variables, expansion, where="test"), state)
    # Old files have no counters of batches.
    old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    to_jax(old, expansion, shapes, where="test")


@pytest.mark.parametrize("gone", ["layer1.0.conv2.weight", "layer2.0.bn1.running_var"])
def test_faults_are_all_listed(case, gone):
    _, _, state, _, _ = case
    faulty = Faulty(state, gone, "layer4.0.bn1.bias")
    config = LAYOUT.config(faulty.state, {})
    shapes = ResNetFeatures.shapes(config, where="test")
    with pytest.raises(UserError) as error:
        to_jax(faulty.state, LAYOUT.expand(config), shapes, where="r.pth")
    assert all(name in str(error.value) for name in faulty.names)
    assert "r.pth" in str(error.value)


def test_grouped_and_wide_networks_are_refused():
    state = random_state(torchvision_shapes((1, 1, 1, 1), True, 4))
    state["layer1.0.conv2.weight"] = np.zeros((4, 1, 3, 3), np.float32)
    with pytest.raises(UserError, match="wide or grouped residual network"):
        LAYOUT.config(state, {"where": "resnext.pth"})


def test_a_file_without_its_first_tensors_is_refused():
    state = random_state(torchvision_shapes((1, 1, 1, 1), False, 4))
    for name in ("conv1.weight", "bn1.weight"):
        del state[name]
    with pytest.raises(UserError, match=r"r\.pth is not a ResNet: it lacks"):
        LAYOUT.config(state, {"where": "r.pth"})


def moco_state(state):
    """A checkpoint of MoCo's training around a network."""
    used = {f"encoder_q.{k}": v for k, v in state.items() if not k.startswith("fc.")}
    spare = {
        "encoder_q.fc.0.weight": np.zeros((3, 3), np.float32),
        "encoder_q.fc.2.bias": np.zeros(3, np.float32),
        "encoder_k.conv1.weight": state["conv1.weight"] + 1,
        "queue": np.zeros((3, 4), np.float32),
        "queue_ptr": np.zeros(1, np.int64),
    }
    return used, spare


def test_mocos_checkpoints_give_the_network_that_is_used():
    state = random_state(torchvision_shapes((1, 2, 1, 1), True, 4))
    used, spare = moco_state(state)
    layout = resnet.layout_of({**used, **spare})
    assert layout is resnet.LAYOUTS[1] and layout.name == resnet.MOCO
    assert set(resnet.ignored({**used, **spare})) == set(spare)
    assert resnet.ignored(state) == ()
    config = layout.config({**used, **spare}, {})
    assert config["num_classes"] == 0 and config["stages"] == (1, 2, 1, 1)
    shapes = ResNetFeatures.shapes(config, where="test")
    found = to_jax(used, layout.expand(config), shapes, where="test")
    bare = {k: v for k, v in state.items() if not k.startswith("fc.")}
    want = to_jax(bare, LAYOUT.expand(config), shapes, where="test")
    jax.tree.map(np.testing.assert_array_equal, found, want)
    assert_same_tensors(to_torch(found, layout.expand(config), where="test"), used)
