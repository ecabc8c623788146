import jax
import numpy as np
import pytest
from tiny_models import tiny_discriminator, tiny_generator

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.training.stylegan2.freeze import Freeze, d_layers


def zeroed(freeze, network, d):
    """The paths whose gradients become zero."""
    _, variables = tiny_generator() if network == "g" else (d, d_variables(d))
    ones = jax.tree.map(np.ones_like, variables["params"])
    kept = flatten(jax.device_get(freeze.still(ones, network, d)))
    return {path for path, leaf in kept.items() if not np.any(leaf)}


def d_variables(d):
    return tiny_discriminator(architecture=d.architecture)[1]


@pytest.mark.parametrize(
    ("architecture", "first"),
    [
        ("resnet", ["fromrgb", "conv0", "conv1", "skip", "conv0"]),
        ("skip", ["fromrgb", "conv0", "conv1", "fromrgb", "conv0"]),
        ("orig", ["fromrgb", "conv0", "conv1", "conv0", "conv1"]),
    ],
)
def test_layers_are_counted_from_the_image_on(architecture, first):
    d, _ = tiny_discriminator(architecture=architecture)
    assert [layer for _, layer in d_layers(d)[:5]] == first
    for count in range(len(d_layers(d)) + 1):
        still = zeroed(Freeze(d_layers=count), "d", d)
        assert {tuple(p.split("/")[:2]) for p in still} == set(d_layers(d)[:count])


def test_every_layer_of_the_discriminator_is_in_the_list():
    for architecture in ("resnet", "skip", "orig"):
        d, variables = tiny_discriminator(architecture=architecture)
        names = {tuple(path.split("/")[:2]) for path in flatten(variables["params"])}
        assert set(d_layers(d)) == names


def test_parts_of_the_generator():
    d, _ = tiny_discriminator()
    _, variables = tiny_generator()
    paths = set(flatten(variables["params"]))
    mapping = {p for p in paths if p.startswith("mapping/")}
    assert zeroed(Freeze(g_mapping=True), "g", d) == mapping
    low = {p for p in paths if p.startswith(("synthesis/b4/", "synthesis/b8/"))}
    assert zeroed(Freeze(g_below=16), "g", d) == low
    affine = {p for p in paths if "/affine/" in p}
    assert zeroed(Freeze(g_affine=True), "g", d) == affine
    assert zeroed(Freeze(), "g", d) == set()
    assert zeroed(Freeze(d_layers=3), "g", d) == set()
