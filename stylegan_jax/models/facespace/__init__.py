"""FaceSpace: from weight vectors or landmarks to the latents of a frozen generator."""

from stylegan_jax.models.facespace.encoder import Encoder
from stylegan_jax.models.facespace.model import FaceSpace

__all__ = ["Encoder", "FaceSpace"]
