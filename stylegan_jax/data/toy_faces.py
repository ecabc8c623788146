"""The parts of a procedural face, drawn back to front on a `toy_canvas.Canvas`."""

from __future__ import annotations

import numpy as np
from PIL import ImageChops

from stylegan_jax.data.toy_canvas import (
    INK,
    LIGHT,
    Canvas,
    Colour,
    Points,
    curve,
    darker,
    ellipse,
    lighter,
    mix,
)
from stylegan_jax.data.toy_hair import back_hair, beard, front_hair
from stylegan_jax.data.toy_traits import Colours, Traits

_EYE_X, _EYE_Y = 0.235, -0.06


def draw_face(canvas: Canvas, traits: Traits) -> None:
    """Draws everything."""
    colours = Colours(traits, comic=canvas.comic)
    _background(canvas, traits, colours)
    back_hair(canvas, traits, colours)
    _body(canvas, traits, colours)
    _ears(canvas, traits, colours)
    outline = _head(canvas, traits, colours)
    _nose(canvas, traits, colours)
    beard(canvas, traits, colours, outline)
    _mouth(canvas, traits, colours)
    for side in (-1, 1):
        _eye(canvas, traits, colours, side)
        _brow(canvas, traits, colours, side)
    front_hair(canvas, traits, colours, outline)
    _glasses(canvas, traits)


def _background(canvas: Canvas, traits: Traits, colours: Colours) -> None:
    if canvas.comic:
        canvas.gradient(colours.back, colours.back, 0)
        other = lighter(colours.back, 0.22)
        if traits.background == "stripes":
            for offset in np.arange(-2.2, 1.2, 0.5):
                stripe = [(offset, 1), (offset + 1, -1), (offset + 1.22, -1)]
                band = np.array([*stripe, (offset + 0.22, 1)])
                canvas.fill(band, other, depth=None, ink=0)
        elif traits.background == "sun":
            canvas.fill(ellipse(0, -0.1, 0.95, 0.95), other, depth=None, ink=0)
        return
    canvas.gradient(
        lighter(colours.back, 0.25), darker(colours.back, 0.35), traits.lean
    )
    if traits.background == "stripes":
        for offset in np.arange(-1.3, 1.3, 0.62):
            band = np.array(
                [
                    (offset, 1),
                    (offset + 0.5, -1),
                    (offset + 0.75, -1),
                    (offset + 0.25, 1),
                ]
            )
            canvas.soft(band, lighter(colours.back, 0.5), 0.3, blur=0.07, depth=None)
    elif traits.background == "sun":
        disc = ellipse(0, -0.1, 0.85, 0.85)
        canvas.soft(disc, lighter(colours.back, 0.6), 0.45, blur=0.16, depth=None)


def _head_outline(traits: Traits, grow: float = 1.0) -> Points:
    """Returns the skull and jaw as a closed line."""
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    y = -np.cos(t)
    low = np.clip(y, 0, 1)
    x = np.sin(t) * (1 - traits.jaw * low**2.2)
    width, height = 0.5 * traits.face_width * grow, 0.72 * grow
    return np.stack([x * width, 0.06 + y * height], axis=1)


def _body(canvas: Canvas, traits: Traits, colours: Colours) -> None:
    neck = np.array([(-0.24, 0.5), (0.24, 0.5), (0.28, 1.05), (-0.28, 1.05)])
    canvas.fill(neck, colours.skin, depth=-0.1)
    if canvas.comic:
        shade = np.array([(-0.24, 0.55), (0.24, 0.55), (0.25, 0.84), (-0.25, 0.8)])
        canvas.fill(shade, mix(colours.skin, colours.shadow, 0.4), depth=-0.1, ink=0)
    else:
        canvas.soft(
            ellipse(0.04, 0.68, 0.4, 0.2), colours.shadow, 0.75, blur=0.06, depth=-0.1,
            within=canvas.mask(neck, -0.1),
        )  # fmt: skip
    shoulders = curve(
        (-1.1, 1.2), (-0.85, 0.94), (-0.36, 0.84), (0, 0.96), (0.36, 0.84),
        (0.85, 0.94), (1.1, 1.2),
    )  # fmt: skip
    canvas.fill(shoulders, colours.cloth, depth=None)
    if not canvas.comic:
        mask = canvas.mask(shoulders, None)
        canvas.shade(mask, (0, 1.2), (1.2, 0.5), LIGHT, 0.6)


