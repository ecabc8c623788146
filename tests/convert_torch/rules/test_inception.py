import numpy as np
import pytest
from feature_cases import Faulty
from golden_case import GoldenCase
from golden_draw import blocks, relative_error

from stylegan_jax.checkpoints.features import InceptionV3Features
from stylegan_jax.convert_torch.rules import inception
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.errors import UserError


@pytest.fixture(scope="module")
def case():
    return GoldenCase("inception_fid")


@pytest.fixture(scope="module")
def state(case):
    return case.state_dict("net")


@pytest.fixture(scope="module")
def x(case):
    return blocks(case, "x", (2, 3, 96, 96)).transpose(0, 2, 3, 1)


def converted(state):
    layout = inception.layout_of(state)
    config = layout.config(state, {})
    shapes = InceptionV3Features.shapes(config, where="test")
    expansion = layout.expand(config)
    variables = to_jax(state, expansion, shapes, where="i.pth")
    module = InceptionV3Features.MODULE(**config)
    return InceptionV3Features(module, variables), expansion


def without_factors(state):
    """The same function with factors of one: they move into the variances."""
    folded = dict(state)
    for name, factor in state.items():
        if name.endswith(".bn.weight"):
            assert (factor > 0).all()
            var = name.replace("weight", "running_var")
            wide = (state[var].astype(np.float64) + 1e-3) / factor**2 - 1e-3
            folded[var] = wide.astype(np.float32)
            del folded[name]
    return folded


@pytest.mark.parametrize("prefix", inception.PREFIXES)
def test_the_names_of_nvidia(case, state, x, prefix):
    # From the golden network's tensors, through our files, into NVIDIA's names.
    bare = {k: v for k, v in without_factors(state).items() if k[:2] != "fc"}
    network, _ = converted(bare)
    config = {"num_classes": 0, "use_scale": False}
    assert network.config == config
    layout = inception.LAYOUTS[1 + inception.PREFIXES.index(prefix)]
    theirs = to_torch(network.variables, layout.expand(config), where="test")
    # A few that the published file has, with their shapes.
    for name, shape in {
        "conv_3.weight": (80, 64, 1, 1),
        "mixed.tower.conv_1.weight": (64, 48, 5, 5),
        "mixed_3.tower.conv_2.beta": (96,),
        "mixed_4.tower_1.conv_3.weight": (128, 128, 7, 1),
        "mixed_8.tower_1.conv_1.weight": (192, 192, 1, 7),
        "mixed_10.tower_1_mixed_conv_1.weight": (384, 384, 3, 1),
        "mixed_10.tower_2_conv.var": (192,),
    }.items():
        assert theirs[f"{prefix}{name}"].shape == shape
    assert len(theirs) == 376
    assert inception.layout_of(theirs) is layout
    again, _ = converted(theirs)
    if prefix == inception.PREFIXES[0]:
        pool3 = again(x)["pool3"]
        assert relative_error(pool3, case.expected["pool3"]) < 1e-4


def test_faults_are_all_listed(state):
    faulty = Faulty(state, "Mixed_6b.branch7x7_2.bn.bias", "Conv2d_2b_3x3.conv.weight")
    with pytest.raises(UserError) as error:
        converted(faulty.state)
    assert all(name in str(error.value) for name in (*faulty.names, "i.pth"))


def test_torchvisions_own_network_is_refused(state):
    other = state | {"fc.weight": np.zeros((1000, 2048), np.float32)}
    with pytest.raises(UserError, match="1000 classes.*pools otherwise"):
        converted(other)
    aux = state | {"AuxLogits.fc.weight": np.zeros((1, 1), np.float32)}
    with pytest.raises(UserError, match="pools otherwise"):
        converted(aux)


def test_other_files_are_not_taken_for_it(state):
    assert inception.layout_of({}) is None
    first = "Conv2d_1a_3x3.conv.weight"
    assert inception.layout_of({first: state[first]}) is None
