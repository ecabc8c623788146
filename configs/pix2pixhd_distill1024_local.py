r"""The second stage for 1024 px: a local enhancer around a trained global generator.

    stylegan-jax train --config pix2pixhd_distill512 --config.data.path=pairs/ \
        --workdir runs/global
    stylegan-jax train --config pix2pixhd_distill1024_local --config.data.path=pairs/ \
        --config.init.global_generator=runs/global --workdir runs/local

The pairs are of 1024 px; the first stage looks at half of them. The trunk stands still
for 200 kimg, then all is trained (Wang et al. 2018, section 3.1).
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import pix2pixhd_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = pix2pixhd_base.get_config()
    config.data.resolution = 1024
    config.model.update(generator="local", width=32, d_scales=3)
    config.train.update(
        total_kimg=2000.0, fix_global_kimg=200.0, max_auto_batch_per_device=1
    )
    pix2pixhd_base.for_photos(config)
    pix2pixhd_base.apply(config, arg)
    return config