def _ears(canvas: Canvas, traits: Traits, colours: Colours) -> None:
    if traits.hair_style in ("long", "bob"):
        return
    width = 0.5 * traits.face_width
    for side in (-1, 1):
        ear = ellipse(side * width * 1.0, 0.06, 0.085, 0.15)
        canvas.fill(ear, mix(colours.skin, colours.shadow, 0.18), depth=-0.08)
        inner = ellipse(side * width * 1.03, 0.06, 0.04, 0.085)
        canvas.fill(inner, mix(colours.skin, colours.shadow, 0.5), depth=-0.08, ink=0)


def _head(canvas: Canvas, traits: Traits, colours: Colours) -> Points:
    outline = _head_outline(traits)
    canvas.fill(outline, colours.skin)
    face = canvas.mask(outline)
    if canvas.comic:
        # Hard-edged shadow on the side away from the light.
        moved = ImageChops.offset(
            face, -round(0.075 * face.width / 2), -round(0.05 * face.width / 2)
        )
        away = ImageChops.subtract(face, moved)
        canvas.blend(away, mix(colours.skin, colours.shadow, 0.45), 1)
        canvas.line(np.concatenate([outline, outline[:1]]), INK, 0.03)
    else:
        centre = canvas.place(np.array([[0.0, 0.05]]))[0]
        middle = tuple(2 * c / face.width - 1 for c in centre)
        width = 0.56 * traits.face_width
        canvas.shade(face, (middle[0], middle[1]), (width, 0.98), LIGHT, 0.75)
        for side in (-1, 1):
            socket = ellipse(side * _EYE_X, _EYE_Y - 0.02, 0.15, 0.085)
            canvas.soft(socket, colours.shadow, 0.33, blur=0.04, depth=0.3)
        canvas.soft(
            ellipse(-0.1, -0.33, 0.17, 0.1), lighter(colours.skin, 0.6), 0.28,
            blur=0.08, depth=0.3,
        )  # fmt: skip
    for side in (-1, 1):
        cheek = ellipse(side * 0.29, 0.22, 0.12, 0.085)
        pink = mix(colours.skin, (0.95, 0.25, 0.25), 0.55 - 0.3 * traits.skin)
        blur = 0.02 if canvas.comic else 0.06
        alpha = traits.blush * (0.75 if canvas.comic else 0.65)
        canvas.soft(cheek, pink, alpha, blur=blur, depth=0.28, within=face)
    return outline


def _nose(canvas: Canvas, traits: Traits, colours: Colours) -> None:
    size = traits.nose
    tip = 0.2 + 0.03 * size
    if canvas.comic:
        stroke = curve((0.015, 0.06), (0.06 + 0.03 * size, tip), (-0.02, tip + 0.02))
        canvas.line(stroke, mix(INK, colours.shadow, 0.3), 0.03, depth=0.5)
        return
    wing = 0.085 * (0.7 + 0.5 * size)
    bridge = np.array([(0.025, -0.1), (0.075, tip), (0.02, tip + 0.01), (0.0, -0.1)])
    canvas.soft(bridge, colours.shadow, 0.5, blur=0.022, depth=0.46)
    canvas.soft(
        ellipse(0.0, tip + 0.028, wing, 0.03),
        colours.shadow,
        0.62,
        blur=0.02,
        depth=0.5,
    )
    for side in (-1, 1):
        nostril = ellipse(side * wing * 0.55, tip + 0.03, 0.022, 0.014)
        canvas.soft(nostril, darker(colours.shadow, 0.5), 0.8, blur=0.01, depth=0.5)
    shine = lighter(colours.skin, 0.65)
    canvas.soft(
        ellipse(-0.02, tip - 0.03, 0.03, 0.035), shine, 0.5, blur=0.02, depth=0.55
    )
    canvas.soft(ellipse(-0.015, 0.03, 0.015, 0.12), shine, 0.4, blur=0.02, depth=0.46)


