"""pSp: an encoder from pictures to w_plus and a StyleGAN2 decoder."""

from stylegan_jax.models.psp.encoder import ENCODER_TYPES, Encoder
from stylegan_jax.models.psp.model import MAX_ITERATIONS, PSP, inject_layers

__all__ = ["ENCODER_TYPES", "MAX_ITERATIONS", "PSP", "Encoder", "inject_layers"]
