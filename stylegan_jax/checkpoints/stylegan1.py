"""The networks of the StyleGAN of 2018 ready for use."""

from __future__ import annotations

from stylegan_jax.checkpoints.stylegan2_discriminator import StyleGAN2Discriminator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.models.stylegan1 import Discriminator, Generator


class StyleGAN1Generator(StyleGAN2Generator):
    """A generator with its weights; it offers what `StyleGAN2Generator` does.

    Both modules have the same methods, so both are drawn by the same programs, with the
    same seeds. There are no labels.

    Attributes:
        module: the Linen module.
        variables: collections ``params`` and ``moving_stats``, and ``noise`` where the
            model stores its const noise.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = Generator


class StyleGAN1Discriminator(StyleGAN2Discriminator):
    """A discriminator with its weights; called as a `StyleGAN2Discriminator` is.

    Attributes:
        module: the Linen module.
        variables: the collection ``params``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = Discriminator
