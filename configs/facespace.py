r"""A face space: an encoder from a few photos in front of a frozen generator.

    stylegan-jax train --config facespace --config.init.model=ffhq.safetensors \
        --config.data.path=photos --workdir runs/space

The numbers are those of StyleGAN-FaceSpace where it has them; `facespace fit` is the
same with a picture and one file at the end. None means that the value is derived
(`stylegan_jax/training/facespace/presets.py`).
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from stylegan_jax.configs import _argument


def get_config(arg: str = "") -> ConfigDict:
    """Returns the configuration; ``arg`` is "" or "smoke"."""
    config = ConfigDict()
    config.trainer = "facespace"
    config.data = {
        # Folder, zip, … of the photos, aligned as the generator's training pictures.
        "path": placeholder(object),
        # Of kind landmarks: dlib finds them, or a file has them.
        "landmarks": "dlib",
        # Without photos and a generator, draw toy faces and take an untrained one.
        "toy": False,
        "workers": 0,  # processes that decode; 0 for threads
    }
    config.init = {
        "model": placeholder(object),  # the generator
        "resume_kimg": 0.0,
    }
    config.model = {
        "kind": "one_hot",  # one_hot, code or landmarks
        "code_dim": 3,  # numbers of a learned code, 1 to 10
        "space": "w_plus",  # w_plus, or w: one latent for all layers
        "features": (),  # widths of the layers; () for the original's
    }
    config.train = {
        "epochs": 200,  # of every phase
        "cycles": 2,  # phases behind the first
        "pixel_phase": False,  # a last one that looks at pixels above all
        "batch": placeholder(int),
        "batch_per_device": placeholder(object),  # a number, or "auto"
        "seed": 0,
        "precision": "float32",  # float32 or tf32
        "learning_rate": 1e-2,
        "leaf_learning_rate": placeholder(float),
        "anneal": 0.1,  # of both rates, from phase to phase
        "total_kimg": placeholder(float),  # what the phases take
        "tick_kimg": placeholder(float),
        "nonfinite_patience": 50,
    }
    config.loss = {
        # vgg, lpips or pyramid; auto takes vgg where its weights are.
        "feature": "auto",
        "lpips_network": "lpips_vgg",  # or lpips_alex
        "feature_weight": 1e2,
        "pixel_weight": 1e2,
        "pixel_boost": 1e2,  # factor of it in the last phase
        "propagation_weight": 1e4,
        "identity_weight": 0.0,
        "identity_network": "arcface_irse50",  # or arcface_mobilefacenet
        "pull_weight": 0.1,  # of faces towards the mean latent
        "blend_weight": 1e2,  # of blends towards the straight way between faces
    }
    config.snapshot = {
        "every_kimg": placeholder(float),
        "keep": 2,  # model snapshots
        "grid": 16,  # photos in the sample grids
    }
    config.eval = {"every_kimg": placeholder(float)}
    apply(config, arg)
    return config


def apply(config: ConfigDict, arg: str) -> None:
    """Applies a configuration's argument: "" or "smoke"; raises for any other."""
    _argument.apply(config, arg, shrink)


def shrink(config: ConfigDict) -> None:
    """Makes a run end in under two minutes on a CPU; the structure stays."""
    config.data.toy = True
    config.model.features = (16, 16)
    config.train.update(epochs=8, batch=8)
    config.loss.update(feature="pyramid", identity_weight=0.0)
    config.snapshot.grid = 8
