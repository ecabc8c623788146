import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.data.augment import AugmentSpec, augment, color, corrupt, geometry
from stylegan_jax.data.augment.draws import KeyDraws

resample = jax.jit(geometry.resample)
filter_bands = jax.jit(corrupt.filter_bands)


def pictures(n=2, height=12, width=12, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(-1, 1, (n, height, width, channels)), jnp.float32)


def keys_of(n, seed=0):
    return jax.random.split(jax.random.key(seed), n)


def drawn(function, n, *args, p=1.0, spec=None, **kwargs):
    """What an operation draws for n images."""

    def one(key):
        return function(KeyDraws(key), jnp.float32(p), spec, *args, **kwargs)

    return np.asarray(jax.jit(jax.vmap(one))(keys_of(n)), np.float64)


def matrix(rows, n=2):
    return jnp.tile(jnp.asarray(rows, jnp.float32)[None], (n, 1, 1))


def test_the_identity_matrix_changes_nothing():
    images = pictures(height=9, width=16, channels=5)
    same = resample(images, matrix(np.eye(3)))
    np.testing.assert_allclose(same, images, atol=1e-5)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-2, 5), (30, -40)])
def test_whole_moves_show_the_endlessly_reflected_image(dx, dy):
    images = pictures(height=8, width=14)
    moved = resample(images, matrix([[1, 0, dx], [0, 1, dy], [0, 0, 1]]))
    wide = np.pad(images, ((0, 0), (40, 40), (40, 40), (0, 0)), mode="reflect")
    expected = wide[:, 40 + dy : 48 + dy, 40 + dx : 54 + dx]
    np.testing.assert_allclose(moved, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "change"),
    [
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], lambda x: np.rot90(x, 1, (1, 2))),
        (np.diag([-1, 1, 1]), lambda x: x[:, :, ::-1]),
    ],
)
def test_quarter_turns_and_mirroring(rows, change):
    # The filter's middle lies a tenth of a sample off, which mirroring doubles: smooth
    # pictures only, and to within a twentieth of a pixel.
    y, x = np.mgrid[:32, :32] / 5
    images = np.sin(x + 0.5 * y)[None, :, :, None].astype(np.float32)
    changed = resample(jnp.asarray(images), matrix(rows, n=1))
    inner = (slice(None), slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(changed[inner], change(images)[inner], atol=0.02)


def test_a_smooth_picture_is_enlarged_about_its_middle():
    y, x = np.mgrid[:32, :32] - 15.5
    image = jnp.asarray(np.cos(y / 6) * np.cos(x / 8), jnp.float32)[None, :, :, None]
    zoomed = resample(image, matrix(np.diag([0.5, 0.5, 1]), n=1))
    expected = (np.cos(y / 12) * np.cos(x / 16))[None, :, :, None]
    np.testing.assert_allclose(zoomed, expected, atol=5e-3)


def test_whole_moves_are_whole_and_bounded():
    spec = AugmentSpec(xint=1.0)
    moves = drawn(geometry.draw_matrix, 500, 16, 32, spec=spec)[:, :2, 2]
    np.testing.assert_array_equal(moves, np.round(moves))
    assert set(moves[:, 0]) == set(range(-4, 5))  # an eighth of the width
    assert set(moves[:, 1]) == set(range(-2, 3))


def test_geometric_strengths():
    def matrices(**on):
        spec = AugmentSpec(**on)
        return drawn(geometry.draw_matrix, 4000, 20, 40, spec=spec)

    zoom = np.log2(matrices(scale=1.0)[:, 0, 0])
    assert zoom.std() == pytest.approx(0.2, rel=0.06)
    stretch = matrices(aniso=1.0)
    np.testing.assert_allclose(stretch[:, 0, 0] * stretch[:, 1, 1], 1.0, rtol=1e-5)
    assert np.log2(stretch[:, 0, 0]).std() == pytest.approx(0.2, rel=0.06)
    move = matrices(xfrac=1.0)[:, :2, 2]
    np.testing.assert_allclose(move.std(0), [0.125 * 40, 0.125 * 20], rtol=0.06)
    turn = matrices(rotate=1.0)
    angles = np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    assert np.abs(angles).mean() == pytest.approx(np.pi / 2, rel=0.06)


def test_colour_strengths():
    def matrices(**on):
        return drawn(color.draw_matrix, 4000, spec=AugmentSpec(**on), grey=False)

    assert matrices(brightness=1.0)[:, 0, 3].std() == pytest.approx(0.2, rel=0.06)
    contrast = np.log2(matrices(contrast=1.0)[:, 1, 1])
    assert contrast.std() == pytest.approx(0.5, rel=0.06)
    colourful = np.asarray([1.0, -1.0, 0.0, 0.0])
    saturated = matrices(saturation=1.0) @ colourful
    assert np.log2(saturated[:, 0]).std() == pytest.approx(1.0, rel=0.06)
    turned = matrices(hue=1.0) @ colourful
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), 2**0.5, rtol=1e-5)
    cosine = (turned @ colourful) / 2
    assert np.arccos(np.clip(cosine, -1, 1)).mean() == pytest.approx(
        np.pi / 2, rel=0.06
    )


