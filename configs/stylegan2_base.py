"""Defaults of every StyleGAN2 configuration; the experiments change what differs.

None means that the value is derived, from the pictures, the batch and the devices, by
the rules of NVIDIA's "auto" preset (`stylegan_jax/training/stylegan2/presets.py`).

This file is itself a configuration: config-f of Karras et al. 2020 with derived
numbers.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from stylegan_jax.configs import _argument


def get_config(arg: str = "") -> ConfigDict:
    """Returns the defaults; ``arg`` is "" or "smoke"."""
    config = ConfigDict()
    config.trainer = "stylegan2"
    _what(config)
    _how(config)
    apply(config, arg)
    return config


def _what(config: ConfigDict) -> None:
    """Pictures and networks."""
    config.data = {
        # Folder, zip, .arrayrecord, tfds:NAME[/SPLIT], or a weighted list a/:3,b/:1.
        "path": placeholder(object),
        "resolution": placeholder(object),  # 256, or "320x256" (height x width)
        "mirror": False,
        "labels": False,  # condition the model on the pictures' labels
        "channels": 3,
        "skip_broken": False,
        "held_out": 0.0,  # share of the pictures that only eval.watch looks at
        "workers": 0,  # processes that decode; 0 for threads
    }
    config.model = {
        "z_dim": 512,
        "w_dim": 512,
        "mapping_layers": placeholder(int),
        "channel_base": placeholder(int),
        "channel_max": 512,
        "use_noise": True,  # noise inputs of the generator's layers
        "g_architecture": "skip",
        "d_architecture": "resnet",
        "mbstd_group_size": placeholder(int),
        "mbstd_num_channels": 1,
        "conv_clamp": placeholder(float),
        "low_precision_blocks": 4,
        "w_avg_beta": 0.995,
    }
    config.init = {
        # Where G and D start: a folder from `convert`, or a run's. None: fresh ones.
        "model": placeholder(object),
        "fresh_d": False,  # begin the discriminator anew; needed for a lone generator
        "needed": False,  # whether to refuse to begin with fresh networks
        "resume_kimg": 0.0,  # images that count as already seen
    }


def _how(config: ConfigDict) -> None:
    """Numbers of the training, and what it leaves behind."""
    config.train = {
        "total_kimg": 25000.0,
        "batch": placeholder(int),
        "max_auto_batch_per_device": 32,  # where the batch is derived
        "batch_per_device": placeholder(object),  # a number, or "auto"
        "seed": 0,
        "precision": "float32",  # float32, tf32, bfloat16 or float16
        "recompute": False,  # what is inside blocks, for the gradient: less memory
        "tick_kimg": 4.0,
        "g_learning_rate": placeholder(float),
        "d_learning_rate": placeholder(float),
        # Steps in a row with non-finite gradients or losses that stop the run.
        "nonfinite_patience": 50,
    }
    config.loss = {
        "r1_gamma": placeholder(float),
        "pl_weight": 2.0,
        "pl_decay": 0.01,
        "pl_batch_shrink": 2,
        "style_mixing_prob": 0.9,
        "g_reg_interval": 4,
        "d_reg_interval": 16,
        # Keeps what init.model drew alike alike (Ojha et al. 2021); theirs is 1000.
        "correspondence_weight": 0.0,
    }
    # What the discriminator sees; see training/stylegan2/augmentation.py.
    config.augment = {
        "mode": "none",  # none, ada, fixed or diffaugment
        "pipe": "bgc",
        "policy": "color,translation,cutout",  # of diffaugment
        "p": 0.0,
        "target": 0.6,
        "interval": 4,
        "kimg": placeholder(float),  # in which p can move by 1; 500, fine-tuning 100
        "ceiling": 0.8,
    }
    # What is not trained. FreezeSG is g_mapping, g_affine and g_below together.
    config.freeze = {
        "d_layers": 0,  # of the discriminator, from the image on
        "g_mapping": False,
        "g_affine": False,
        "g_below": 0,  # blocks of lower resolutions than this
    }
    config.ema = {
        "kimg": placeholder(float),
        "rampup": placeholder(float),  # 0 for none
    }
    config.snapshot = {
        "every_kimg": 50.0,  # 1 or more, for the files to have names of their own
        "keep": 10,  # model snapshots; the best one is always kept
        "grid": 64,  # pictures in the sample grids
        "parts": ("g_ema", "g", "d"),  # the last snapshot has all of them
    }
    config.eval = {
        "every_kimg": 50.0,  # 0 for never
        "metrics": ("swd",),
        "num": 2048,
        "watch": False,  # look whether the training set is drawn again
    }


def apply(config: ConfigDict, arg: str) -> None:
    """Applies a configuration's argument: "" or "smoke"; raises for any other."""
    _argument.apply(config, arg, shrink)


def shrink(config: ConfigDict) -> None:
    """Makes any StyleGAN2 configuration end in under two minutes on a CPU.

    The structure stays: what is shrunk is sizes and lengths.
    """
    config.data.resolution = 32
    config.init.needed = False
    config.model.update(z_dim=32, w_dim=32, channel_base=512, channel_max=32)
    config.model.mbstd_group_size = None
    # Eight images for every device, so that any number of devices can share them.
    config.train.batch = None
    config.train.update(total_kimg=2.0, max_auto_batch_per_device=8, tick_kimg=0.25)
    config.snapshot.update(every_kimg=1.0, grid=16)
    config.eval.update(every_kimg=1.0, num=64)
