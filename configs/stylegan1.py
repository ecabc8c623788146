r"""The StyleGAN of 2018 with progressive growing (Karras et al. 2019, config F).

    stylegan-jax train --config stylegan1 --config.data.path=ffhq.zip \
        --config.data.resolution=1024 --workdir runs/a

Published for 8 GPUs: 25 000 kimg in a week of V100s, FID 4.40 on FFHQ. Hours and FID:
not measured here. Numbers that depend on the resolution are tables: one for all, and
others for some, such as --config.grow.batch=32,8:256,16:128.

What its paper leaves out one by one (table 1), as overrides:

    no style mixing    --config.loss.style_mixing_prob=0
    no noise           --config.model.use_noise=false
    a dense input      --config.model.const_input=false
    ProGAN's generator all three, --config.model.use_style=false
                       --config.model.mapping_layers=0
                       --config.model.instance_norm=false --config.model.pixel_norm=true
    no growing         --config.grow.start_resolution=1024
    ProGAN's loss      --config.loss.objective=wgan-gp
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from stylegan_jax.configs import _argument, stylegan2_base


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    # Pictures, snapshots, measures and augmentation are those of StyleGAN2's trainer.
    config = stylegan2_base.get_config()
    config.trainer = "stylegan1"
    for section in ("model", "init", "train", "loss", "ema", "freeze"):
        del config[section]
    _networks(config)
    _training(config)
    apply(config, arg)
    return config


def _networks(config: ConfigDict) -> None:
    config.model = {
        "z_dim": 512,
        "w_dim": 512,
        "mapping_layers": 8,  # 0: z itself, as in ProGAN
        "mapping_features": 512,
        "mapping_lr_multiplier": 0.01,
        "channel_base": 16384,
        "channel_max": 512,
        "fused_resolution": 128,  # from here on a doubling is a transposed convolution
        "use_noise": True,
        "const_input": True,  # else a dense layer of the latent
        "use_style": True,  # AdaIN
        "instance_norm": True,
        "pixel_norm": False,
        "mbstd_group_size": 4,
        "mbstd_num_channels": 1,
        "w_avg_beta": 0.995,
    }
    config.init = {"resume_kimg": 0.0}  # images that count as already seen


def _training(config: ConfigDict) -> None:
    config.grow = {
        "start_resolution": 8,
        "train_kimg": "600",  # with a resolution alone
        "fade_kimg": "600",  # in which it fades in
        "learning_rate": "0.001,128:0.0015,256:0.002,512:0.003,1024:0.003",
        "batch": placeholder(str),  # None: 512, 256, 128, 64 at 4 to 32 px, then 32
        "reset_optimisers": True,  # Adam forgets where a fade begins and ends
        "plan_resolution": placeholder(int),  # for plan and bench; None: the last
    }
    config.train = {
        "total_kimg": 25000.0,
        "batch": placeholder(int),  # one for all resolutions, instead of grow.batch
        "batch_per_device": placeholder(object),  # at most; or "auto"
        "seed": 0,
        "precision": "float32",  # or tf32
        "tick_kimg": 4.0,
        # Steps in a row with non-finite gradients or losses that stop the run.
        "nonfinite_patience": 50,
    }
    config.loss = {
        "objective": "logistic",  # with R1; or wgan-gp
        "r1_gamma": 10.0,
        "gp_weight": 10.0,
        "gp_target": 1.0,
        "drift": 0.001,
        "style_mixing_prob": 0.9,
    }
    config.ema = {"kimg": 10.0, "rampup": 0.0}


def apply(config: ConfigDict, arg: str) -> None:
    """Applies a configuration's argument: "" or "smoke"; raises for any other."""
    _argument.apply(config, arg, shrink)


def shrink(config: ConfigDict) -> None:
    """Makes any configuration of this trainer end in under two minutes on a CPU.

    The structure stays: what is shrunk is sizes and lengths. It grows from 16 to 32 px.
    """
    config.data.resolution = 32
    config.model.update(
        z_dim=32, w_dim=32, mapping_features=32, channel_base=512, channel_max=32
    )
    config.grow.update(
        start_resolution=16, train_kimg="0.5", fade_kimg="0.5", batch="16:16,32:8"
    )
    config.train.update(total_kimg=2.0, batch=None, tick_kimg=0.25)
    config.snapshot.update(every_kimg=1.0, grid=16)
    config.eval.update(every_kimg=1.0, num=64)
