"""Which operations a pipeline has, how often and how strong each is."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from stylegan_jax.errors import UsageError

_BLIT = ("xflip", "rotate90", "xint")
_GEOM = ("scale", "rotate", "aniso", "xfrac")
_COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
_FILTER = ("imgfilter",)
_NOISE = ("noise",)
_CUTOUT = ("cutout",)
OPERATIONS = _BLIT + _GEOM + _COLOR + _FILTER + _NOISE + _CUTOUT

# The pipelines by name (StyleGAN2-ADA, Figure 4): each letter of the long ones adds a
# group, from blit on.
PIPES: dict[str, tuple[str, ...]] = {
    "blit": _BLIT,
    "geom": _GEOM,
    "color": _COLOR,
    "filter": _FILTER,
    "noise": _NOISE,
    "cutout": _CUTOUT,
    "bg": _BLIT + _GEOM,
    "bgc": _BLIT + _GEOM + _COLOR,
    "bgcf": _BLIT + _GEOM + _COLOR + _FILTER,
    "bgcfn": _BLIT + _GEOM + _COLOR + _FILTER + _NOISE,
    "bgcfnc": OPERATIONS,
}


@dataclasses.dataclass(frozen=True)
class AugmentSpec:
    """Probability multipliers and strengths; hashable, hence static under jit.

    The first group are multipliers from 0 to 1: an operation happens to an image with
    probability ``multiplier * p``. The default is 0, no operation. Then the strengths,
    whose defaults are those of StyleGAN2-ADA (appendix B); log2 means that a factor is
    2 to the power of the draw.

    Attributes:
        xflip: mirrors left and right, in half of the cases.
        rotate90: turns by 0, 90, 180 or 270 degrees.
        xint: moves by whole pixels.
        scale: zooms.
        rotate: turns by any angle, before or after ``aniso`` or both.
        aniso: stretches one axis and shrinks the other.
        xfrac: moves by fractions of a pixel.
        brightness: adds to all channels.
        contrast: multiplies all channels.
        lumaflip: turns light into dark at the same hue, in half of the cases.
        hue: turns the colours about the grey axis; skipped for grey images.
        saturation: scales the distance from grey; skipped for grey images.
        imgfilter: amplifies or damps bands of frequencies.
        noise: adds white noise.
        cutout: sets a rectangle to 0.
        xint_max: largest move, as a share of the side.
        scale_std: log2 standard deviation of the zoom.
        rotate_max: largest angle, 1 for a half turn either way.
        aniso_std: log2 standard deviation of the stretch.
        xfrac_std: standard deviation of the move, as a share of the side.
        brightness_std: standard deviation of what is added, in [-1, 1] units.
        contrast_std: log2 standard deviation of the factor.
        hue_max: largest angle, 1 for a half turn either way.
        saturation_std: log2 standard deviation of the factor.
        imgfilter_bands: multipliers of ``imgfilter`` from the lowest band to the
            highest: [0, pi/8], [pi/8, pi/4], [pi/4, pi/2], [pi/2, pi].
        imgfilter_std: log2 standard deviation of a band's gain.
        noise_std: scale of the noise's own standard deviation, which is half-normal.
        cutout_size: sides of the rectangle, as a share of the image's.

    Raises:
        UsageError: for a multiplier outside [0, 1] or a strength below 0.
    """

    xflip: float = 0.0
    rotate90: float = 0.0
    xint: float = 0.0
    scale: float = 0.0
    rotate: float = 0.0
    aniso: float = 0.0
    xfrac: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    lumaflip: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    imgfilter: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0
    xint_max: float = 0.125
    scale_std: float = 0.2
    rotate_max: float = 1.0
    aniso_std: float = 0.2
    xfrac_std: float = 0.125
    brightness_std: float = 0.2
    contrast_std: float = 0.5
    hue_max: float = 1.0
    saturation_std: float = 1.0
    imgfilter_bands: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    imgfilter_std: float = 1.0
    noise_std: float = 0.1
    cutout_size: float = 0.5

    def __post_init__(self) -> None:
        """Refuses values out of range, all offenders in one sentence."""
        wrong = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "imgfilter_bands":
                if len(value) != 4 or not all(0 <= v <= 1 for v in value):
                    wrong.append(f"imgfilter_bands={value} must be four from 0 to 1")
            elif field.name in OPERATIONS:
                if not 0 <= value <= 1:
                    wrong.append(f"{field.name}={value} must be from 0 to 1")
            elif not (math.isfinite(value) and value >= 0):
                wrong.append(f"{field.name}={value} must be finite and not below 0")
        if wrong:
            raise UsageError(f"The augmentation is out of range: {'; '.join(wrong)}.")

    def has(self, *operations: str) -> bool:
        """Whether any of the operations can happen."""
        return any(getattr(self, name) > 0 for name in operations)

    @property
    def geometric(self) -> bool:
        """Whether anything moves pixels."""
        return self.has(*_BLIT, *_GEOM)

    @property
    def colour(self) -> bool:
        """Whether anything changes colours."""
        return self.has(*_COLOR)


def make_spec(pipe: str, *, mirror: bool) -> AugmentSpec:
    """The pipeline called ``pipe``, every operation in it with multiplier 1.

    Args:
        pipe: a key of ``PIPES``, e.g. ``bgc``.
        mirror: whether the training set is mirrored. Where it is not, ``xflip`` is left
            out: an augmentation that happens in half of the images at p near 1 leaks
            into the generated pictures, and lettering or partings would flip.

    Raises:
        UsageError: for an unknown name.
    """
    if pipe not in PIPES:
        raise UsageError(
            f"There is no augmentation pipeline '{pipe}', choose from "
            f"{', '.join(PIPES)}."
        )
    names = [name for name in PIPES[pipe] if mirror or name != "xflip"]
    multipliers: dict[str, Any] = dict.fromkeys(names, 1.0)
    return AugmentSpec(**multipliers)
