r"""pSp's toonify: faces into the style of a fine-tuned or blended generator, unpaired.

    stylegan-jax train --config psp_toonify --config.init.decoder=toon.safetensors \
        --config.data.path=faces/ --workdir runs/toonify

The decoder draws the style, the losses ask for the person. With pairs, `psp_pairs`
learns more. Hours and distances: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.data.reconstruct = True
    config.init.backbone = "arcface_irse50"
    config.loss.update(identity_weight=1.0, w_norm_weight=0.025)
    config.train.total_kimg = 48.0  # 6000 steps of 8
    config.snapshot.every_kimg = 8.0
    config.eval.every_kimg = 8.0
    psp_base.apply(config, arg)
    return config
