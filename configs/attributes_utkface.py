r"""Age and gender off faces, from UTKFace's file names (Zhang et al. 2017).

    stylegan-jax train --config attributes_utkface --config.data.path=UTKFace/ \
        --workdir runs/reader

The crops are tight: eyes and mouth lie in them as in the square of two thirds of an
FFHQ picture's side, a tenth of it below the centre (where the mean faces of both sets
agree best), and this is what the network reads of a picture. For pictures cropped as
UTKFace's say --config.model.read_share=1 --config.model.read_drop=0. Gender is 1 for
female, as the data set has it.
"""

from ml_collections import ConfigDict

from stylegan_jax.configs import attributes


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = attributes.get_config()
    config.data.update(
        labels="utkface",
        attributes=("age:number", "gender:binary"),
        held_out=0.15,
        framing="trained on UTKFace's tight crops; read_share and read_drop are FFHQ's",
        resolution=96,
    )
    config.model.update(width=32, read_share=0.66, read_drop=0.1)
    config.augment.update(zoom_out=0.8, zoom_in=1.2)
    config.train.update(total_kimg=100.0, batch=64)
    attributes.apply(config, arg)
    return config
