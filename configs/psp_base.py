"""Defaults of every pSp configuration; the experiments change what differs.

None means that the value is derived from the pairs, the decoder and the devices
(`stylegan_jax/training/psp/presets.py`). The numbers are those of pSp's own program
(Richardson et al. 2021) where it has them.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from stylegan_jax.configs import _argument


def get_config(arg: str = "") -> ConfigDict:
    """Returns the defaults; ``arg`` is "" or "smoke"."""
    config = ConfigDict()
    config.trainer = "psp"
    _what(config)
    _how(config)
    apply(config, arg)
    return config


def _what(config: ConfigDict) -> None:
    """Pairs and networks."""
    config.data = {
        # A set of pairs: side A is what the encoder sees, side B what is to come out.
        "path": placeholder(object),
        # Pictures are their own target: path is a folder, zip, … of pictures.
        "reconstruct": False,
        "resolution": placeholder(object),  # side that is compared; at most 256
        "mirror": "together",  # none, together, or apart: source and target each
        "factors": (),  # the source is shrunk by one of these and enlarged again
        "source_channels": 3,  # 1 for sketches
        "source_labels": 0,  # classes, where sources are label maps
        # Without a path and a decoder, draw toy pairs and take an untrained decoder.
        "toy": False,
        "held_out": 0.05,  # share of the pairs that only validation looks at
        "skip_broken": False,
        "workers": 0,  # processes that decode; 0 for threads
    }
    config.model = {
        "encoder_type": "GradualStyleEncoder",
        "num_layers": 50,
        "mode": "ir_se",
        "width": 64,
        "input_nc": placeholder(int),
        "input_size": placeholder(int),  # 256 where pictures are as large
        "learn_in_w": False,
        "start_from_latent_avg": True,
        "iterations": 1,  # more: ReStyle, which looks again at what it drew
    }
    config.init = {
        "decoder": placeholder(object),  # a StyleGAN2 generator
        "model": placeholder(object),  # a whole pSp to go on from
        # arcface_irse50, or a model file of that family; None for a fresh encoder.
        "backbone": placeholder(object),
        "resume_kimg": 0.0,
    }


def _how(config: ConfigDict) -> None:
    """Numbers of the training, and what it leaves behind."""
    config.train = {
        "total_kimg": 4000.0,  # 500 000 steps of 8
        "batch": placeholder(int),
        "max_auto_batch_per_device": 8,  # where the batch is derived
        "batch_per_device": placeholder(object),  # a number, or "auto"
        "seed": 0,
        "precision": "float32",  # float32 or tf32
        "tick_kimg": 0.4,
        "optimiser": "ranger",  # or adam
        "learning_rate": 1e-4,
        "train_decoder": False,
        "noise_mode": "random",  # of the decoder in training
        "nonfinite_patience": 50,
    }
    config.loss = {
        "l2_weight": 1.0,
        "lpips_weight": 0.8,
        "lpips_network": "lpips_alex",  # or lpips_vgg
        "identity_weight": 0.0,
        "identity_network": "arcface_irse50",  # or arcface_mobilefacenet
        "moco_weight": 0.0,  # instead of identity, for what is no face
        "w_norm_weight": 0.0,
        "l2_crop_weight": 0.0,  # of the inner face
        "lpips_crop_weight": 0.0,
    }
    config.ema = {
        "kimg": 1.0,  # 0 for none, as pSp's own program
        "rampup": 0.05,
    }
    config.snapshot = {
        "every_kimg": 40.0,  # 5000 steps of 8
        "keep": 3,  # model snapshots; the best one is always kept
        "grid": 16,  # pairs in the sample grids
    }
    config.eval = {
        "every_kimg": 20.0,  # 2500 steps of 8; 0 for never
        "num": 500,
    }


def apply(config: ConfigDict, arg: str) -> None:
    """Applies a configuration's argument: "" or "smoke"; raises for any other."""
    _argument.apply(config, arg, shrink)


def shrink(config: ConfigDict) -> None:
    """Makes any pSp configuration end in under two minutes on a CPU.

    The structure stays: what is shrunk is sizes and lengths. Losses that look through
    frozen networks are left out, and L2 counts, since their weights may not be there.
    """
    config.model.update(num_layers=18, width=8)
    config.init.backbone = None
    config.data.update(held_out=0.25, toy=True)
    if config.data.source_labels:
        config.data.source_labels = 4
    config.train.update(total_kimg=2.0, tick_kimg=0.25, batch=None)
    for name in ("lpips", "identity", "moco", "lpips_crop"):
        config.loss[f"{name}_weight"] = 0.0
    config.loss.l2_weight = 1.0
    config.snapshot.update(every_kimg=1.0, grid=4)
    config.eval.update(every_kimg=1.0, num=16)
