r"""Forty attributes of CelebA (Liu et al. 2015), some of them chosen, through tfds.

    stylegan-jax train --config attributes_celeba --workdir runs/reader

Needs the prepared set celeb_a (preparing it takes the extra `tensorflow`); a folder of
pictures with the list of attributes as a CSV (columns file, Smiling, … of -1 and 1)
does as well:
--config.data.path=img_align_celeba/ --config.data.labels=list.csv.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import attributes


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = attributes.get_config()
    config.data.update(
        path="tfds:celeb_a",
        attributes=(
            "Smiling",
            "Young",
            "Male",
            "Eyeglasses",
            "Bangs",
            "Blond_Hair",
            "Mouth_Slightly_Open",
            "No_Beard",
            "Wearing_Hat",
        ),
        held_out=0.05,
        framing="the central square of CelebA's aligned pictures",
    )
    config.model.update(input_size=128)
    config.data.resolution = 128
    config.loss.balance = True  # hats and glasses are rare
    config.train.update(total_kimg=1200.0, batch=128, tick_kimg=10.0)
    config.snapshot.every_kimg = 100.0
    config.eval.every_kimg = 50.0
    attributes.apply(config, arg)
    if arg:
        config.data.path = None
    return config
