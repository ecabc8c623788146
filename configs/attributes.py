r"""A network that reads attributes off faces: several at once, from any labels.

    stylegan-jax train --config attributes --config.data.path=faces/ \
        --config.data.labels=faces.csv --config.data.attributes=age,smile \
        --workdir runs/reader

Leaves a model file that `directions fit` and `eval` take as a reader. None means that
the value is derived (`stylegan_jax/training/attributes/presets.py`).
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from stylegan_jax.configs import _argument


def get_config(arg: str = "") -> ConfigDict:
    """Returns the defaults; ``arg`` is "" or "smoke"."""
    config = ConfigDict()
    config.trainer = "attributes"
    _what(config)
    _how(config)
    apply(config, arg)
    return config


def _what(config: ConfigDict) -> None:
    """Pictures, their attributes, and the network."""
    config.data = {
        "path": placeholder(object),  # a folder, zip, tfds:NAME, … or several
        # utkface, or a CSV with a column `file`; None looks into the set of pictures.
        "labels": placeholder(object),
        # NAME, NAME:number, NAME:binary, or NAME:TEXT|TEXT for 1 where one stands.
        "attributes": ("smile", "glasses:round|square"),
        "skip_unlabelled": False,
        "skip_broken": False,
        "resolution": placeholder(object),  # side; the network's input by default
        "held_out": 0.1,  # share of the pictures that only validation looks at
        "toy": False,  # without a path, draw toy faces
        "framing": "",  # a note for the model file: how faces fill the pictures
        "workers": 0,  # processes that decode; 0 for threads
    }
    config.model = {
        "num_layers": 18,  # 10, 18, 34, 50 or 101
        "width": 64,
        "input_size": 64,  # 32 to 256
        # The square that is read of other pictures than these, where faces fill less
        # of them: its side, and how far it lies below the centre; shares of the side.
        "read_share": 1.0,
        "read_drop": 0.0,
    }
    config.init = {
        # resnet50 (weights get), or a model file of the family features.resnet or
        # attributes; None for fresh weights.
        "backbone": placeholder(object),
        "resume_kimg": 0.0,
    }
    config.augment = {
        "mirror": True,  # not for what differs between left and right
        "zoom_out": 0.8,  # faces in other pictures may be smaller
        "zoom_in": 1.15,
        "shift": 0.06,
        "turn": 10.0,  # degrees
        "light": 0.3,
        "shrink": (1, 1, 2),
        "noise": 0.05,
    }


def _how(config: ConfigDict) -> None:
    """Numbers of the training, and what it leaves behind."""
    config.train = {
        "total_kimg": 200.0,
        "batch": placeholder(int),
        "max_auto_batch_per_device": 64,  # where the batch is derived
        "batch_per_device": placeholder(object),  # a number, or "auto"
        "seed": 0,
        "precision": "float32",  # float32 or tf32
        "tick_kimg": 2.0,
        "learning_rate": 1e-3,
        "schedule": "cosine",  # or constant
        "warmup_kimg": 2.0,
        "weight_decay": 0.05,
        "nonfinite_patience": 50,
    }
    config.loss = {
        "balance": False,  # both classes of a binary attribute weigh the same in sum
        "number": "huber",  # or mse; of standardised numbers
    }
    config.ema = {
        "kimg": 2.0,  # 0 for none
        "rampup": 0.05,
    }
    config.snapshot = {
        "every_kimg": 20.0,
        "keep": 2,  # model snapshots; the best one is always kept
        "grid": 24,  # pictures in the sample grids
    }
    config.eval = {
        "every_kimg": 10.0,  # 0 for never
        "num": 2000,
    }


def apply(config: ConfigDict, arg: str) -> None:
    """Applies a configuration's argument: "" or "smoke"; raises for any other."""
    _argument.apply(config, arg, shrink)


def shrink(config: ConfigDict) -> None:
    """Makes any configuration end in under two minutes on a CPU, on toy faces.

    The structure stays: what is shrunk is sizes and lengths.
    """
    config.data.update(
        toy=True,
        held_out=0.25,
        labels=None,
        attributes=("smile", "glasses:round|square"),
        resolution=None,
    )
    config.model.update(num_layers=10, width=8, input_size=32)
    config.model.update(read_share=1.0, read_drop=0.0)
    config.init.backbone = None
    config.train.update(total_kimg=2.0, tick_kimg=0.25, warmup_kimg=0.2, batch=None)
    config.train.max_auto_batch_per_device = 8
    config.snapshot.update(every_kimg=1.0, grid=8)
    config.eval.update(every_kimg=1.0, num=64)
