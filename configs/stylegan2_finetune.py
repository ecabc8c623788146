r"""Fine-tunes trained StyleGAN2 networks on a few hundred pictures, with ADA.

    stylegan-jax train --config stylegan2_finetune --config.init.model=ffhq256/ \
        --config.data.path=comic/ --workdir runs/comic

`init.model` is a folder from `convert` or a run's folder. Sizes and architecture are
the model's. Any number of devices. Hours and FID: not measured here.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan2_base.get_config()
    config.init.needed = True
    # Without some pictures that it never saw, nobody can tell what D knows by heart.
    config.data.update(mirror=True, held_out=0.1)
    config.augment.mode = "ada"
    config.ema.rampup = 0.0  # the average starts from a trained network
    config.train.total_kimg = 200.0
    config.train.tick_kimg = 1.0
    # Small sets are learnt by heart within some dozens of kimg: look often.
    config.snapshot.update(every_kimg=4.0, keep=50, parts=("g_ema",))
    config.eval.update(every_kimg=4.0, watch=True)
    stylegan2_base.apply(config, arg)
    return config
