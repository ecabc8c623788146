r"""CIFAR-10 at 32 px as in StyleGAN2-ADA: NVIDIA's preset "cifar".

    stylegan-jax train --config stylegan2_cifar --config.data.path=tfds:cifar10/train \
        --workdir runs/a

Published for 2 GPUs. Hours and FID: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan2_base.get_config()
    config.model.update(
        channel_base=32768, mapping_layers=2, mbstd_group_size=32, d_architecture="orig"
    )
    config.train.update(
        total_kimg=100000.0, batch=64, g_learning_rate=0.0025, d_learning_rate=0.0025
    )
    config.loss.update(r1_gamma=0.01, pl_weight=0.0, style_mixing_prob=0.0)
    config.ema.update(kimg=500.0, rampup=0.05)
    stylegan2_base.apply(config, arg)
    return config
