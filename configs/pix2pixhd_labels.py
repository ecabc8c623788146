r"""Label maps into pictures: pix2pixHD's first use, with classes one-hot.

    stylegan-jax data pairs maps/ photos/ pairs/ --labels-a
    stylegan-jax train --config pix2pixhd_labels --config.data.path=pairs/ \
        --config.data.source_labels=19 --workdir runs/labels

With maps of instances (--config.data.instances=true) the networks see their edges too.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import pix2pixhd_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = pix2pixhd_base.get_config()
    config.data.source_labels = 35  # Cityscapes, as in the program
    config.loss.pool_size = 50
    pix2pixhd_base.apply(config, arg)
    return config
