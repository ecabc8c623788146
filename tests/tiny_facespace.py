"""Face spaces small enough for any test, in front of every family of generators."""

from __future__ import annotations

import functools

import jax
import numpy as np
from lively_models import lively_generator
from tiny_mobilestylegan import tiny_mobilestylegan

from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.checkpoints.facespace_config import Faces
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.mobilestylegan import MobileStyleGANGenerator
from stylegan_jax.checkpoints.stylegan1 import StyleGAN1Generator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator

GENERATORS = ("stylegan2", "stylegan1", "mobilestylegan")
TINY_STYLEGAN1 = {
    "num_blocks": 3,
    "z_dim": 8,
    "w_dim": 8,
    "mapping_layers": 2,
    "mapping_features": 8,
    "channel_base": 64,
    "channel_max": 8,
}


@functools.cache
def tiny_stylegan1(**fields):
    """A StyleGAN generator of 16×16 pictures."""
    module = StyleGAN1Generator.MODULE(**{**TINY_STYLEGAN1, **fields})
    inputs = StyleGAN1Generator.example(module)
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: 0.5 * rng.standard_normal(leaf.shape).astype(np.float32), shapes
    )
    return StyleGAN1Generator(module, variables)


@functools.cache
def facespace_generator(family="stylegan2"):
    """A generator of a family, of 16 or (MobileStyleGAN) 32 pixels."""
    if family == "stylegan2":
        return StyleGAN2Generator(*lively_generator(use_noise=False))
    if family == "stylegan1":
        return tiny_stylegan1()
    return MobileStyleGANGenerator(*tiny_mobilestylegan())


@functools.cache
def tiny_encoder(input_dim=3, num_ws=6, w_dim=8):
    """An encoder with a lot to say."""
    module = FaceSpaceEncoder.MODULE(
        input_dim=input_dim, features=(8, 8), num_ws=num_ws, w_dim=w_dim
    )
    shapes = jax.eval_shape(
        module.init, jax.random.key(0), *FaceSpaceEncoder.example(module)
    )
    rng = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes
    )
    return FaceSpaceEncoder(module, variables)


@functools.cache
def tiny_facespace(family="stylegan2", space="w_plus"):
    """A face space of three photos named a, b and c, with thumbnails."""
    generator = facespace_generator(family)
    num_ws = 1 if space == "w" else generator.num_ws
    encoder = tiny_encoder(3, num_ws, generator.module.w_dim)
    photos = np.random.default_rng(2).integers(0, 256, (3, 8, 8, 3), np.uint8)
    faces = Faces(("a", "b", "c"))
    return FaceSpaceModel.join(encoder, generator, faces=faces, photos=photos)
