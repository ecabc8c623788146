"""StyleGAN2 in JAX and Flax: from a folder of pictures to a generator.

``stylegan_jax.load(path)`` opens a model file or a run's folder.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stylegan_jax.checkpoints.load import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # `load` needs jax and flax, which take a second to import: a command line's
    # --help should not wait for them.
    if name == "load":
        from stylegan_jax.checkpoints.load import load

        return load
    raise AttributeError(f"module 'stylegan_jax' has no attribute '{name}'")
