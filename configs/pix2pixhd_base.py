"""Defaults of every pix2pixHD configuration; the experiments change what differs.

None means that the value is derived from the pairs and the devices
(`stylegan_jax/training/pix2pixhd/presets.py`). The numbers are those of pix2pixHD's own
program (Wang et al. 2018) where it has them.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from stylegan_jax.configs import _argument


def get_config(arg: str = "") -> ConfigDict:
    """Returns the defaults; ``arg`` is "" or "smoke"."""
    config = ConfigDict()
    config.trainer = "pix2pixhd"
    _what(config)
    _how(config)
    apply(config, arg)
    return config


def _what(config: ConfigDict) -> None:
    """Pairs and networks."""
    config.data = {
        "path": placeholder(object),  # a set of pairs
        "source": "a",  # the side that the student sees
        "target": "b",  # what is to come out
        "second": placeholder(object),  # a side that it sees too: a second person
        "resolution": placeholder(object),  # side of the squares; None as stored
        "mirror": True,  # both halves alike
        "source_labels": 0,  # classes, where sources are label maps
        "instances": False,  # maps of instances, whose edges the networks see
        "toy": False,  # without a path, draw toy pairs
        "held_out": 0.05,  # share of the pairs that only validation looks at
        "skip_broken": False,
        "workers": 0,  # processes that decode; 0 for threads
    }
    config.model = {
        "generator": "global",  # or local: enhancers around a global generator
        "width": 64,
        "downsamplings": 4,
        "residual_blocks": 9,
        "enhancers": 1,
        "enhancer_blocks": 3,
        "norm": placeholder(object),  # instance, instance_affine or batch
        "upsampling": placeholder(object),  # transposed, or resize: no checkerboards
        "d_width": 64,
        "d_layers": 3,
        "d_scales": 2,
        "feature_channels": 0,  # of instances; 3 in the paper
        "e_width": 16,
        "e_downsamplings": 4,
    }
    config.init = {
        "model": placeholder(object),  # a run, or converted networks, to go on from
        "global_generator": placeholder(object),  # the trunk of a local enhancer
        "fresh_d": False,
        "resume_kimg": 0.0,
    }
    # How pairs are distorted, see `data/augment/wild.py`; 0 is off.
    config.augment = {
        "rotate": 0.0,
        "scale": 0.0,
        "translate": 0.0,
        "crop": 0.0,
        "light": 0.0,
        "light_both": False,
        "colour": 0.0,
        "blur": 0.0,
        "noise": 0.0,
        "jpeg": 0.0,
        "probability": 0.5,
    }


def _how(config: ConfigDict) -> None:
    """Numbers of the training, and what it leaves behind."""
    config.train = {
        "total_kimg": 1000.0,
        "decay_kimg": placeholder(float),  # the rate falls at the end; None for half
        "fix_global_kimg": 0.0,  # a local enhancer's trunk stands still so long
        "batch": placeholder(int),
        "max_auto_batch_per_device": 8,  # where the batch is derived
        "batch_per_device": placeholder(object),  # a number, or "auto"
        "seed": 0,
        "precision": "float32",  # float32 or tf32
        "tick_kimg": 1.0,
        "learning_rate": 2e-4,
        "nonfinite_patience": 50,
    }
    config.loss = {
        "gan": "lsgan",  # or logistic
        "gan_weight": 1.0,
        "features_weight": 10.0,  # feature matching
        "vgg_weight": 10.0,
        "vgg_network": "vgg19",  # or vgg16, which `weights get` has
        # VGG sees pictures as it was trained with them; false is as the program does.
        "vgg_normalise": True,
        "l1_weight": 0.0,
        "lpips_weight": 0.0,
        "lpips_network": "lpips_alex",  # or lpips_vgg
        "pool_size": 0,  # earlier pictures that the discriminator is shown
        "blind_spot": 0,  # side of a corner that no loss looks at
    }
    config.ema = {
        "kimg": 0.0,  # none, as the program
        "rampup": 0.05,
    }
    config.snapshot = {
        "every_kimg": 50.0,
        "keep": 3,  # model snapshots; the best one is always kept
        "grid": 16,  # pairs in the sample grids
    }
    config.eval = {
        "every_kimg": 25.0,  # 0 for never
        "num": 200,
    }


def apply(config: ConfigDict, arg: str) -> None:
    """Applies a configuration's argument: "" or "smoke"; raises for any other."""
    _argument.apply(config, arg, shrink)


def for_photos(config: ConfigDict) -> None:
    """Distorts pairs as photos from anywhere are; the numbers of `wild.PHOTOS`."""
    config.augment.update(
        rotate=5.0, scale=0.08, translate=0.03, light=0.5, colour=0.15, blur=2.0,
        noise=0.04, jpeg=30.0,
    )  # fmt: skip


def shrink(config: ConfigDict) -> None:
    """Makes any pix2pixHD configuration end in under two minutes on a CPU.

    The structure stays: what is shrunk is sizes and lengths. Losses that look through
    frozen networks are left out, and L1 counts, since their weights may not be there.
    """
    model, train = config.model, config.train
    model.update(width=8, downsamplings=2, residual_blocks=2, enhancer_blocks=1)
    model.update(d_width=8, d_layers=2, e_width=4, e_downsamplings=2)
    config.data.update(held_out=0.25, toy=True, resolution=32)
    if config.data.source_labels:
        config.data.source_labels = 4
    if config.loss.pool_size:
        config.loss.pool_size = 16
    config.init.global_generator = None
    train.fix_global_kimg = 0.0  # there is no global stage to keep as it is
    train.update(total_kimg=2.0, tick_kimg=0.25, batch=None, decay_kimg=1.0)
    config.loss.update(vgg_weight=0.0, lpips_weight=0.0, l1_weight=10.0)
    config.snapshot.update(every_kimg=1.0, grid=4)
    config.eval.update(every_kimg=1.0, num=16)
