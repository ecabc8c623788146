"""Config-f of Karras et al. 2020 as NVIDIA's preset "stylegan2".

    stylegan-jax train --config stylegan2 --config.data.path=ffhq-1024.zip \
        --workdir runs/a

Published for 8 GPUs. Hours and FID: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan2_base.get_config()
    config.model.update(channel_base=32768, mapping_layers=8, mbstd_group_size=4)
    config.train.update(batch=32, g_learning_rate=0.002, d_learning_rate=0.002)
    config.loss.update(r1_gamma=10.0)
    config.ema.update(kimg=10.0, rampup=0.0)
    stylegan2_base.apply(config, arg)
    return config
