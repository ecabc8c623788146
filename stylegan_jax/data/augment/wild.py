"""Robustness of students to photos from anywhere, inside the training step.

Sources that a generator drew are sharp, clean and aligned alike, and a student that saw
nothing else fails on photos that are not (out of focus, from a phone at night, saved as
a JPEG three times, cropped by another detector). Here the two halves of a pair are
moved alike, since the student is to answer where the face is; and what a camera does
falls on the source alone, since the student is to answer with a clean picture.

Everything is pure and maps a batch sample by sample: what becomes of a sample depends
on its own key, not on the batch or the device that it is in. A setting of 0 computes
nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp

from stylegan_jax.data.augment import color, jpeg
from stylegan_jax.data.augment.pair_source import Op
from stylegan_jax.errors import UsageError

_HIGHEST = jax.lax.Precision.HIGHEST
# The best quality that JPEGs are saved with; at 100 hardly anything changes.
BEST_QUALITY = 95.0
# Width of the pictures whose pixels the strength of the blur counts.
BLUR_WIDTH = 256
# Rec. 601, as JPEG's luma.
_LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Wild:
    """How strongly pairs are distorted; plain numbers, 0 is off.

    Geometry happens to every pair, and damage of each kind to ``probability`` of the
    sources, with a strength that is drawn from nothing up to the setting: a student
    must go on working on clean photos.

    Attributes:
        rotate: greatest turn to either side, in degrees.
        scale: greatest change of size, as a share: 0.1 is 1/1.1 to 1.1 times.
        translate: greatest move along either axis, as a share of the side.
        crop: greatest share of the side that is cut away; what is left, anywhere in
            the picture, is enlarged.
        light: stops (factors of 2) by which exposure varies, and light falls off
            across the picture; the gamma varies by half as much.
        light_both: whether targets are lit as their sources, for students that are to
            keep the light; otherwise they learn to even it out.
        colour: greatest change of the white balance and of saturation, as a share.
        blur: greatest standard deviation of a Gaussian, in pixels of a picture that is
            256 wide; scaled with the picture.
        noise: greatest standard deviation of a sensor's noise in white, as a share of
            the range; its variance falls with the light to a quarter.
        jpeg: lowest quality of JPEG compression, 1 to 95, which is the highest.
        probability: of each kind of damage, for each source.
    """

    rotate: float = 0.0
    scale: float = 0.0
    translate: float = 0.0
    crop: float = 0.0
    light: float = 0.0
    light_both: bool = False
    colour: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    jpeg: float = 0.0
    probability: float = 0.5

    @property
    def moves(self) -> bool:
        """Whether anything happens to the geometry."""
        return any((self.rotate, self.scale, self.translate, self.crop))

    @property
    def damages(self) -> bool:
        """Whether anything happens to the values."""
        kinds = (self.light, self.colour, self.blur, self.noise, self.jpeg)
        return bool(self.probability) and any(kinds)

    def check(self) -> None:
        """Raises `UsageError` where a value makes no sense; all such are listed."""
        most = {"rotate": 180, "scale": 9, "translate": 1, "crop": 0.9, "light": 8,
                "colour": 1, "blur": 64, "noise": 1, "jpeg": BEST_QUALITY,
                "probability": 1}  # fmt: skip
        wrong = [
            f"{name} is {value:g} and goes from 0 to {limit:g}"
            for name, limit in most.items()
            if not 0 <= (value := getattr(self, name)) <= limit
        ]
        if 0 < self.jpeg < 1:
            wrong.append(f"jpeg is {self.jpeg:g}, and the lowest quality is 1")
        if wrong:
            raise UsageError(
                f"settings for wild photos make no sense: {'; '.join(wrong)}."
            )

    def describe(self) -> str:
        """The settings in words, such as ``turned by 5°, JPEG from quality 40``."""
        lit = " (targets too)" if self.light_both else ""
        texts = (
            (self.rotate, f"turned by up to {self.rotate:g}°"),
            (self.scale, f"resized by up to {self.scale:.0%}"),
            (self.translate, f"moved by up to {self.translate:.0%}"),
            (self.crop, f"cropped by up to {self.crop:.0%}"),
            (self.light, f"light of ±{self.light:g} stops{lit}"),
            (self.colour, f"colours of ±{self.colour:.0%}"),
            (self.blur, f"blur of up to {self.blur:g} px at {BLUR_WIDTH}"),
            (self.noise, f"noise of up to {self.noise:.1%}"),
            (self.jpeg, f"JPEG from quality {self.jpeg:g}"),
        )
        said = [text for value, text in texts if value]
        if self.damages:
            said.append(f"damage of each kind in {self.probability:.0%} of sources")
        return ", ".join(said) or "nothing"


# What photos from anywhere need; strong enough to matter and mild enough to learn.
PHOTOS = Wild(
    rotate=5.0, scale=0.08, translate=0.03, light=0.5, colour=0.15, blur=2.0,
    noise=0.04, jpeg=30.0,
)  # fmt: skip


def distort(
    keys: jax.Array,
    source: jax.Array,
    target: jax.Array,
    settings: Wild,
    second: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Distorts pairs.

    Pictures are moved by cubic convolution (sharper than bilinear, whose softness a
    student would learn from its targets) with reflected borders. Whole numbers are
    classes: they are moved by taking the nearest, and not damaged. No gradient passes.

    Args:
        keys: [N] keys, one per sample.
        source: [N, h, w, c] float32 in [-1, 1] with 1 or 3 channels, or whole numbers.
        target: [N, H, W, C] float32 in [-1, 1]; moved, and lit with ``light_both``.
        settings: how strongly.
        second: [N, h, w, c] like ``source``; moved like it, damaged on its own.

    Returns:
        The same arrays, distorted.

    Raises:
        UsageError: settings that make no sense, or damage to other than pictures in
            grey or RGB.
        ValueError: for another number of keys than samples.
    """
    settings.check()
    given = [source, target] if second is None else [source, target, second]
    for images in given:
        if images.ndim != 4 or keys.shape != images.shape[:1]:
            raise ValueError(
                f"images {images.shape} and keys {keys.shape} are not [N, H, W, C] and "
                "[N]."
            )
        if settings.damages and images.shape[3] not in (1, 3):
            raise UsageError(
                f"light, colour, blur, noise and JPEG are for pictures in grey or RGB, "
                f"and one has {images.shape[3]} channels: leave them at 0."
            )
    given = [jax.lax.stop_gradient(images) for images in given]
    if settings.moves:
        matrices = jax.vmap(functools.partial(_matrix, settings=settings))(
            _fold(keys, Op.GEOMETRY)
        )
        given = [_move(images, matrices) for images in given]
    if settings.damages:
        if settings.light and settings.light_both:
            given[1] = _lit(keys, given[1], settings)
        given[0] = _damaged(keys, given[0], settings)
        if second is not None:
            given[2] = _damaged(_fold(keys, Op.SECOND), given[2], settings)
    return given[0], given[1], given[2] if second is not None else None


