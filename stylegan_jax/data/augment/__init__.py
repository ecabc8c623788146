"""Augmentation of a discriminator's images, in JAX and inside the step.

``augment(images, keys, p, spec)`` is the pipeline of StyleGAN2-ADA (Karras et al. 2020,
"Training Generative Adversarial Networks with Limited Data", appendix B);
``diffaugment(images, keys, policy)`` the one of Zhao et al. 2020. Both are pure, can
be differentiated twice with respect to the images (R1), and draw for an image from that
image's key alone, so that neither batch size nor device layout changes a picture.
How p follows the discriminator is ``training/stylegan2/augmentation.py``.
"""

from stylegan_jax.data.augment.diffaugment import diffaugment, parse_policy
from stylegan_jax.data.augment.pipeline import augment
from stylegan_jax.data.augment.spec import PIPES, AugmentSpec, make_spec

__all__ = [
    "PIPES",
    "AugmentSpec",
    "augment",
    "diffaugment",
    "make_spec",
    "parse_policy",
]
