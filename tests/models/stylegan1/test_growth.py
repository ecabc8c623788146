"""Networks that grow: every level of detail is a network that one could build."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.models.stylegan1 import Discriminator, Generator
from stylegan_jax.models.stylegan1.growth import growth_variables, without_growth
from stylegan_jax.models.stylegan1.layers import double_nearest, halve_mean

G = {
    "num_blocks": 3,
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 1,
    "mapping_features": 8,
    "channel_base": 64,
    "channel_max": 8,
}
D = {"num_blocks": 3, "channel_base": 64, "channel_max": 8, "mbstd_group_size": 2}
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.fixture(scope="module")
def generator():
    module = Generator(**G, progressive=True)
    return module, jax.jit(module.init)(jax.random.key(0), normal(1, 1, 8))


@pytest.fixture(scope="module")
def discriminator():
    module = Discriminator(**D, progressive=True)
    return module, jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))


def draw(module, variables, **options):
    def synthesis(variables, w_plus):
        return module.apply(
            variables, w_plus, noise_mode="none", method="synthesis", **options
        )

    return jax.jit(synthesis)(variables, normal(2, 2, module.num_ws, 8))


def score(module, variables, x):
    return jax.jit(module.apply)(variables, x)


def names(tree):
    return set(flatten(tree))


def test_growing_adds_layers_to_the_tree_and_changes_none(generator, discriminator):
    plain = jax.eval_shape(Generator(**G).init, jax.random.key(0), normal(1, 1, 8))
    more = names(generator[1]) - names(plain)
    assert names(plain) < names(generator[1])
    assert more == {
        f"params/synthesis/b{r}/torgb/{p}" for r in (4, 8) for p in ("weight", "bias")
    }
    x = jnp.zeros((1, 16, 16, 3))
    plain = jax.eval_shape(Discriminator(**D).init, jax.random.key(0), x)
    assert names(plain) < names(discriminator[1])
    assert names(discriminator[1]) - names(plain) == {
        f"params/b{r}/fromrgb/{p}" for r in (4, 8) for p in ("weight", "bias")
    }


def test_what_is_grown_is_a_network_that_never_grew(generator, discriminator):
    module, variables = without_growth(*generator)
    assert module == Generator(**G)
    np.testing.assert_array_equal(draw(module, variables), draw(*generator))
    module, variables = without_growth(*discriminator)
    x = normal(3, 4, 16, 16, 3)
    assert module == Discriminator(**D)
    np.testing.assert_array_equal(score(module, variables, x), score(*discriminator, x))
    with pytest.raises(ValueError, match="lod=0.5 has not grown"):
        without_growth(generator[0].clone(lod=0.5), generator[1])


def test_a_generator_of_a_lower_resolution(generator):
    module, variables = generator
    small = Generator(**{**G, "num_blocks": 2})
    synthesis = dict(variables["params"]["synthesis"])
    synthesis["torgb"] = synthesis["b8"]["torgb"]
    params = {**variables["params"], "synthesis": synthesis}

    def synthesise(params, w_plus):
        tree = {"params": params, "noise": variables["noise"]}
        return small.apply(tree, w_plus, noise_mode="none", method="synthesis")

    want = jax.jit(synthesise)(params, normal(2, 2, 6, 8)[:, :4])
    half = module.clone(lod=1.0)
    got = draw(half, variables, full_size=False)
    assert got.shape == (2, 8, 8, 3)
    np.testing.assert_allclose(got, want, **CLOSE)
    full = draw(half, variables)
    assert full.shape == (2, 16, 16, 3)
    np.testing.assert_array_equal(full, double_nearest(got))


def test_a_discriminator_of_a_lower_resolution(discriminator):
    module, variables = discriminator
    x = normal(3, 4, 16, 16, 3)
    small = Discriminator(**{**D, "num_blocks": 2})
    params = {name: variables["params"][name] for name in ("b8", "b4")}
    params["b4"] = {k: v for k, v in params["b4"].items() if k != "fromrgb"}
    want = score(small, {"params": params}, halve_mean(x))
    half = module.clone(lod=1.0)
    np.testing.assert_allclose(score(half, variables, x), want, **CLOSE)
    np.testing.assert_allclose(score(half, variables, halve_mean(x)), want, **CLOSE)


@pytest.mark.parametrize("lod", [0.25, 1.75])
def test_a_fade_mixes_the_pictures_of_both_resolutions(generator, lod):
    module, variables = generator
    low, high = (
        draw(module.clone(lod=x), variables) for x in (int(lod) + 1.0, lod // 1)
    )
    want = (lod % 1) * low + (1 - lod % 1) * high
    np.testing.assert_allclose(draw(module.clone(lod=lod), variables), want, **CLOSE)
    assert not np.allclose(want, high, atol=1e-2)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_a_fade_begins_with_the_resolution_below_and_ends_with_its_own(
    generator, discriminator, start
):
    """The fade as a variable; lod's fraction has no say then."""
    x = normal(3, 4, 16, 16, 3)
    for (module, variables), look in (
        (generator, lambda m, v: draw(m, v)),
        (discriminator, lambda m, v: score(m, v, x)),
    ):
        fading = module.clone(lod=start)
        for fade, lod in ((0.0, start), (1.0, start + 1), (0.5, start + 0.5)):
            extra = growth_variables(jnp.float32(fade))
            np.testing.assert_allclose(
                look(fading, {**variables, **extra}),
                look(module.clone(lod=lod), variables),
                **CLOSE,
            )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lod": 1.0}, "lod=1.0 needs a network with progressive=True"),
        ({"lod": 2.5, "progressive": True}, "lod=2.5 must be from 0 to 2"),
        ({"lod": -1.0, "progressive": True}, "lod=-1.0 must be from 0 to 2"),
        ({"use_style": False}, "use_style=False needs const_input=False"),
        ({"mapping_layers": 0, "z_dim": 4}, "z_dim=4 and w_dim=8 must be the same"),
    ],
)
def test_what_no_network_has_is_refused(options, sentence):
    module = Generator(**{**G, **options})
    z = jnp.zeros((1, module.z_dim))
    with pytest.raises(ValueError, match=sentence):
        jax.eval_shape(module.init, jax.random.key(0), z)


