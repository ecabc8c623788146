"""A MobileStyleGAN generator ready for use."""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn

from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.errors import UserError
from stylegan_jax.models.mobilestylegan import Generator
from stylegan_jax.models.mobilestylegan.generator import NOISE_MODES


class MobileStyleGANGenerator(GeneratorNetwork):
    """A MobileStyleGAN with its weights; see `GeneratorNetwork`.

    There are no labels, and no random noise: its maps of noise were trained with the
    rest, so only the model's own (``const``) or ``none`` can be drawn.
    """

    MODULE: ClassVar[type[nn.Module]] = Generator
    NOISE_MODES = NOISE_MODES

    def _check_noise(self, noise_mode: str) -> None:
        if noise_mode == "random":
            raise UserError(
                "this model's noise is part of its weights and cannot be drawn anew: "
                "choose the noise const or none."
            )
        super()._check_noise(noise_mode)
