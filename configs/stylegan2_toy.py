"""The demo's generator: toy faces at 32 px, trained in minutes on two CPU cores.

stylegan-jax data toy faces --style photo --num 2000 --size 32
stylegan-jax train --config stylegan2_toy --config.data.path=faces --workdir runs/toy
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan2_base.get_config()
    config.data.update(resolution=32, mirror=True)
    config.model.update(
        z_dim=64,
        w_dim=64,
        mapping_layers=2,
        channel_base=1024,
        channel_max=64,
        # A run of minutes would use noise as a cheap stand-in for eyes and mouths.
        use_noise=False,
        mbstd_group_size=4,
    )
    config.train.update(
        total_kimg=50.0,
        max_auto_batch_per_device=16,
        tick_kimg=0.5,
        g_learning_rate=0.003,
        d_learning_rate=0.003,
    )
    config.loss.update(r1_gamma=0.3, pl_weight=0.0, style_mixing_prob=0.5)
    config.ema.update(kimg=2.0, rampup=0.05)
    config.snapshot.update(every_kimg=2.0, grid=36)
    config.eval.update(every_kimg=2.0, num=512)
    stylegan2_base.apply(config, arg)
    return config
