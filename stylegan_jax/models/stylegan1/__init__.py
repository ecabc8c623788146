"""StyleGAN (Karras et al. 2019): generator and discriminator of 2018."""

from stylegan_jax.models.stylegan1.discriminator import Discriminator
from stylegan_jax.models.stylegan1.generator import Generator

__all__ = ["Discriminator", "Generator"]