def blind_spot(fake: jax.Array, shown: jax.Array, size: int) -> jax.Array:
    """Shows a corner of another picture in place of what a student drew there.

    A generator with instance normalisation tends to put a blob somewhere, a place whose
    huge values steer the statistics of its layers. Where no loss looks, a blob costs
    nothing: with the corner hidden from discriminators and losses alike, the blob can
    settle there and leave the face alone. That only works in one and the same place,
    so that nothing is drawn at random. The program of "StyleGAN2 Distillation for
    Feed-forward Image Manipulation" (Viazovetskyi et al. 2020) has it as the option
    ``blind_spot_size`` and shows the *source* in the corner on top at the left. Shown
    there the target instead, discriminators cannot tell either by the corner.

    Args:
        fake: [N, H, W, C] what the student drew, before any loss looks at it.
        shown: [N, H, W, c] with c ≥ C; the first C channels are shown. No gradient
            reaches it, nor the corner of ``fake``.
        size: side of the square in pixels; 0 is off.

    Returns:
        [N, H, W, C].

    Raises:
        UsageError: the square is larger than the picture, or negative.
    """
    height, width = fake.shape[1:3]
    if not 0 <= size <= min(height, width):
        raise UsageError(
            f"the blind spot is {size} pixels wide and fits in a picture of "
            f"{height}x{width} from 0 (off) to {min(height, width)}."
        )
    if not size:
        return fake
    corner = jax.lax.stop_gradient(shown[:, :size, :size, : fake.shape[3]])
    return fake.at[:, :size, :size].set(corner.astype(fake.dtype))


def _fold(keys: jax.Array, op: Op) -> jax.Array:
    return jax.vmap(jax.random.fold_in, (0, None))(keys, int(op))


def _draws(keys: jax.Array, op: Op, count: int) -> jax.Array:
    """[count, N, 1, 1, 1] uniform on [0, 1), every number for itself."""
    own = jax.vmap(lambda key: jax.random.uniform(key, (count,)))(_fold(keys, op))
    return own.T[:, :, None, None, None]


