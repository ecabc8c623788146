"""StyleGAN with progressive growing on toy faces, 8 to 32 px, on a CPU.

stylegan-jax data toy faces --style photo --num 2000 --size 32
stylegan-jax train --config stylegan1_toy --config.data.path=faces --workdir runs/toy1

Some fifteen minutes on two cores; the first faces are there after two, at 8 px. What a
fade does to the sliced Wasserstein distance is in docs/stylegan1.md.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import stylegan1


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = stylegan1.get_config()
    config.data.update(resolution=32, mirror=True)
    config.model.update(
        z_dim=64,
        w_dim=64,
        mapping_layers=4,
        mapping_features=64,
        channel_base=1024,
        channel_max=64,
        # A run of minutes would use noise as a cheap stand-in for eyes and mouths.
        use_noise=False,
    )
    config.grow.update(
        train_kimg="12", fade_kimg="16", learning_rate="0.003", batch="8"
    )
    config.train.update(total_kimg=80.0, tick_kimg=1.0)
    config.loss.update(r1_gamma=3.0, style_mixing_prob=0.5)
    config.ema.update(kimg=1.0)
    config.snapshot.update(every_kimg=4.0, grid=36)
    config.eval.update(every_kimg=4.0, num=512)
    stylegan1.apply(config, arg)
    return config
