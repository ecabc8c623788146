r"""A latent edit as one feed-forward pass, 512 px: the paper's own size.

    stylegan-jax pairs pairs/ --base ffhq.safetensors --direction smile --strength 1.5 \
        --layers 0-7 --num 50000
    stylegan-jax train --config pix2pixhd_distill512 --config.data.path=pairs/ \
        --workdir runs/smile512

The distillation paper's student (Viazovetskyi et al. 2020): pix2pixHD's global
generator with its program's defaults, VGG19's loss (the user brings the weights:
`stylegan-jax weights import vgg19 FILE`; or --config.loss.vgg_network=vgg16). Pairs are
distorted as photos from anywhere are; the program did not do that.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import pix2pixhd_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = pix2pixhd_base.get_config()
    config.data.resolution = 512
    config.train.total_kimg = 4000.0
    config.train.max_auto_batch_per_device = 4
    pix2pixhd_base.for_photos(config)
    pix2pixhd_base.apply(config, arg)
    return config
