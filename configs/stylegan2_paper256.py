r"""FFHQ and LSUN at 256 px as in StyleGAN2-ADA: NVIDIA's preset "paper256".

    stylegan-jax train --config stylegan2_paper256 --config.data.path=ffhq-256.zip \
        --workdir runs/a

Published for 8 GPUs. Hours and FID: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan2_base.get_config()
    config.model.update(channel_base=16384, mapping_layers=8, mbstd_group_size=8)
    config.train.update(batch=64, g_learning_rate=0.0025, d_learning_rate=0.0025)
    config.loss.update(r1_gamma=1.0)
    config.ema.update(kimg=20.0, rampup=0.0)
    stylegan2_base.apply(config, arg)
    return config
