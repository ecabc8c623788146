r"""A latent edit, or a style, as one feed-forward pass: photos of 256 px in and out.

    stylegan-jax pairs pairs/ --base ffhq.safetensors --direction smile --strength 1.5 \
        --layers 0-7 --num 20000
    stylegan-jax weights get vgg16
    stylegan-jax train --config pix2pixhd_distill256 --config.data.path=pairs/ \
        --workdir runs/smile

The networks and losses of the distillation paper (Viazovetskyi et al. 2020) at half of
its size, with pairs distorted as photos from anywhere are, upsampling without
checkerboards, and an averaged generator. Hours on accelerators are not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import pix2pixhd_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = pix2pixhd_base.get_config()
    config.data.resolution = 256
    config.model.upsampling = "resize"
    config.loss.vgg_network = "vgg16"
    config.train.total_kimg = 2000.0
    config.ema.kimg = 2.0
    pix2pixhd_base.for_photos(config)
    pix2pixhd_base.apply(config, arg)
    return config
