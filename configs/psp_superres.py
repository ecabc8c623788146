r"""pSp's super-resolution: small pictures to the faces that they may have been.

    stylegan-jax train --config psp_superres --workdir runs/superres \
        --config.init.decoder=ffhq.safetensors --config.data.path=faces/

Every source is its target shrunk by one of the factors. Hours and distances: not
measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.data.update(reconstruct=True, factors=(1, 2, 4, 8, 16, 32))
    config.init.backbone = "arcface_irse50"
    config.loss.update(identity_weight=0.1, w_norm_weight=0.005)
    psp_base.apply(config, arg)
    return config