@pytest.mark.parametrize("operation", ["hue", "saturation"])
def test_grey_stays_grey_and_keeps_its_level(operation):
    spec = AugmentSpec(**{operation: 1.0})
    grey = jnp.repeat(pictures(channels=1), 3, 3)
    np.testing.assert_allclose(augment(grey, keys_of(2), 1.0, spec), grey, atol=1e-5)


def test_a_grey_picture_is_treated_as_three_equal_channels():
    spec = AugmentSpec(brightness=1.0, contrast=1.0, lumaflip=1.0)
    grey = pictures(8, channels=1)
    one = augment(grey, keys_of(8), 1.0, spec)
    three = augment(jnp.repeat(grey, 3, 3), keys_of(8), 1.0, spec)
    np.testing.assert_allclose(one[..., 0], three.mean(3), atol=1e-5)


def test_alpha_is_not_a_colour():
    spec = AugmentSpec(brightness=1.0, hue=1.0, lumaflip=1.0)
    images = pictures(channels=4)
    changed = augment(images, keys_of(2), 1.0, spec)
    np.testing.assert_array_equal(changed[..., 3], images[..., 3])
    rgb = augment(images[..., :3], keys_of(2), 1.0, spec)
    np.testing.assert_allclose(changed[..., :3], rgb, atol=1e-6)


def test_bands_are_octaves_that_add_up():
    bands = corrupt.band_filters()
    impulse = np.zeros(bands.shape[1])
    impulse[bands.shape[1] // 2] = 1.0
    np.testing.assert_allclose(bands.sum(0), impulse, atol=1e-12)
    np.testing.assert_allclose(bands, bands[:, ::-1], atol=1e-12)
    response = np.abs(np.fft.fft(bands, 512, axis=1))[:, :257]  # 0 .. pi
    for band, (low, high) in enumerate([(0, 32), (32, 64), (64, 128), (128, 256)]):
        assert response[:, (low + high) // 2].argmax() == band


@pytest.mark.parametrize("sides", [(30, 50), (8, 12), (2, 3)])
def test_filtering_reflects_at_the_borders(sides):
    images = pictures(2, *sides)
    taps = corrupt.band_filters()[:2] + corrupt.band_filters()[2:]
    filtered = filter_bands(images, jnp.asarray(taps, jnp.float32))
    reach = taps.shape[1] // 2
    for n, own in enumerate(taps):
        wide = np.pad(images[n], ((reach,) * 2, (reach,) * 2, (0, 0)), mode="reflect")
        for axis in (0, 1):
            wide = np.apply_along_axis(np.convolve, axis, wide, own, "valid")
        np.testing.assert_allclose(filtered[n], wide, atol=1e-5)


def test_a_band_that_is_off_is_not_amplified():
    spec = AugmentSpec(imgfilter=1.0, imgfilter_bands=(0.0, 0.0, 0.0, 0.0))
    images = pictures()
    same = augment(images, keys_of(2), 1.0, spec)
    np.testing.assert_allclose(same, images, atol=1e-5)


def test_noise_is_white_with_a_half_normal_deviation():
    images = jnp.zeros((1500, 8, 8, 3), jnp.float32)
    noise = np.asarray(augment(images, keys_of(1500), 1.0, AugmentSpec(noise=1.0)))
    deviation = noise.std((1, 2, 3))
    assert deviation.mean() == pytest.approx(0.1 * (2 / np.pi) ** 0.5, rel=0.06)
    assert (deviation**2).mean() == pytest.approx(0.01, rel=0.12)
    unit = noise / deviation[:, None, None, None]
    assert abs(unit.mean()) < 0.01
    assert abs((unit[:, 1:] * unit[:, :-1]).mean()) < 0.02
    assert abs((unit[..., 0] * unit[..., 1]).mean()) < 0.02


def test_cutout_clears_half_of_the_sides_or_what_of_them_is_inside():
    images = jnp.ones((400, 16, 24, 3), jnp.float32)
    cut = np.asarray(augment(images, keys_of(400), 1.0, AugmentSpec(cutout=1.0)))
    hole = cut[..., 0] == 0
    height, width = hole.any(2).sum(1), hole.any(1).sum(1)
    np.testing.assert_array_equal(hole.sum((1, 2)), height * width)
    assert height.max() == 8 and width.max() == 12
    assert height.min() >= 4 and width.min() >= 6
    # The middle is uniform: a hole reaches over a border half of the time.
    assert np.mean(height < 8) == pytest.approx(0.5, abs=0.12)
