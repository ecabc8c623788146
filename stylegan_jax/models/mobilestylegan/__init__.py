"""MobileStyleGAN (Belousov 2021): StyleGAN2's pictures from a small network."""

from stylegan_jax.models.mobilestylegan.generator import Generator

__all__ = ["Generator"]
