r"""The demo's pSp: toy faces at 32 px into comics, in minutes on two CPU cores.

    stylegan-jax train --config psp_toy --config.init.decoder=blend.safetensors \
        --config.data.path=pairs --workdir runs/psp

An encoder as narrow as 32 px need, without losses that look through frozen networks.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import psp_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = psp_base.get_config()
    config.model.update(num_layers=18, width=16)
    config.data.held_out = 0.1
    config.train.update(
        total_kimg=6.0, batch=16, tick_kimg=0.5, optimiser="adam", learning_rate=1e-3
    )
    config.loss.update(lpips_weight=0.0)
    config.snapshot.update(every_kimg=2.0, grid=12)
    config.eval.update(every_kimg=0.5, num=200)
    psp_base.apply(config, arg)
    return config