def _mouth(canvas: Canvas, traits: Traits, colours: Colours) -> None:
    smile, width, y, depth = traits.smile, traits.mouth_width, 0.42, 0.38
    width = width * (1 + 0.22 * max(0.0, smile))
    corner = y - 0.085 * smile
    gap = 0.13 * traits.mouth_open * (0.4 + max(0.0, smile))
    left, right = (-width, corner), (width, corner)
    top = curve(
        left, (-width * 0.5, y - 0.012), (0, y), (width * 0.5, y - 0.012), right
    )
    bottom_y = y + gap + 0.03 * smile
    bottom = curve(
        left, (-width * 0.5, bottom_y - 0.012), (0, bottom_y),
        (width * 0.5, bottom_y - 0.012), right,
    )  # fmt: skip
    lip = 0.036
    upper = curve(
        left, (-width * 0.45, y - lip - 0.01), (0, y - lip + 0.008),
        (width * 0.45, y - lip - 0.01), right,
    )  # fmt: skip
    lower = curve(
        left, (-width * 0.5, bottom_y + lip * 0.7), (0, bottom_y + lip * 1.35),
        (width * 0.5, bottom_y + lip * 0.7), right,
    )  # fmt: skip
    ink = 0.0 if canvas.comic and traits.lipstick < 0.4 else 0.018
    if ink or not canvas.comic:
        canvas.fill(
            np.concatenate([upper, lower[::-1]]), colours.lip, depth=depth, ink=0
        )
    if gap > 0.035:
        inside = np.concatenate([top, bottom[::-1]])
        canvas.fill(inside, (0.3, 0.06, 0.08), depth=depth, ink=0)
        teeth = np.concatenate([top, (top * 0.45 + bottom * 0.55)[::-1]])
        canvas.fill(teeth, (0.97, 0.96, 0.93), depth=depth, ink=0)
        if canvas.comic:
            canvas.line(np.concatenate([inside, inside[:1]]), INK, 0.028, depth=depth)
    else:
        middle = (top + bottom) / 2
        dark = INK if canvas.comic else darker(colours.lip, 0.6)
        canvas.line(middle, dark, 0.034 if canvas.comic else 0.02, depth=depth)
    if not canvas.comic:
        shadow = ellipse(0.0, bottom_y + 0.085, width * 0.6, 0.025)
        canvas.soft(shadow, colours.shadow, 0.4, blur=0.025, depth=depth)
        shine = ellipse(-0.03, bottom_y + lip * 0.7, width * 0.3, 0.008)
        canvas.soft(shine, (1, 1, 1), 0.28, blur=0.012, depth=depth)


