r"""A reader of the toy faces' attributes, in minutes on two CPU cores.

    stylegan-jax data toy toys/ --num 4000 --size 32
    stylegan-jax train --config attributes_toy --config.data.path=toys/ \
        --workdir runs/toy-reader

The labels are the ones that `data toy` writes beside the pictures.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import attributes


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = attributes.get_config()
    config.data.attributes = (
        "smile",
        "mouth_open",
        "skin",
        "beard",
        "glasses:round|square",
    )
    config.data.framing = "toy faces as they are drawn"
    config.model.update(num_layers=10, width=16, input_size=32)
    # Drawn by other networks the faces are blurred, but never placed otherwise.
    config.augment.update(zoom_out=0.95, zoom_in=1.05, shift=0.03, turn=3.0, light=0.15)
    config.train.update(total_kimg=40.0, batch=32, tick_kimg=1.0)
    config.snapshot.update(every_kimg=10.0)
    config.eval.update(every_kimg=5.0, num=400)
    attributes.apply(config, arg)
    return config