class TestAblations:
    def made(self, **options):
        module = Generator(**{**G, "num_blocks": 2, **options})
        return module, jax.jit(module.init)(jax.random.key(0), normal(1, 1, 8))

    def test_a_dense_input_takes_the_first_latent(self):
        module, variables = self.made(const_input=False, use_style=False)
        tree = names(variables)
        assert "params/synthesis/b4/input/weight" in tree
        assert not any(
            "affine" in name or "const" in name.rsplit("/", 1)[-1][:6]
            for name in tree
            if name.startswith("params")
        )
        w_plus = normal(2, 1, 4, 8)

        @jax.jit
        def picture(w_plus):
            return module.apply(
                variables, w_plus, noise_mode="none", method="synthesis"
            )

        base = picture(w_plus)
        assert not np.allclose(base, picture(w_plus.at[:, 0].add(1.0)), atol=1e-3)
        np.testing.assert_array_equal(base, picture(w_plus.at[:, 1:].add(1.0)))

    def test_a_dense_input_is_what_its_weights_say(self):
        module, variables = self.made(
            const_input=False, use_style=False, instance_norm=False, num_blocks=1
        )
        layers = variables["params"]["synthesis"]["b4"]
        w = normal(2, 1, 8)
        x = (w @ layers["input"]["weight"]) * (2**0.5 / 4 / 8**0.5)
        x = jax.nn.leaky_relu(x.reshape(1, 4, 4, 8), 0.2)
        kernel = layers["conv1"]["weight"] * (2**0.5 / 72**0.5)
        x = jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.leaky_relu(x, 0.2)
        torgb = variables["params"]["synthesis"]["torgb"]["weight"][0, 0]
        want = x @ torgb / 8**0.5
        got = module.apply(
            variables, w[:, None].repeat(2, 1), noise_mode="none", method="synthesis"
        )
        np.testing.assert_allclose(got, want, **CLOSE)

    def test_normalisations_are_each_on_or_off(self):
        pictures = [
            draw(*self.made(instance_norm=i, pixel_norm=p))
            for i, p in ((True, False), (False, True), (False, False))
        ]
        assert not np.allclose(pictures[0], pictures[1], atol=1e-2)
        assert not np.allclose(pictures[1], pictures[2], atol=1e-2)

    def test_without_mapping_the_normalised_z_is_w(self):
        module, variables = self.made(mapping_layers=0)
        assert "mapping" not in variables["params"]
        z = normal(4, 3, 8)
        w = module.apply(variables, z, method="w")
        np.testing.assert_allclose(jnp.mean(w**2, 1), 1, rtol=1e-5)
        np.testing.assert_allclose(w / w[:, :1], z / z[:, :1], rtol=1e-4)
