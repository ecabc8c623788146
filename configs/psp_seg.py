r"""pSp from segmentation maps to faces; 19 classes, as CelebAMask-HQ has them.

    stylegan-jax data pairs maps/ faces/ pairs/ --size 256 --labels-a
    stylegan-jax train --config psp_seg --config.init.decoder=ffhq.safetensors \
        --config.data.path=pairs/ --workdir runs/seg

Not mirrored: classes tell the left eye from the right. Hours and distances: not
measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.data.update(source_labels=19, mirror="none")
    config.init.backbone = "arcface_irse50"
    config.loss.update(w_norm_weight=0.005)
    psp_base.apply(config, arg)
    return config
