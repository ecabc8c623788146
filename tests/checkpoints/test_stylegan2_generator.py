import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import tiny_generator

from stylegan_jax.checkpoints import generator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UserError


@pytest.fixture(scope="module")
def model():
    return StyleGAN2Generator(*tiny_generator())


@pytest.fixture(scope="module")
def conditional():
    return StyleGAN2Generator(*tiny_generator(c_dim=3))


def _expected(model, seed, **options):
    """A seed's picture straight from the module, without tiles or devices."""
    key = jax.random.fold_in(jax.random.key(seed), 0)
    z = jax.random.normal(key, (1, model.module.z_dim))
    if options.get("noise_mode") == "random":
        noise_key = jax.random.fold_in(jax.random.key(seed), 1)
        options["noise_keys"] = jnp.stack([noise_key])
    x = model.module.apply(model.variables, z, **options)[0]
    return np.clip(np.round(np.asarray(x) * 127.5 + 127.5), 0, 255)


def _close(picture, expected):
    # A value at .5 may round to either side: one level.
    return np.abs(picture.astype(int) - expected).max() <= 1


def test_a_picture_is_what_the_module_draws_from_its_seed(model):
    pictures = model.images([5, 0])
    assert pictures.shape == (2, 16, 16, 3) and pictures.dtype == np.uint8
    assert _close(pictures[0], _expected(model, 5))
    assert _close(pictures[1], _expected(model, 0))
    assert pictures.std() > 10


def test_options_reach_the_module(model):
    for options in (
        {"truncation_psi": 0.5},
        {"truncation_psi": 0.5, "truncation_cutoff": 2},
        {"noise_mode": "none"},
        {"noise_mode": "random"},
    ):
        got = model.images([3], **options)[0]
        assert _close(got, _expected(model, 3, **options)), options
        assert not _close(got, _expected(model, 3)), options


@pytest.mark.parametrize("noise_mode", ["const", "random"])
def test_a_picture_depends_on_its_seed_alone(model, noise_mode):
    assert len(jax.local_devices()) == 8
    seeds = list(range(100))
    pictures = model.images(seeds, noise_mode=noise_mode)  # all devices, padded
    backwards = model.images(seeds[::-1], noise_mode=noise_mode, batch=1)
    np.testing.assert_array_equal(pictures, backwards[::-1])
    for few in ([7], [99, 3, 50]):  # one device, padded
        got = model.images(few, noise_mode=noise_mode)
        np.testing.assert_array_equal(got, pictures[few])


def test_pictures_come_in_order_and_in_parts(model):
    parts = list(model.iter_images(range(70), batch=500))
    assert [len(part) for part in parts] == [64, 6]
    np.testing.assert_array_equal(np.concatenate(parts), model.images(range(70)))


def test_tiles_shrink_as_pictures_grow(monkeypatch):
    model = StyleGAN2Generator(*tiny_generator())
    monkeypatch.setattr(generator, "TILE_PIXELS", 16 * 16)
    assert [len(part) for part in model.iter_images(range(10))] == [8, 2]


def test_numpy_latents_are_nvidias(model):
    got = model.latents([7, 8], "numpy")
    expected = np.random.RandomState(8).randn(1, 8).astype(np.float32)
    np.testing.assert_array_equal(got[1:], expected)
    assert not np.array_equal(got, model.latents([7, 8]))


def test_latents_do_not_depend_on_their_neighbours(model):
    many = model.latents(range(100))
    np.testing.assert_array_equal(model.latents([77]), many[77:78])
    # Figures of this release: a change would change everyone's pictures.
    key = jax.random.fold_in(jax.random.key(77, impl="threefry2x32"), 0)
    np.testing.assert_allclose(many[77], jax.random.normal(key, (8,)), rtol=1e-6)


def test_the_largest_seed_is_a_seed(model):
    assert model.images([2**32 - 1]).shape == (1, 16, 16, 3)


def test_mapping_and_synthesis_agree_with_images(model):
    w_plus = model.mapping(model.latents([4]), truncation_psi=0.7)
    assert w_plus.shape == (1, 6, 8) and w_plus.dtype == jnp.float32
    x = model.synthesis(w_plus)
    picture = np.clip(np.round(np.asarray(x[0]) * 127.5 + 127.5), 0, 255)
    assert _close(model.images([4], truncation_psi=0.7)[0], picture)


