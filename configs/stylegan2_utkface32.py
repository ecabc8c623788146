r"""Narrow StyleGAN2 for some thousand face crops at 32 px on two CPU cores.

    stylegan-jax train --config stylegan2_utkface32 --config.data.path=utkface200/ \
        --workdir runs/utkface

Wall time and SWD: see the README's table.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan2_base.get_config()
    config.data.update(resolution=32, mirror=True)
    config.model.update(
        z_dim=128,
        w_dim=128,
        mapping_layers=2,
        channel_base=2048,
        channel_max=128,
        mbstd_group_size=4,
    )
    config.train.update(
        total_kimg=100.0,
        batch=32,
        tick_kimg=1.0,
        g_learning_rate=0.0025,
        d_learning_rate=0.0025,
    )
    # Chosen by one trial, not searched for; a short run does without path lengths.
    config.loss.update(r1_gamma=0.5, pl_weight=0.0, style_mixing_prob=0.5)
    config.ema.update(kimg=2.0, rampup=0.05)
    config.snapshot.update(every_kimg=10.0)
    config.eval.update(every_kimg=10.0)
    stylegan2_base.apply(config, arg)
    return config
