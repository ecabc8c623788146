"""The small identity network ready for use."""

from __future__ import annotations

import jax

from stylegan_jax.checkpoints.irse import IdentityNetwork
from stylegan_jax.models.features.mobilefacenet import MobileFaceNet, crop_aligned


class MobileFaceNetFeatures(IdentityNetwork):
    """A MobileFaceNet with its weights; see `IdentityNetwork`."""

    MODULE = MobileFaceNet

    @staticmethod
    def crop(x: jax.Array, size: int) -> jax.Array:
        """ArcFace's square, resampled with antialiasing; see `crop_aligned`."""
        return crop_aligned(x, size)
