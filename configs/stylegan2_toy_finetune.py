r"""The demo's second generator: a trained `stylegan2_toy` learns to draw comics.

    stylegan-jax data toy comic --style comic --num 300 --size 32
    stylegan-jax train --config stylegan2_toy_finetune --config.init.model=runs/toy \
        --config.data.path=comic --workdir runs/comic

`stylegan2_finetune` at the pace of `stylegan2_toy`: minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base, stylegan2_finetune, stylegan2_toy


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan2_finetune.get_config()
    toy = stylegan2_toy.get_config()
    config.data.resolution = toy.data.resolution
    # The networks are the toy's whatever is said here; a smoke run has fresh ones.
    config.model.update(toy.model.to_dict())
    config.loss.update(toy.loss.to_dict())
    config.train.update(toy.train.to_dict())
    config.train.update(
        total_kimg=12.0,
        max_auto_batch_per_device=8,
        g_learning_rate=0.005,
        d_learning_rate=0.005,
    )
    # A run is over before p could move at the pace that is meant for days.
    config.augment.kimg = 10.0
    config.ema.kimg = 1.0
    config.snapshot.update(every_kimg=2.0, grid=36)
    config.eval.update(every_kimg=2.0, num=300)
    stylegan2_base.apply(config, arg)
    return config
