"""Networks that read attributes, such as age, off pictures of faces."""

from stylegan_jax.models.attributes.model import BINARY, KINDS, NUMBER, AttributeNet

__all__ = ["BINARY", "KINDS", "NUMBER", "AttributeNet"]
