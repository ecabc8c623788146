r"""pSp's "StyleGAN encoding": faces to the latents that draw them again.

    stylegan-jax train --config psp_encode --config.init.decoder=ffhq.safetensors \
        --config.data.path=faces/ --workdir runs/encode

Pictures are their own targets. Published for one GPU. Hours and distances: not measured
here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.data.reconstruct = True
    config.init.backbone = "arcface_irse50"
    config.loss.update(identity_weight=0.1)
    psp_base.apply(config, arg)
    return config
