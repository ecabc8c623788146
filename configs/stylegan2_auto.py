r"""StyleGAN2 with everything derived from the data: NVIDIA's preset "auto".

    stylegan-jax train --config stylegan2_auto --config.data.path=photos/ \
        --config.data.resolution=256 --workdir runs/a

Any number of devices. Hours and FID: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    return stylegan2_base.get_config(arg)