def _eye(canvas: Canvas, traits: Traits, colours: Colours, side: int) -> None:
    big = 1.34 if canvas.comic else 1.14
    x, y, depth = side * _EYE_X, _EYE_Y, 0.3
    half = 0.108 * big * (1 if not canvas.comic else 0.95)
    height = (0.05 + 0.022 * traits.eye_open) * big * (1.3 if canvas.comic else 1.0)
    upper = curve(
        (x - half, y + 0.008), (x - half * 0.45, y - height),
        (x + half * 0.45, y - height), (x + half, y + 0.008),
    )  # fmt: skip
    lower = curve(
        (x - half, y + 0.008), (x - half * 0.4, y + height * 0.72),
        (x + half * 0.4, y + height * 0.72), (x + half, y + 0.008),
    )  # fmt: skip
    lids = np.concatenate([upper, lower[::-1]])
    opening = canvas.mask(lids, depth)
    canvas.blend(opening, (1, 1, 1) if canvas.comic else (0.96, 0.95, 0.94), 1)
    gaze = 0.03 * traits.gaze
    radius = 0.062 * big
    iris = canvas.mask(ellipse(x + gaze, y - 0.004, radius, radius), depth)
    canvas.blend(ImageChops.multiply(iris, opening), colours.eye, 1)
    pupil_r = radius * (0.55 if canvas.comic else 0.48)
    pupil = canvas.mask(ellipse(x + gaze, y - 0.004, pupil_r, pupil_r), depth)
    canvas.blend(ImageChops.multiply(pupil, opening), (0.03, 0.02, 0.03), 1)
    glint_r = 0.022 * big
    glint = ellipse(x + gaze - 0.025, y - 0.03 * big, glint_r, glint_r)
    canvas.blend(canvas.mask(glint, depth), (1, 1, 1), 0.95, within=opening)
    if canvas.comic:
        canvas.line(upper, INK, 0.045, depth=depth)
        canvas.line(lower, INK, 0.014, depth=depth)
        lash = np.array(
            [upper[-1] if side > 0 else upper[0], (x + side * half * 1.2, y - 0.02)]
        )
        canvas.line(lash, INK, 0.03, depth=depth)
        return
    band = np.concatenate([upper, (upper + [0, 0.03])[::-1]])
    canvas.soft(band, (0, 0, 0), 0.45, blur=0.012, depth=depth, within=opening)
    canvas.line(
        upper,
        darker(colours.shadow, 0.72),
        0.018 + 0.012 * traits.lipstick,
        depth=depth,
    )
    canvas.line(lower, darker(colours.shadow, 0.2), 0.008, depth=depth)
    fold = upper + [0, -0.032]
    canvas.line(fold, mix(colours.skin, colours.shadow, 0.55), 0.01, depth=depth)


def _brow(canvas: Canvas, traits: Traits, colours: Colours, side: int) -> None:
    lift = 0.045 if canvas.comic else 0.0
    y = _EYE_Y - 0.135 - lift - 0.02 * traits.brow_lift
    tilt = 0.035 * traits.brow_tilt
    arch = curve(
        (side * 0.1, y + 0.018 + tilt), (side * 0.22, y - 0.02),
        (side * 0.35, y + 0.02 - tilt),
    )  # fmt: skip
    colour = darker(colours.hair, 0.35)
    if canvas.comic:
        canvas.line(arch, mix(colour, INK, 0.5), 0.03 + 0.03 * traits.brow, depth=0.32)
        return
    thick = 0.018 + 0.018 * traits.brow
    shape = np.concatenate([arch + [0, -thick], (arch + [0, thick])[::-1]])
    canvas.soft(shape, colour, 0.92, blur=0.008, depth=0.32)


def _glasses(canvas: Canvas, traits: Traits) -> None:
    if traits.glasses == "none":
        return
    frame: Colour = INK if canvas.comic else traits.frame_rgb
    width = 0.036 if canvas.comic else 0.026
    depth = 0.36
    for side in (-1, 1):
        x, y = side * (_EYE_X + 0.004), _EYE_Y + 0.012
        lens = ellipse(x, y, 0.172, 0.15)
        if traits.glasses == "square":
            t = np.linspace(0, 2 * np.pi, 41)
            c, s = np.cos(t), np.sin(t)
            lens = np.stack(
                [
                    x + 0.172 * np.sign(c) * np.abs(c) ** 0.4,
                    y + 0.125 * np.sign(s) * np.abs(s) ** 0.4,
                ],
                axis=1,
            )
        canvas.soft(lens, (0.75, 0.88, 1.0), 0.16, blur=0, depth=depth)
        canvas.line(np.concatenate([lens, lens[:2]]), frame, width, depth=depth)
        arm = np.array(
            [
                (side * (_EYE_X + 0.176), y - 0.03),
                (side * 0.5 * traits.face_width, y - 0.02),
            ]
        )
        canvas.line(arm, frame, width * 0.9, depth=depth - 0.15)
    bridge = curve((-0.065, _EYE_Y - 0.01), (0, _EYE_Y - 0.035), (0.065, _EYE_Y - 0.01))
    canvas.line(bridge, frame, width, depth=depth)
