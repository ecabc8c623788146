import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.models.features import InceptionV3
from stylegan_jax.models.features.inception import MAPS, SMALLEST, mean3


def shapes_of(module, side):
    x = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    return jax.eval_shape(
        lambda x: module.init_with_output(jax.random.key(0), x, module.taps), x
    )


def test_published_sizes():
    found, variables = shapes_of(InceptionV3(num_classes=1008), 299)
    sides = {name: found[name].shape[1:] for name in MAPS}
    # Table 1 of the paper, and the widths of TensorFlow's graph.
    assert sides["Conv2d_1a_3x3"] == (149, 149, 32)
    assert sides["Conv2d_2b_3x3"] == (147, 147, 64)
    assert sides["Conv2d_4a_3x3"] == (71, 71, 192)
    assert sides["Mixed_5b"] == (35, 35, 256)
    assert sides["Mixed_5d"] == (35, 35, 288)
    assert sides["Mixed_6a"] == sides["Mixed_6e"] == (17, 17, 768)
    assert sides["Mixed_7a"] == (8, 8, 1280)
    assert sides["Mixed_7c"] == (8, 8, 2048)
    assert found["pool3"].shape == (1, 2048)
    assert found["logits"].shape == (1, 1008)
    # torchvision's count without its auxiliary classifier, and 8 more classes.
    parameters = sum(v.size for v in jax.tree.leaves(variables["params"]))
    assert parameters == 23_834_568 + 8 * 2049


def test_the_smallest_picture_and_a_smaller_one():
    found, _ = shapes_of(InceptionV3(), SMALLEST)
    assert found["Mixed_7c"].shape == (1, 1, 1, 2048)
    assert InceptionV3().taps == (*MAPS, "pool3")


def test_factors_are_optional():
    _, plain = shapes_of(InceptionV3(use_scale=False), SMALLEST)
    _, scaled = shapes_of(InceptionV3(use_scale=True), SMALLEST)
    names = {jax.tree_util.keystr(k) for k, _ in jax.tree.leaves_with_path(plain)}
    more = {jax.tree_util.keystr(k) for k, _ in jax.tree.leaves_with_path(scaled)}
    assert names < more
    assert all(name.endswith("['scale']") for name in more - names)
    assert len(more - names) == 94  # one for every convolution


def test_means_leave_the_border_out_of_the_count():
    found = np.asarray(mean3(jnp.arange(9.0).reshape(1, 3, 3, 1)))[0, :, :, 0]
    assert found[0, 0] == (0 + 1 + 3 + 4) / 4
    assert found[0, 1] == (0 + 1 + 2 + 3 + 4 + 5) / 6
    assert found[1, 1] == 4


def test_early_features_need_few_convolutions():
    module = InceptionV3()
    x = jax.ShapeDtypeStruct((1, SMALLEST, SMALLEST, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    text = (
        jax.jit(lambda v, x: module.apply(v, x, ["Conv2d_2b_3x3"]))
        .lower(variables, x)
        .as_text()
    )
    assert text.count("stablehlo.convolution") == 3
    with pytest.raises(ValueError, match="no features logits: choose from Conv2d_1a"):
        jax.eval_shape(lambda v, x: module.apply(v, x, ["logits"]), variables, x)
