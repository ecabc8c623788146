"""Networks whose features are compared: for metrics and for losses."""

from stylegan_jax.models.features.alexnet import AlexNet
from stylegan_jax.models.features.inception import InceptionV3
from stylegan_jax.models.features.lpips import LPIPS
from stylegan_jax.models.features.resnet import ResNet
from stylegan_jax.models.features.vgg import VGG

__all__ = ["LPIPS", "VGG", "AlexNet", "InceptionV3", "ResNet"]
