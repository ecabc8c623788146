"""StyleGAN2 (Karras et al. 2020): generator, discriminator, their building blocks."""

from stylegan_jax.models.style_generator import truncate
from stylegan_jax.models.stylegan2.discriminator import Discriminator
from stylegan_jax.models.stylegan2.generator import Generator

__all__ = ["Discriminator", "Generator", "truncate"]