def test_random_noise_follows_its_key(model):
    w_plus = model.mapping(model.latents([4, 4]))
    a = model.synthesis(w_plus, "random", jax.random.key(0))
    b = model.synthesis(w_plus, "random", jax.random.key(0))
    c = model.synthesis(w_plus, "random", jax.random.key(1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c) and not np.allclose(a[0], a[1])


def test_replaced_weights_are_used_and_nothing_is_compiled_again(model):
    model.images([0])
    other = model.replace(jax.tree.map(lambda leaf: leaf * 1.5, model.variables))
    program = next(p for name, p in model._programs.items() if name[0] == "images")
    before = program._cache_size()
    assert not np.array_equal(other.images([0]), model.images([0]))
    assert program._cache_size() == before


def test_labels_in_every_form_mean_the_same(conditional):
    two = conditional.images([0, 1], labels=2)
    np.testing.assert_array_equal(two, conditional.images([0, 1], labels=[2, 2]))
    np.testing.assert_array_equal(
        two, conditional.images([0, 1], labels=np.eye(3, dtype=np.float32)[[2, 2]])
    )
    assert not np.array_equal(two, conditional.images([0, 1], labels=[0, 1]))


@pytest.mark.parametrize("labels", [None, 3, -1, [0], [0, 1, 2], 0.5, [[1.0, 0.0]] * 2])
def test_wrong_labels_are_refused(conditional, labels):
    with pytest.raises(UserError, match="class from 0 to 2"):
        conditional.images([0, 1], labels=labels)


def test_one_wrong_class_is_told_without_talk_of_arrays(conditional):
    with pytest.raises(UserError) as caught:
        conditional.images([0, 1], labels=3)
    assert str(caught.value) == "a label is a class from 0 to 2, got 3."


def test_seeds_in_every_form_mean_the_same(model):
    expected = model.latents([0, 1, 2])
    for seeds in (range(3), np.arange(3), jnp.arange(3), iter((0, 1, 2))):
        np.testing.assert_array_equal(model.latents(seeds), expected)
    assert model.images(jnp.arange(2)).shape == (2, 16, 16, 3)


def test_psi_may_be_traced_and_any_number(model):
    z = model.latents([0])
    expected = model.mapping(z, truncation_psi=0.5, truncation_cutoff=np.int64(6))
    for psi in (np.float32(0.5), jnp.float32(0.5)):
        np.testing.assert_array_equal(model.mapping(z, truncation_psi=psi), expected)
    traced = jax.jit(lambda psi: model.mapping(z, truncation_psi=psi))(0.5)
    np.testing.assert_allclose(traced, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("psi", [float("nan"), float("inf"), "a", None, [0.5], True])
def test_psi_that_is_no_number_is_refused(model, psi):
    with pytest.raises(UserError, match="truncation_psi is a number"):
        model.iter_images([0], truncation_psi=psi)
    with pytest.raises(UserError, match="truncation_psi is a number"):
        model.mapping(np.zeros((1, 8)), truncation_psi=psi)


@pytest.mark.parametrize("cutoff", [-1, 7, 1.5, True, "2"])
def test_a_cutoff_that_is_no_number_of_layers_is_refused(model, cutoff):
    with pytest.raises(UserError, match="number of layers from 0 to 6"):
        model.iter_images([0], truncation_cutoff=cutoff)
    with pytest.raises(UserError, match="number of layers from 0 to 6"):
        model.mapping(np.zeros((1, 8)), truncation_cutoff=cutoff)


def test_other_keys_are_refused(model):
    for key in (jax.random.PRNGKey(1), 1, jax.random.split(jax.random.key(0))):
        with pytest.raises(UserError, match=r"key must be a .* jax.random.key\(0\)"):
            model.synthesis(np.zeros((1, 6, 8)), "random", key)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.images([]), "no seeds"),
        (lambda m: m.images([-1]), "integer from 0 to 4294967295, got -1"),
        (lambda m: m.images([2**32]), "integer from 0"),
        (lambda m: m.images([1.5]), "integer from 0"),
        (lambda m: m.images([True]), "integer from 0 to 4294967295, got True"),
        (lambda m: m.images(jnp.ones(2)), "integer from 0"),
        (lambda m: m.images(3), r"a sequence such as \[0, 1\], got 3"),
        (lambda m: m.images([0], labels=1), "knows no labels"),
        (lambda m: m.images([0], noise_mode="loud"), "unknown noise_mode 'loud'"),
        (lambda m: m.images([0], z_source="cupy"), "unknown z_source 'cupy'"),
        (lambda m: m.images([0], batch=0), "batch is at least 1"),
        (lambda m: m.mapping(np.zeros((1, 9))), r"z must be \[N, 8\], got \[1, 9\]"),
        (lambda m: m.mapping(np.zeros((1, 8)), np.zeros((1, 3))), "knows no labels"),
        (lambda m: m.synthesis(np.zeros((1, 8))), r"w_plus must be \[N, 6, 8\]"),
        (lambda m: m.synthesis(np.zeros((1, 6, 8)), "random"), "needs a key"),
    ],
)
def test_refusals(model, call, sentence):
    with pytest.raises(UserError, match=sentence):
        call(model)


def test_a_conditional_mapping_needs_its_label(conditional):
    with pytest.raises(UserError, match=r"give c \[N, 3\]"):
        conditional.mapping(np.zeros((2, 8)))
    with pytest.raises(UserError, match=r"c must be \[2, 3\]"):
        conditional.mapping(np.zeros((2, 8)), np.zeros((1, 3)))
