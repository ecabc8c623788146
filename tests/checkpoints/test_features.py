import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.checkpoints.features import (
    AlexNetFeatures,
    InceptionV3Features,
    LPIPSDistance,
    ResNetFeatures,
    VGGFeatures,
)
from stylegan_jax.checkpoints.model_file import read_model, save_model
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.errors import UserError
from stylegan_jax.models import features
from stylegan_jax.models.features import inputs

SMALL = {
    "vgg": (VGGFeatures, features.VGG(16, 2)),
    "alexnet": (AlexNetFeatures, features.AlexNet(2)),
    "resnet": (ResNetFeatures, features.ResNet((1, 1, 1, 1), False, 3, 2)),
}


def made(kind, module):
    """A network with drawn tensors; nothing is run to make it."""
    rng = np.random.default_rng(0)
    variables: dict = {}
    for path, want in kind.shapes(config_of(module), where="test").items():
        *parents, last = path.split("/")
        node = variables
        for parent in parents:
            node = node.setdefault(parent, {})
        value = rng.standard_normal(want.shape) / np.sqrt(np.prod(want.shape[:-1]))
        node[last] = jnp.asarray(np.abs(value) if last == "var" else value, jnp.float32)
    return kind(module, variables)


@pytest.fixture(scope="module", params=SMALL)
def small(request):
    return request.param, made(*SMALL[request.param])


@pytest.fixture(scope="module")
def inception():
    return made(InceptionV3Features, features.InceptionV3(use_scale=False))


@pytest.fixture(scope="module")
def distance():
    return made(LPIPSDistance, features.LPIPS("alex", 2))


@pytest.fixture(scope="module")
def x():
    return jax.random.uniform(jax.random.key(0), (2, 40, 36, 3), minval=-1)


def test_a_network_goes_through_a_file(small, x, tmp_path):
    name, network = small
    path = tmp_path / "n.safetensors"
    save_model(
        path,
        network.variables,
        family=f"features.{name}",
        config=network.config,
        provenance={},
        licence="none",
    )
    again = type(network).from_file(read_model(path), where=path)
    assert again.config == network.config
    assert again.metadata["licence"] == "none"
    for tap, value in network(x).items():
        np.testing.assert_array_equal(again(x)[tap], value)


def test_features_come_in_the_order_asked_for(small, x):
    _, network = small
    wanted = network.taps[2::-2]
    assert tuple(network(x, taps=wanted)) == wanted
    assert tuple(network(x, taps=wanted[0])) == wanted[:1]
    assert all(np.isfinite(v).all() for v in network(x).values())


def test_the_normalisation_is_imagenets_unless_none_is_wanted(small, x):
    _, network = small
    tap = network.taps[0]
    with_it = network(inputs.imagenet(x), normalise="none")
    for name, value in network(x).items():
        np.testing.assert_allclose(value, with_it[name], rtol=1e-4, atol=1e-5)
    plain = network(x, normalise="none", taps=tap)[tap]
    assert np.abs(plain - network(x, taps=tap)[tap]).max() > 1e-3


def test_features_can_be_differentiated(small, x):
    _, network = small
    gradient = jax.grad(
        lambda x: sum(jnp.sum(jnp.square(v)) for v in network(x).values())
    )(x)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_wrong_arguments_are_refused_in_a_sentence(small, x):
    _, network = small
    with pytest.raises(UserError, match=r"no features relu99, what: choose from \w+"):
        network(x, taps=["relu99", network.taps[0], "what"])
    with pytest.raises(UserError, match="without a name"):
        network(x, taps=[])
    with pytest.raises(UserError, match="'vgg': choose from imagenet, none"):
        network(x, normalise="vgg")
    with pytest.raises(UserError, match=r"x / 127.5 - 1"):
        network((x * 127).astype(jnp.int32))
    with pytest.raises(UserError, match="3 channels"):
        network(x[..., :1])
    with pytest.raises(UserError, match=r"\[N, H, W, C\]"):
        network(x[0])


