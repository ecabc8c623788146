r"""pSp's face frontalisation: any pose in, the same person from the front.

    stylegan-jax train --config psp_frontalize --workdir runs/front \
        --config.init.decoder=ffhq.safetensors --config.data.path=faces/

Source and target are flipped each by itself, so that only the pose that both have in
common, the frontal one, is learnt. Hours and distances: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.data.update(reconstruct=True, mirror="apart")
    config.init.backbone = "arcface_irse50"
    config.loss.update(
        l2_weight=0.001,
        lpips_weight=0.08,
        l2_crop_weight=0.01,
        lpips_crop_weight=0.8,
        identity_weight=1.0,
        w_norm_weight=0.005,
    )
    psp_base.apply(config, arg)
    return config
