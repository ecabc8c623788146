import numpy as np
import pytest
from tiny_models import tiny_generator

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.latents.lineage import (
    are_strangers,
    common_ancestor,
    layer_distances,
    overall_distance,
)


def drawn(seed, shift=None, scale=0.0):
    """A generator with independent weights, or one near another."""
    _, variables = tiny_generator(
        z_dim=32, w_dim=32, channel_base=512, channel_max=32, num_blocks=4
    )
    rng = np.random.default_rng(seed)
    tree = {}
    for path, leaf in flatten(variables).items():
        array = rng.standard_normal(leaf.shape)
        if shift is not None:
            array = flatten(shift)[path] + scale * array
        *parents, last = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = array.astype(np.float32)
    return tree


def test_a_model_is_at_distance_0_of_itself():
    model = drawn(0)
    distances = layer_distances(model, model)
    assert set(distances.values()) == {0.0}
    assert not are_strangers(distances)
    # Layers without weights of their own have none.
    assert "mapping" in distances and "b4/const" in distances


def test_independent_networks_are_strangers_whatever_their_scale():
    one, two = drawn(1), drawn(2)
    big = drawn(2, shift=two, scale=0.0)
    big["params"] = _scaled(big["params"], 7.0)
    for other in (two, big):
        distances = layer_distances(one, other)
        assert overall_distance(distances) == pytest.approx(1, abs=0.1)
        assert are_strangers(distances)


def _scaled(tree, factor):
    if isinstance(tree, dict):
        return {k: _scaled(v, factor) for k, v in tree.items()}
    return tree * np.float32(factor)


def test_a_long_trained_child_is_known_by_its_mapping_network():
    parent = drawn(3)
    child = drawn(4)
    child["params"]["mapping"] = parent["params"]["mapping"]
    distances = layer_distances(parent, child)
    assert overall_distance(distances) > 0.8
    assert not are_strangers(distances)


def test_ancestors_are_found_in_provenance():
    source = {"source": {"sha256": "aa", "file": "ffhq.pkl"}}
    tuned = {"parents": [{"sha256": "bb", "provenance": source}]}
    assert common_ancestor(("bb", source), ("cc", tuned)) == "bb"
    assert common_ancestor(("bb", source), ("dd", {"init": {"sha256": "bb"}})) == "bb"
    assert common_ancestor(("cc", tuned), ("dd", {"parent": {"provenance": source}}))
    assert common_ancestor(("aa", {}), ("cc", tuned)) == "aa"
    assert common_ancestor(("xx", {}), ("yy", tuned)) is None


def test_equal_pictures_make_nobody_related():
    data = {"data": [{"sha256": "pp"}], "measured": {"sha256": "pp"}}
    assert common_ancestor(("a", data), ("b", data)) is None
    deep = {}
    for _ in range(300):
        deep = {"parents": [deep, {"sha256": 3}]}
    assert common_ancestor(("a", deep), ("b", {"parent": deep})) is None