def test_pictures_that_are_too_small_are_refused():
    for name, smallest in (("vgg", 16), ("alexnet", 31)):
        network = made(*SMALL[name])
        fits = jnp.zeros((1, smallest, smallest, 3))
        assert all(v.size for v in network(fits).values())
        with pytest.raises(UserError, match=f"at least {smallest}x{smallest} pixels"):
            network(fits[:, 1:])


def test_a_file_of_another_config_is_refused(small, tmp_path):
    name, network = small
    path = tmp_path / "n.safetensors"
    save_model(
        path,
        network.variables,
        family=f"features.{name}",
        config={**network.config, "width": 3},
        provenance={},
        licence="none",
    )
    with pytest.raises(UserError, match="do not fit its config; of another shape"):
        type(network).from_file(read_model(path), where=path)


@pytest.mark.parametrize(
    "kind, config, words",
    [
        (VGGFeatures, {"depth": 11}, "depth of 16 or 19"),
        (VGGFeatures, {}, "lacks depth"),
        (LPIPSDistance, {"trunk": "squeeze"}, "'squeeze', choose from alex, vgg"),
        (
            ResNetFeatures,
            {"stages": [1, 1, 1, 2**20], "bottleneck": True},
            "1 to 64 blocks",
        ),
        (ResNetFeatures, {"stages": "3463", "bottleneck": True}, "stages='3463'"),
        (AlexNetFeatures, {"width": 2**24}, "width from 1 to 1024"),
        (InceptionV3Features, {"num_classes": -1}, "num_classes=-1"),
    ],
)
def test_configs_of_no_network_are_refused(kind, config, words):
    with pytest.raises(UserError, match=words):
        kind.shapes(config, where="a.safetensors")


def test_distance(distance, x):
    near = distance(x, jnp.clip(x + 0.05, -1, 1))
    far = distance(x, x[::-1])
    assert near.shape == (2,)
    assert (np.abs(distance(x, x)) == 0).all()
    assert (np.abs(near) < np.abs(far)).all()
    with pytest.raises(UserError, match=r"one shape, got \[2, 40, 36, 3\] and \[1,"):
        distance(x, x[:1])
    with pytest.raises(UserError, match="y must be at least 31x31 pixels"):
        distance(x, x[:, :30])
    with pytest.raises(UserError, match="y must be floats"):
        distance(x, np.zeros((2, 40, 36, 3), np.uint8))


def test_inception_takes_pictures_of_any_size(inception):
    bytes_ = np.random.default_rng(0).integers(0, 256, (1, 90, 75, 3), np.uint8)
    tap = "Conv2d_2b_3x3"  # an early one: what is tested happens before it
    floats = bytes_.astype(np.float32) / 127.5 - 1
    found = inception(floats, taps=tap)[tap]
    assert found.shape == (1, 147, 147, 64)
    other = inception.from_uint8(bytes_, taps=tap, scaling="pytorch")[tap]
    np.testing.assert_allclose(other, found, rtol=1e-4, atol=1e-4)
    assert inception(floats, taps=tap, resize="none")[tap].shape == (1, 42, 35, 64)
    tensorflow = inception(floats, taps=tap, resize="tensorflow")[tap]
    assert np.abs(tensorflow - found).max() > 1e-2


def test_inception_refuses_what_it_cannot_use(inception):
    x = jnp.zeros((1, 80, 74, 3))
    with pytest.raises(UserError, match="at least 75x75 pixels"):
        inception(x, resize="none")
    with pytest.raises(UserError, match="'lanczos': choose from bilinear"):
        inception(x, resize="lanczos")
    with pytest.raises(UserError, match="uint8 with at least one picture"):
        inception.from_uint8(x)
    with pytest.raises(UserError, match="uint8 with at least one picture"):
        inception.from_uint8(np.zeros((0, 80, 80, 3), np.uint8))
    picture = np.zeros((1, 80, 80, 3), np.uint8)
    with pytest.raises(UserError, match="scaling 'unit': choose from tensorflow"):
        inception.from_uint8(picture, scaling="unit")
    with pytest.raises(UserError, match="no features logits"):
        inception.from_uint8(picture, taps=["logits"])
