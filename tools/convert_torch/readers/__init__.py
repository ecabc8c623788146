"""Readers of checkpoints that need neither PyTorch nor TensorFlow and run nothing."""

from stylegan_jax.convert_torch.readers.checkpoint import (
    Checkpoint,
    read_bytes,
    read_checkpoint,
)
from stylegan_jax.convert_torch.readers.modules import (
    attributes,
    state_dict,
    submodule,
)
from stylegan_jax.convert_torch.readers.onnx_file import Graph, Node
from stylegan_jax.convert_torch.readers.tflib import TFNetwork, tf_networks
from stylegan_jax.convert_torch.readers.values import Reference, Stub, Tensor

__all__ = [
    "Checkpoint",
    "Graph",
    "Node",
    "Reference",
    "Stub",
    "TFNetwork",
    "Tensor",
    "attributes",
    "read_bytes",
    "read_checkpoint",
    "state_dict",
    "submodule",
    "tf_networks",
]