def _matrix(key: jax.Array, settings: Wild) -> jax.Array:
    """One sample's [2, 3]: what place of the source each place of the result shows.

    Places are counted from the middle in pixels; the last column is a share of the
    sides.
    """
    draws = 2.0 * jax.random.uniform(key, (7,)) - 1.0
    angle = draws[0] * math.radians(settings.rotate)
    cut = settings.crop * (draws[4] + 1.0) / 2.0
    factor = (1.0 - cut) / (1.0 + settings.scale) ** draws[1]
    cos, sin = factor * jnp.cos(angle), factor * jnp.sin(angle)
    move = draws[2:4] * settings.translate + draws[5:7] * cut / 2.0
    return jnp.stack([jnp.stack([cos, -sin, move[0]]), jnp.stack([sin, cos, move[1]])])


def _move(images: jax.Array, matrices: jax.Array) -> jax.Array:
    """Moves every image [H, W, C] by its matrix; all sizes are moved alike."""
    height, width = images.shape[1:3]
    if min(height, width) < 2:  # nothing to reflect
        return images
    y = (jnp.arange(height) - (height - 1) / 2)[None, :, None]
    x = (jnp.arange(width) - (width - 1) / 2)[None, None, :]
    m = matrices[:, :, :, None, None]
    columns = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2] * width + (width - 1) / 2
    rows = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2] * height + (height - 1) / 2
    if not jnp.issubdtype(images.dtype, jnp.floating):
        return jax.vmap(_nearest)(images, rows, columns)
    # One period of the reflected image, and what the taps reach beyond it.
    widths = ((0, 0), (1, height), (1, width), (0, 0))
    moved = jax.vmap(_cubic)(jnp.pad(images, widths, mode="reflect"), rows, columns)
    return jnp.clip(moved, -1.0, 1.0)


