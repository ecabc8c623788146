"""Landmarks to test with: those of a golden case, moved, turned and sized."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "golden"


def golden():
    """The arrays of the golden case of FFHQ's alignment."""
    with np.load(FOLDER / "ffhq_align.npz") as stored:
        return {name: stored[name] for name in stored.files}


def marks(centre=(100.0, 100.0), scale=1.0, turn=0.0):
    """[68, 2] landmarks of an upright frontal face; at scale 1 its square is 192 px."""
    points = golden()["centre_landmarks"].astype(np.float64)
    points -= points.mean(axis=0)
    cos, sin = np.cos(turn), np.sin(turn)
    return scale * points @ np.array([[cos, sin], [-sin, cos]]) + centre


def ramp(width=240, height=200):
    """A picture in which red tells the column and green the row."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x, y, np.full_like(x, 99)], axis=2)
    return Image.fromarray(np.minimum(pixels, 255).astype(np.uint8))


def write_photos(folder, faces, **kwargs):
    """Writes a ramp per name and the landmarks file beside the folder; returns both."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in faces:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        ramp(**kwargs).save(folder / name)
    file = folder.parent / "landmarks.json"
    file.write_text(json.dumps({k: [f.tolist() for f in v] for k, v in faces.items()}))
    return folder, file


def scene(seed=0, size=128):
    """Blobs and edges at every scale: something with structure, as photos have."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((size, size))
    for side in (4, 8, 16, 32, 64):
        coarse = Image.fromarray(rng.normal(size=(side, side)).astype(np.float32))
        pixels += np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))
    pixels = 128 + 50 * pixels / pixels.std()
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
