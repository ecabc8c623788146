r"""A student for two CPU cores: pairs of 64 px in an hour, no frozen networks.

    stylegan-jax data pairs photos/ drawings/ pairs/ --size 64
    stylegan-jax train --config pix2pixhd_laptop --config.data.path=pairs/ \
        --workdir runs/laptop

A third of the width and two halvings; L1 counts most. Batch norm: instance norm takes
each picture's own brightness and colours away, and a short training does not learn to
give them back.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import pix2pixhd_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = pix2pixhd_base.get_config()
    config.data.resolution = 64
    config.model.update(
        width=24, downsamplings=2, residual_blocks=4, upsampling="resize", norm="batch"
    )
    config.model.update(d_width=24, d_layers=2)
    config.loss.update(
        vgg_weight=0.0, l1_weight=60.0, features_weight=3.0, gan_weight=0.5
    )
    config.train.update(total_kimg=60.0, batch=8, tick_kimg=0.5, learning_rate=1e-3)
    config.ema.kimg = 0.5
    config.snapshot.update(every_kimg=4.0, grid=16)
    config.eval.update(every_kimg=2.0, num=100)
    pix2pixhd_base.apply(config, arg)
    return config
