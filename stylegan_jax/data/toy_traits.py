"""What a procedural face looks like, drawn at random from a seed."""

from __future__ import annotations

import colorsys
import dataclasses
from typing import Any

import numpy as np

from stylegan_jax.data.toy_canvas import Colour, darker, lighter, mix, vivid

# Light to dark.
_SKINS: tuple[Colour, ...] = (
    (0.98, 0.85, 0.76), (0.94, 0.76, 0.63), (0.85, 0.64, 0.48), (0.70, 0.48, 0.34),
    (0.52, 0.34, 0.24), (0.38, 0.24, 0.17),
)  # fmt: skip
_HAIRS: dict[str, Colour] = {
    "black": (0.10, 0.08, 0.08),
    "brown": (0.32, 0.19, 0.11),
    "auburn": (0.52, 0.20, 0.10),
    "blond": (0.86, 0.68, 0.36),
    "red": (0.78, 0.34, 0.12),
    "grey": (0.66, 0.66, 0.68),
}
_EYES: dict[str, Colour] = {
    "brown": (0.36, 0.20, 0.10),
    "blue": (0.25, 0.48, 0.78),
    "green": (0.28, 0.55, 0.32),
    "grey": (0.45, 0.50, 0.55),
}
HAIR_STYLES = ("short", "spiky", "long", "bob", "curly", "bun", "bald")
BACKGROUNDS = ("plain", "sun", "stripes")


@dataclasses.dataclass(frozen=True)
class Traits:
    """One face.

    Attributes:
        skin: 0 (light) to 1 (dark).
        hair, hair_style, eyes, glasses, background: names of a choice.
        yaw: turn of the head in degrees, positive to the viewer's right.
        roll: tilt in degrees.
        smile: -0.5 (sad) to 1.
        mouth_open, beard, blush, lipstick, brow, eye_open, nose, fringe, receding:
            0 to 1.
        face_width: about 1.
        jaw: how much the face narrows towards the chin.
        mouth_width: half of it, in head coordinates.
        brow_lift, brow_tilt, gaze, parting, lean: -1 to 1.
        skin_rgb and the other colours: 0 to 1.
    """

    skin: float
    hair: str
    hair_style: str
    eyes: str
    glasses: str
    background: str
    yaw: float
    roll: float
    smile: float
    mouth_open: float
    beard: float
    blush: float
    lipstick: float
    brow: float
    eye_open: float
    nose: float
    fringe: float
    receding: float
    face_width: float
    jaw: float
    mouth_width: float
    brow_lift: float
    brow_tilt: float
    gaze: float
    parting: float
    lean: float
    skin_rgb: Colour
    hair_rgb: Colour
    eye_rgb: Colour
    cloth_rgb: Colour
    background_rgb: Colour
    frame_rgb: Colour

    def attributes(self) -> dict[str, Any]:
        """Returns one flat row: names, numbers rounded to 4 digits, hex colours."""
        row: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                value = "#" + "".join(f"{round(255 * c):02x}" for c in value)
            row[field.name] = round(value, 4) if isinstance(value, float) else value
        return row


def draw_traits(seed: int) -> Traits:
    """Draws a face; the same for the same seed on every machine."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x70F]))
    unit, signed = rng.random, lambda: float(rng.uniform(-1, 1))
    skin = float(unit())
    feminine = unit() < 0.5
    hair = str(rng.choice(list(_HAIRS), p=[0.27, 0.25, 0.1, 0.2, 0.08, 0.1]))
    shares = [0.1, 0.02, 0.36, 0.2, 0.16, 0.16, 0] if feminine else (
        [0.5, 0.2, 0.04, 0.02, 0.12, 0.02, 0.1]
    )  # fmt: skip
    beard = 0.0 if feminine or unit() < 0.6 else float(rng.uniform(0.25, 1))
    eyes = str(rng.choice(list(_EYES), p=[0.5, 0.22, 0.16, 0.12]))
    hue = float(unit())
    return Traits(
        skin=skin,
        hair=hair,
        hair_style=str(rng.choice(HAIR_STYLES, p=shares)),
        eyes=eyes,
        glasses=str(rng.choice(["none", "round", "square"], p=[0.7, 0.15, 0.15])),
        background=str(rng.choice(BACKGROUNDS, p=[0.5, 0.3, 0.2])),
        yaw=float(np.clip(rng.normal(0, 11), -25, 25)),
        roll=float(np.clip(rng.normal(0, 4), -10, 10)),
        smile=float(rng.uniform(-0.4, 1)),
        mouth_open=float(unit()),
        beard=beard,
        blush=float(unit()),
        lipstick=float(rng.uniform(0.3, 1)) if feminine else 0.0,
        brow=float(unit()) * (0.6 if feminine else 1.0),
        eye_open=float(unit()),
        nose=float(unit()),
        fringe=float(unit()),
        receding=0.0 if feminine else float(unit()) ** 2,
        face_width=float(rng.uniform(0.92, 1.08)),
        jaw=float(rng.uniform(0.2, 0.42)) + (0.06 if feminine else 0.0),
        mouth_width=float(rng.uniform(0.15, 0.21)),
        brow_lift=signed(),
        brow_tilt=signed(),
        gaze=signed(),
        parting=signed(),
        lean=signed() * 0.5,
        skin_rgb=_ramp(_SKINS, skin),
        hair_rgb=_HAIRS[hair],
        eye_rgb=_EYES[eyes],
        cloth_rgb=colorsys.hsv_to_rgb(
            float(unit()), 0.55, float(rng.uniform(0.3, 0.8))
        ),
        background_rgb=colorsys.hsv_to_rgb(hue, float(rng.uniform(0.15, 0.6)), 0.75),
        frame_rgb=(0.12, 0.1, 0.1) if unit() < 0.7 else (0.45, 0.22, 0.1),
    )


def _ramp(stops: tuple[Colour, ...], place: float) -> Colour:
    index, share = divmod(place * (len(stops) - 1), 1)
    low = int(index)
    return mix(stops[low], stops[min(low + 1, len(stops) - 1)], share)


class Colours:
    """The traits' colours, more vivid in comics."""

    def __init__(self, traits: Traits, *, comic: bool):
        gain = 1.45 if comic else 1.0
        self.skin: Colour = vivid(traits.skin_rgb, 1.25 if comic else 1.0)
        if comic:
            self.skin = lighter(self.skin, 0.08)
        self.hair: Colour = vivid(traits.hair_rgb, gain * 1.15 if comic else 1.0)
        if comic:
            self.hair = lighter(self.hair, 0.06)
        self.eye: Colour = vivid(traits.eye_rgb, gain)
        self.cloth: Colour = vivid(traits.cloth_rgb, gain)
        self.back: Colour = vivid(traits.background_rgb, gain)
        self.shadow = mix(darker(self.skin, 0.45), (0.55, 0.15, 0.1), 0.3)
        self.lip = mix(self.skin, (0.72, 0.16, 0.2), 0.35 + 0.45 * traits.lipstick)
