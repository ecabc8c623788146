from __future__ import annotations

import numpy as np
import pytest
import torch_files
from torch_files import Call, Made, module

from stylegan_jax.convert_torch.readers import (
    Stub,
    attributes,
    read_bytes,
    state_dict,
    submodule,
    tf_networks,
)
from stylegan_jax.errors import UserError


def read(tree):
    data = torch_files.pickled(tree, torch_files._tensor_inside)
    return read_bytes(data, "a.pkl").root


def ones(*shape):
    return np.ones(shape, np.float32)


def test_names_follow_the_modules():
    linear = module("torch.nn.Linear", {"weight": ones(2, 3), "bias": None})
    state = torch_files.module_state(
        {"gain": ones(1)},
        {"seen": ones(), "passing": ones(4)},
        {"fc": linear, "gone": None},
    )
    state["_non_persistent_buffers_set"] = Call("builtins.set", (["passing"],))
    net = read(Made("some.where.Net", state))
    found = state_dict(net)
    assert {name: value.shape for name, value in found.items()} == {
        "gain": (1,),
        "seen": (),
        "fc.weight": (2, 3),
    }
    assert submodule(net, "fc").name == "torch.nn.Linear"
    assert list(state_dict(submodule(net, "fc"))) == ["weight"]


def test_modules_of_ordered_dicts():
    pairs = [["weight", ones(2)]]
    parameters = Call("collections.OrderedDict", (pairs,))
    found = read(Made("a.Net", torch_files.module_state(parameters)))
    assert list(state_dict(found)) == ["weight"]


def test_attributes_are_plain():
    easy = Made("dnnlib.util.EasyDict", entries={"a": 1})
    net = read(
        module(
            "a.Net",
            resolution=64,
            kwargs={"inner": easy, "list": [easy, (1,)]},
            empty=Made("dnnlib.EasyDict"),
            opts=Made("argparse.Namespace", {"lr": 0.5}),
            part=module("a.Part"),
            tensor=ones(2),
            _hidden=1,
            _init_kwargs=easy,
        )
    )
    assert attributes(net) == {
        "training": False,
        "resolution": 64,
        "kwargs": {"inner": {"a": 1}, "list": [{"a": 1}, (1,)]},
        "empty": {},
        "opts": {"lr": 0.5},
        "_init_kwargs": {"a": 1},
    }


def test_what_is_no_module():
    for tree in (Made("a.Thing"), Made("a.Thing", {"x": 1}), module("a.N", {"x": 1})):
        with pytest.raises(UserError, match=r"a\.(Thing|N) in the checkpoint"):
            state_dict(read(tree))
    with pytest.raises(UserError, match=r"no part 'absent\.too'"):
        submodule(read(module("a.Net")), "absent.too")


def test_a_module_that_contains_itself():
    stub = Stub("a.Net", state={"_parameters": {}, "_modules": {}})
    stub.state["_modules"]["me"] = stub
    with pytest.raises(UserError, match="contains itself"):
        state_dict(stub)


def test_modules_without_end():
    stub = Stub("a.Net", state={"_parameters": {}, "_modules": {}})
    for _ in range(70):
        above = Stub("a.Net", state={"_parameters": {}, "_modules": {}})
        above.state["_modules"] = {"a": stub}
        stub = above
    with pytest.raises(UserError, match="too deep"):
        state_dict(stub)


def test_modules_that_repeat_are_counted():
    stub = Stub("a.Net", state={"_parameters": {}, "_modules": {}})
    for _ in range(30):
        above = Stub("a.Net", state={"_parameters": {}, "_modules": {}})
        above.state["_modules"] = {"a": stub, "b": stub}
        stub = above
    with pytest.raises(UserError, match="too deep"):
        state_dict(stub)
    value = {"x": 1}
    for _ in range(30):
        value = {"a": value, "b": value}
    with pytest.raises(UserError, match="too deep"):
        attributes(Stub("a.Net", state={"kwargs": value}))


def network(**changes):
    state = {
        "version": 4,
        "name": "G",
        "static_kwargs": Made("dnnlib.util.EasyDict", entries={"resolution": 64}),
        "components": Made("dnnlib.util.EasyDict", entries={}),
        "build_module_src": "raise SystemExit",
        "build_func_name": "G_main",
        "variables": [],
        **changes,
    }
    return Made("dnnlib.tflib.network.Network", state)


def test_tensorflow_networks():
    part = network(name="G_mapping", variables=[("Dense0/weight", ones(2, 3))])
    (net,) = tf_networks(read([network(components={"mapping": part})]))
    assert net.static_kwargs == {"resolution": 64} and net.func_name == "G_main"
    assert list(net.all_variables()) == ["G_mapping/Dense0/weight"]
    np.testing.assert_array_equal(
        net.components["mapping"].arrays()["Dense0/weight"], ones(2, 3)
    )


BROKEN = {
    "its version is 1": network(version=1),
    "two variables": network(variables=[("a", ones(1)), ("a", ones(1))]),
    "no array": network(variables=[("a", 1)]),
    "no pairs": network(variables=[1]),
    "no name": network(name=None),
    "a component is no network": network(components={"mapping": Made("a.Thing", {})}),
    "no networks": Made("a.Thing", {}),
}


@pytest.mark.parametrize("message", BROKEN)
def test_broken_tensorflow_networks(message):
    with pytest.raises(UserError, match=message):
        tf_networks(read((BROKEN[message],)))
