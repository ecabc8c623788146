"""VGG and AlexNet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.features import VGG, AlexNet
from stylegan_jax.models.features.vgg import vgg_convs

WIDTH = 4
NETWORKS = {"vgg16": VGG(16, WIDTH), "vgg19": VGG(19, WIDTH), "alex": AlexNet(WIDTH)}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    module = NETWORKS[request.param]
    x = jax.random.normal(jax.random.key(1), (2, 67, 64, 3))
    return module, jax.jit(module.init)(jax.random.key(0), x), x


def test_relu_is_the_convolution_without_its_negatives(network):
    module, variables, x = network
    found = jax.jit(lambda v, x: module.apply(v, x, module.taps))(variables, x)
    assert set(found) == set(module.taps)
    for name, value in found.items():
        if name.startswith("conv"):
            relu = found[name.replace("conv", "relu")]
            np.testing.assert_array_equal(relu, np.maximum(value, 0))
            assert (np.asarray(value) < 0).any()


def test_what_is_behind_the_wanted_features_is_not_computed(network):
    module, variables, x = network
    first, *_, last = module.taps
    text = {
        tap: jax.jit(lambda v, x, tap=tap: module.apply(v, x, [tap])[tap])
        .lower(variables, x)
        .as_text()
        for tap in (first, last)
    }
    convs = sum(tap.startswith("conv") for tap in module.taps)
    counts = {tap: t.count("stablehlo.convolution") for tap, t in text.items()}
    assert counts == {first: 1, last: convs}
    assert list(module.apply(variables, x)) == [last]


def test_an_unknown_feature_is_named(network):
    module, variables, x = network
    with pytest.raises(ValueError, match="no features relu9, pool: choose from conv1"):
        module.apply(variables, x, ["relu9", "pool", module.taps[0]])
    with pytest.raises(ValueError, match="without a name"):
        module.apply(variables, x, [])


def test_published_sizes():
    x = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)

    def shapes(module):
        return jax.eval_shape(
            lambda x: module.init_with_output(jax.random.key(0), x, module.taps), x
        )

    alex, variables = shapes(AlexNet())
    assert {k: v.shape[1:] for k, v in alex.items() if "relu" in k} == {
        "relu1": (55, 55, 64),
        "relu2": (27, 27, 192),
        "relu3": (13, 13, 384),
        "relu4": (13, 13, 256),
        "relu5": (13, 13, 256),
    }
    # The published number of parameters of torchvision's `features`.
    assert sum(v.size for v in jax.tree.leaves(variables)) == 2_469_696
    for depth, params in ((16, 14_714_688), (19, 20_024_384)):
        found, variables = shapes(VGG(depth))
        assert found["relu5_1"].shape == (1, 14, 14, 512)
        assert sum(v.size for v in jax.tree.leaves(variables)) == params


def test_places_in_the_list_of_torchvision():
    places = {c.tag: c.place for c in vgg_convs(19)}
    # The first convolutions of the stages, as pix2pixHD slices the list.
    assert [places[f"{s}_1"] for s in range(1, 6)] == [0, 5, 10, 19, 28]
    assert [c.place for c in vgg_convs(16)][-3:] == [24, 26, 28]


@pytest.mark.parametrize(
    "module, words",
    [
        (VGG(13), "depth of 16 or 19, got 13"),
        (VGG(16, 0), "width from 1 to 1024, got 0"),
        (AlexNet(5000), "width from 1 to 1024, got 5000"),
    ],
)
def test_impossible_configs_are_refused(module, words):
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    with pytest.raises(ValueError, match=words):
        jax.eval_shape(module.init, jax.random.key(0), x)
