"""pix2pixHD (Wang et al. 2018): picture-to-picture networks and their discriminator."""

from stylegan_jax.models.pix2pixhd.discriminator import MultiscaleDiscriminator
from stylegan_jax.models.pix2pixhd.encoder import InstanceEncoder, instance_mean
from stylegan_jax.models.pix2pixhd.generators import GlobalGenerator, LocalEnhancer

__all__ = [
    "GlobalGenerator",
    "InstanceEncoder",
    "LocalEnhancer",
    "MultiscaleDiscriminator",
    "instance_mean",
]
