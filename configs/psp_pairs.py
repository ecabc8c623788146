r"""pSp on pairs that `stylegan-jax pairs` drew: photos in, the blend's style out.

    stylegan-jax pairs pairs/ --base ffhq.safetensors --blend toon.safetensors \
        --num 5000
    stylegan-jax train --config psp_pairs --config.init.decoder=toon.safetensors \
        --config.data.path=pairs/ --workdir runs/toon

The base generator's pictures are the sources, the blend's the targets and the blend the
decoder. Any size: the encoder is made for the pairs'. It needs no weights but LPIPS's
(`stylegan-jax weights get lpips_alex`). Hours and distances: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.train.noise_mode = "none"  # as the pairs were drawn
    config.loss.update(w_norm_weight=0.005)
    config.train.total_kimg = 400.0
    config.snapshot.every_kimg = 8.0
    config.eval.every_kimg = 8.0
    psp_base.apply(config, arg)
    return config
