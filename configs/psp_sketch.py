r"""pSp from sketches to faces; pairs of sketches and pictures.

    stylegan-jax data pairs sketches/ faces/ pairs/ --size 256
    stylegan-jax train --config psp_sketch --config.init.decoder=ffhq.safetensors \
        --config.data.path=pairs/ --workdir runs/sketch

Hours and distances: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.data.update(source_channels=1, mirror="none")
    config.init.backbone = "arcface_irse50"
    config.loss.update(w_norm_weight=0.005)
    psp_base.apply(config, arg)
    return config