def _nearest(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    places = []
    for at, length in zip((rows, columns), image.shape[:2], strict=True):
        period = 2 * length - 2
        i = jnp.mod(jnp.round(at).astype(jnp.int32), period)
        places.append(jnp.minimum(i, period - i))
    return image[places[0], places[1]]


def _cubic(period: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Values [h, w, C] of a reflected image at fractional places [h, w]."""
    height, width = period.shape[0] - 3, period.shape[1] - 3
    top, left = jnp.floor(rows), jnp.floor(columns)
    i = jnp.mod(top.astype(jnp.int32), height)
    j = jnp.mod(left.astype(jnp.int32), width)
    down, right = _taps(rows - top), _taps(columns - left)

    def at(i, j):
        return jax.lax.dynamic_slice(period, (i, j, 0), (4, 4, period.shape[2]))

    # Windows take 16 times the image's memory for a moment. Gathers that are added up
    # as they come do not, and a CPU fuses them into all that follows, over and over.
    near = jax.vmap(jax.vmap(at))(i, j)  # [h, w, 4, 4, C]
    lines = sum(near[:, :, k] * down[k][..., None, None] for k in range(4))
    return sum(lines[:, :, k] * right[k][..., None] for k in range(4))


def _taps(f: jax.Array) -> tuple[jax.Array, ...]:
    """Weights of four neighbours at f beyond the second (Keys 1981, a = -1/2)."""
    return (
        ((-0.5 * f + 1.0) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1.0,
        ((-1.5 * f + 2.0) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    )


def _damaged(keys: jax.Array, images: jax.Array, settings: Wild) -> jax.Array:
    """What happens to light on its way into a file, in this order."""
    if not jnp.issubdtype(images.dtype, jnp.floating):
        return images
    steps = (
        (settings.light, _lit),
        (settings.colour if images.shape[3] == 3 else 0.0, _tinted),
        (settings.blur, _blurred),
        (settings.noise, _noisy),
        (settings.jpeg, _compressed),
    )
    for strength, step in steps:
        if strength:
            images = step(keys, images, settings)
    return images


def _where(draw: jax.Array, settings: Wild, damaged: jax.Array, images: jax.Array):
    return jnp.where(draw < settings.probability, damaged, images)


def _lit(keys: jax.Array, images: jax.Array, settings: Wild) -> jax.Array:
    """Exposure, a gradient of light across the picture, and gamma."""
    happens, exposure, turn, slope, gamma = _draws(keys, Op.LIGHT, 5)
    height, width = images.shape[1:3]
    y = ((jnp.arange(height) + 0.5) / height - 0.5)[None, :, None, None]
    x = ((jnp.arange(width) + 0.5) / width - 0.5)[None, None, :, None]
    across = x * jnp.cos(2 * math.pi * turn) + y * jnp.sin(2 * math.pi * turn)
    stops = settings.light * (2.0 * exposure - 1.0 + slope * across)
    power = jnp.exp2(settings.light * (gamma - 0.5))
    values = jnp.clip(images * 0.5 + 0.5, 0.0, 1.0)
    lit = jnp.clip(values**power * jnp.exp2(stops), 0.0, 1.0) * 2.0 - 1.0
    return _where(happens, settings, lit, images)


def _tinted(keys: jax.Array, images: jax.Array, settings: Wild) -> jax.Array:
    """White balance (gains of red, green, blue) and saturation."""
    happens, red, green, blue, saturation = _draws(keys, Op.COLOUR, 5)
    gains = jnp.concatenate([red, green, blue], 3)[:, 0, 0]  # [N, 3]
    gains = (1.0 + settings.colour) ** (2.0 * gains - 1.0)
    share = (1.0 + settings.colour) ** (2.0 * saturation[:, 0, 0] - 1.0)
    grey = jnp.tile(jnp.asarray(_LUMA), (3, 1))
    kept = share[:, None] * jnp.eye(3) + (1.0 - share[:, None]) * grey
    linear = gains[:, :, None] * kept
    # Values are gained where black is 0, and are kept where it is -1.
    matrices = jnp.zeros((len(keys), 4, 4)).at[:, :3, :3].set(linear)
    matrices = matrices.at[:, :3, 3].set(gains - 1.0).at[:, 3, 3].set(1.0)
    tinted = jnp.clip(color.recolour(images, matrices), -1.0, 1.0)
    return _where(happens, settings, tinted, images)


def _blurred(keys: jax.Array, images: jax.Array, settings: Wild) -> jax.Array:
    """A lens out of focus: a Gaussian, one matrix product for each axis."""
    happens, strength = _draws(keys, Op.BLUR, 2)
    sigma = strength[:, 0, 0] * (settings.blur * images.shape[2] / BLUR_WIDTH)
    rows, columns = (_gaussian(sigma, n) for n in images.shape[1:3])
    blurred = jnp.einsum("nuh,nhwc->nuwc", rows, images, precision=_HIGHEST)
    blurred = jnp.einsum("nvw,nuwc->nuvc", columns, blurred, precision=_HIGHEST)
    return _where(happens, settings, blurred, images)


def _gaussian(sigma: jax.Array, length: int) -> jax.Array:
    """[N, length, length]: an axis filtered by Gaussians, reflected at its ends.

    Args:
        sigma: [N, 1] in pixels; one hundredth and less leaves all as it is.
        length: pixels of the axis.
    """
    to, place = jnp.arange(length)[:, None], jnp.arange(length)[None, :]
    # The middle of an end's pixel is the mirror, so it has no image of its own there.
    mirrors = (
        jnp.where(place > 0, -place, 2 * length),
        jnp.where(place < length - 1, 2 * length - 2 - place, -2 * length),
    )
    narrow = -0.5 / jnp.square(jnp.maximum(sigma, 0.01))[:, :, None]
    weights = sum(jnp.exp(narrow * (to - at) ** 2) for at in (place, *mirrors))
    return weights / jnp.sum(weights, 2, keepdims=True)


def _noisy(keys: jax.Array, images: jax.Array, settings: Wild) -> jax.Array:
    """A sensor's noise: some always, the rest of photons, whose variance is light."""
    own = _fold(keys, Op.NOISE)
    happens, strength = _draws(keys, Op.NOISE, 2)
    pixels = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(
        jax.vmap(jax.random.fold_in, (0, None))(own, 0)
    )
    light = jnp.clip(images * 0.5 + 0.5, 0.0, 1.0)
    deviation = 2.0 * settings.noise * strength * jnp.sqrt(0.25 + 0.75 * light)
    noisy = jnp.clip(images + deviation * pixels, -1.0, 1.0)
    return _where(happens, settings, noisy, images)


def _compressed(keys: jax.Array, images: jax.Array, settings: Wild) -> jax.Array:
    happens, draw = _draws(keys, Op.JPEG, 2)
    quality = settings.jpeg + draw[:, 0, 0, 0] * (BEST_QUALITY + 1.0 - settings.jpeg)
    return _where(happens, settings, jpeg.compress(images, quality), images)
