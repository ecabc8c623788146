"""A StyleGAN2 generator ready for use."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn

from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.models.style_generator import NOISE_MODES
from stylegan_jax.models.stylegan2 import Generator


class StyleGAN2Generator(GeneratorNetwork):
    """A StyleGAN2 generator with its weights; see `GeneratorNetwork`."""

    MODULE: ClassVar[type[nn.Module]] = Generator
    NOISE_MODES = NOISE_MODES
