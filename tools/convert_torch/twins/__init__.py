"""PyTorch twins: the same networks once more, to compare conversions with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stylegan_jax.convert_torch.twins import (
    facespace,
    features,
    irse,
    mobilefacenet,
    mobilestylegan,
    pix2pixhd,
    psp,
    stylegan1,
    stylegan2,
)

# Family → a function of our network, the file's tensors (PyTorch's axes, our paths) and
# the layout's name, giving output name → (ours, twin's).
TWINS: dict[str, Callable[[Any, Any, str], dict[str, tuple[Any, Any]]]] = {
    "stylegan2.generator": stylegan2.generator,
    "stylegan2.discriminator": stylegan2.discriminator,
    "stylegan1.generator": stylegan1.generator,
    "stylegan1.discriminator": stylegan1.discriminator,
    "mobilestylegan": mobilestylegan.generator,
    "facespace.encoder": facespace.encoder,
    "psp": psp.whole,
    "psp.encoder": psp.encoder,
    "pix2pixhd.global": pix2pixhd.translator,
    "pix2pixhd.local": pix2pixhd.translator,
    "pix2pixhd.discriminator": pix2pixhd.discriminator,
    "pix2pixhd.encoder": pix2pixhd.encoder,
    "features.inception_v3": features.inception_v3,
    "features.vgg": features.vgg,
    "features.alexnet": features.alexnet,
    "features.lpips": features.lpips,
    "features.resnet": features.resnet,
    "features.irse": irse.irse,
    "features.mobilefacenet": mobilefacenet.mobilefacenet,
}
