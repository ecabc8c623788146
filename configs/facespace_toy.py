r"""A face space of toy faces at 32 px, in minutes on two CPU cores.

    stylegan-jax data toy eight/ --num 8 --size 32 --seed 5000
    stylegan-jax train --config facespace_toy --config.init.model=runs/toy \
        --config.data.path=eight/ --workdir runs/space

The generator is one that `stylegan2_toy` trained. VGG sees little in such small
pictures, so pixels count most, and the phases are longer.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import facespace


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = facespace.get_config()
    config.train.update(epochs=600, anneal=0.3, leaf_learning_rate=0.03)
    config.loss.update(
        feature="pyramid",
        feature_weight=10.0,
        pixel_weight=300.0,
        pull_weight=1.0,
        blend_weight=300.0,
    )
    facespace.apply(config, arg)
    return config
