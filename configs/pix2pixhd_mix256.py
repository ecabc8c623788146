r"""Two people in, one face out: face mixing as one feed-forward pass.

    stylegan-jax pairs pairs/ --base ffhq.safetensors --mix-layers 8-17 --num 20000
    stylegan-jax train --config pix2pixhd_mix256 --config.data.path=pairs/ \
        --workdir runs/mix

The student sees the first person (side A) and the second (side C) on six channels, as
in the distillation paper (Viazovetskyi et al. 2020, section 4.3), and draws side B.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import pix2pixhd_base, pix2pixhd_distill256


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = pix2pixhd_distill256.get_config()
    config.data.second = "c"
    pix2pixhd_base.apply(config, arg)
    return config
