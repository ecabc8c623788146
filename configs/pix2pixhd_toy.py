r"""The demo's student: toy faces at 32 px, in minutes on two CPU cores.

    stylegan-jax pairs pairs/ --base toy.safetensors --direction smile.npz \
        --strength 2 --num 1000
    stylegan-jax train --config pix2pixhd_toy --config.data.path=pairs --workdir runs/s

A quarter of the width and one halving; batch norm, as in `pix2pixhd_laptop`.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import pix2pixhd_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = pix2pixhd_base.get_config()
    config.data.update(held_out=0.1, resolution=32)
    config.model.update(
        width=16, downsamplings=1, residual_blocks=4, upsampling="resize", norm="batch"
    )
    config.model.update(d_width=16, d_layers=2)
    config.loss.update(
        vgg_weight=0.0, l1_weight=40.0, features_weight=2.0, gan_weight=0.5
    )
    config.train.update(total_kimg=10.0, batch=16, tick_kimg=0.5, learning_rate=2e-3)
    config.ema.kimg = 0.5
    config.snapshot.update(every_kimg=1.0, grid=12)
    config.eval.update(every_kimg=1.0, num=100)
    pix2pixhd_base.apply(config, arg)
    return config
