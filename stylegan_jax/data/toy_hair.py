"""Hair and beard of a procedural face."""

from __future__ import annotations

import numpy as np
from PIL import ImageChops

from stylegan_jax.data.toy_canvas import (
    INK,
    LIGHT,
    Canvas,
    Points,
    curve,
    darker,
    ellipse,
    lighter,
)
from stylegan_jax.data.toy_traits import Colours, Traits


def back_hair(canvas: Canvas, traits: Traits, colours: Colours) -> None:
    """Draws what falls behind the head."""
    width = 0.5 * traits.face_width
    dark = darker(colours.hair, 0.22)
    style = traits.hair_style
    if style == "long":
        shape = curve(
            (-width * 0.5, -0.62), (-width * 1.08, -0.32), (-width * 1.28, 0.1),
            (-width * 1.42, 0.95), (0, 1.1), (width * 1.42, 0.95),
            (width * 1.28, 0.1), (width * 1.08, -0.32), (width * 0.5, -0.62),
        )  # fmt: skip
    elif style == "bob":
        shape = curve(
            (-width * 0.5, -0.62), (-width * 1.1, -0.36), (-width * 1.34, -0.02),
            (-width * 1.36, 0.52), (-width * 0.7, 0.62), (width * 0.7, 0.62),
            (width * 1.36, 0.52), (width * 1.34, -0.02), (width * 1.1, -0.36),
            (width * 0.5, -0.62),
        )  # fmt: skip
    elif style == "curly":
        t = np.linspace(0, 2 * np.pi, 80)
        ripple = 1 + 0.045 * np.sin(13 * t + traits.lean * 6)
        shape = np.stack(
            [1.42 * width * np.cos(t) * ripple, -0.24 + 0.66 * np.sin(t) * ripple], 1
        )
    elif style == "bun":
        canvas.fill(ellipse(0, -0.84, 0.21, 0.2), dark, depth=-0.25)
        return
    else:
        return
    canvas.fill(shape, dark, depth=-0.12)
    if not canvas.comic:
        mask = canvas.mask(shape, -0.12)
        canvas.shade(mask, (0, 0.1), (0.85, 1.1), LIGHT, 0.7)


def beard(canvas: Canvas, traits: Traits, colours: Colours, outline: Points) -> None:
    """Draws the beard over the lower face, inside the head's outline."""
    if traits.beard < 0.15:
        return
    width = 0.5 * traits.face_width
    jaw = curve(
        (-width * 1.02, 0.12), (-width * 0.78, 0.3), (-0.2, 0.3), (0, 0.27), (0.2, 0.3),
        (width * 0.78, 0.3), (width * 1.02, 0.12), (width * 1.1, 1.0),
        (-width * 1.1, 1.0),
    )  # fmt: skip
    within = canvas.mask(outline)
    area = ImageChops.multiply(canvas.mask(jaw, 0.12), within)
    alpha = min(1.0, 0.25 + 0.75 * traits.beard)
    blur = 0.006 if canvas.comic else 0.03
    canvas.blend(area, darker(colours.hair, 0.1), alpha, blur=blur, within=within)
    if canvas.comic:
        canvas.line(np.concatenate([outline, outline[:1]]), INK, 0.03)


def front_hair(
    canvas: Canvas, traits: Traits, colours: Colours, outline: Points
) -> None:
    """Draws the hair on and beside the forehead, and its shadow."""
    if traits.hair_style == "bald":
        if not canvas.comic:
            shine = ellipse(-0.14, -0.5, 0.12, 0.06)
            canvas.soft(shine, (1, 1, 1), 0.35, blur=0.05, depth=0.2)
        return
    cap = _cap(traits)
    if not canvas.comic:
        # The hair's shadow on the forehead.
        below = cap + [0.015, 0.035]
        canvas.soft(
            below,
            colours.shadow,
            0.5,
            blur=0.03,
            depth=0.12,
            within=canvas.mask(outline),
        )
    canvas.fill(cap, colours.hair, depth=0.08)
    mask = canvas.mask(cap, 0.08)
    if canvas.comic:
        gloss = curve((-0.36, -0.46), (-0.2, -0.64), (0.05, -0.68))
        canvas.line(gloss, lighter(colours.hair, 0.4), 0.05, depth=0.1)
        canvas.line(np.concatenate([cap, cap[:1]]), INK, 0.03, depth=0.08)
        return
    canvas.shade(mask, (0, 0.0), (0.88, 1.25), LIGHT, 0.95)
    for place in (-0.3, -0.12, 0.08, 0.27):
        strand = curve((place * 0.8, -0.76), (place * 1.25, -0.6), (place * 1.6, -0.32))
        shape = np.concatenate([strand, (strand + [0.03, 0.01])[::-1]])
        tone = lighter(colours.hair, 0.35) if place < 0.1 else darker(colours.hair, 0.4)
        canvas.soft(shape, tone, 0.35, blur=0.018, depth=0.08, within=mask)


def _cap(traits: Traits) -> Points:
    """Returns the hair above and beside the face as a closed line."""
    width = 0.5 * traits.face_width
    # Side hair ends at the ears, or covers them when it is long.
    down = {"long": 0.42, "bob": 0.42, "curly": 0.02}.get(traits.hair_style, -0.08)
    rise = {"short": 0.06, "spiky": 0.08, "curly": 0.15}.get(traits.hair_style, 0.1)
    t = np.radians(np.linspace(180, 360, 33))
    bump = np.ones(33)
    if traits.hair_style == "spiky":
        bump = 1 + 0.09 * np.abs(((np.arange(33) / 4) % 1) * 2 - 1)
    elif traits.hair_style == "curly":
        bump = 1 + 0.03 * np.sin(np.arange(33) * 1.5)
    outer = np.stack(
        [(width + 0.07) * np.cos(t) * bump, -0.1 + (0.57 + rise) * np.sin(t) * bump], 1
    )
    part = traits.parting * 0.3
    line = -0.36 + 0.1 * traits.fringe - 0.16 * traits.receding
    temple = 0.9 * width
    inner = width * (0.99 if down > 0.1 else 1.02)
    hairline = curve(
        (width + 0.07, down), (inner, down), (temple, -0.08), (temple * 0.92, -0.24),
        ((temple + part) / 2, line + 0.02), (part, line - 0.1 * (1 - traits.fringe)),
        ((part - temple) / 2, line + 0.02), (-temple * 0.92, -0.24), (-temple, -0.08),
        (-inner, down), (-width - 0.07, down),
    )  # fmt: skip
    return np.concatenate([outer, hairline])
