"""What generators with a mapping and a synthesis network have in common."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from stylegan_jax.types import check_shape

NOISE_MODES = ("random", "const", "none")


def truncate(
    w_plus: jax.Array,
    w_avg: jax.Array,
    psi: jax.Array | float,
    cutoff: int | None = None,
) -> jax.Array:
    """Truncation trick (Karras et al. 2019, appendix B).

    Args:
        w_plus: [N, num_ws, w_dim].
        w_avg: [w_dim].
        psi: 1 leaves w_plus as it is, 0 gives the mean.
        cutoff: number of first layers that are truncated; None for all.

    Returns:
        [N, num_ws, w_dim].
    """
    pulled = w_avg + psi * (w_plus - w_avg)
    if cutoff is None:
        return pulled
    return jnp.concatenate([pulled[:, :cutoff], w_plus[:, cutoff:]], 1)


def check_noise(
    mode: str, keys: jax.Array | None, number: int, *, needed: bool
) -> None:
    """Refuses noise that cannot be.

    Args:
        mode: random (fresh noise), const (the model's own maps) or none.
        keys: [N] random keys, one for each image; needed with random.
        number: N.
        needed: whether the model draws any noise at all.

    Raises:
        ValueError: for an unknown mode, or missing keys.
    """
    if mode not in NOISE_MODES:
        raise ValueError(
            f"Unknown noise mode '{mode}', choose from {', '.join(NOISE_MODES)}."
        )
    if mode == "random" and needed and keys is None:
        raise ValueError(
            "noise_mode='random' needs noise_keys, one random key per image."
        )
    if keys is not None:
        # A single key would give all images the same noise, silently.
        check_shape(keys, "noise_keys", (number,), where="Generator.synthesis")


class StyleGenerator(nn.Module):
    """From z over w to pictures.

    A generator's `setup` makes ``mapping_network``, whose variable ``w_avg`` is the
    mean of w, and ``synthesis_network``.
    """

    @property
    def num_ws(self) -> int:
        """Latents that the synthesis network takes."""
        raise NotImplementedError

    def synthesis(
        self,
        w_plus: jax.Array,
        *,
        noise_mode: str = "const",
        noise_keys: jax.Array | None = None,
    ) -> jax.Array:
        """Draws pictures [N, H, W, C] from latents [N, num_ws, w_dim]."""
        raise NotImplementedError

    def w(self, z: jax.Array, c: jax.Array | None = None) -> jax.Array:
        """Maps z [N, z_dim] to w [N, w_dim], not truncated; c has no meaning here."""
        del c
        return self.mapping_network(z)

    def mapping(
        self,
        z: jax.Array,
        c: jax.Array | None = None,
        *,
        truncation_psi: jax.Array | float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> jax.Array:
        """Maps z to w_plus [N, num_ws, w_dim], truncated towards ``w_avg``."""
        w_plus = self.broadcast(self.w(z, c))
        w_avg: jax.Array = self.mapping_network.get_variable("moving_stats", "w_avg")
        return truncate(w_plus, w_avg, truncation_psi, truncation_cutoff)

    def broadcast(self, w: jax.Array) -> jax.Array:
        """Repeats w [N, w_dim] for every layer: [N, num_ws, w_dim]."""
        return jnp.repeat(w[:, None, :], self.num_ws, axis=1)

    def __call__(
        self,
        z: jax.Array,
        c: jax.Array | None = None,
        *,
        truncation_psi: jax.Array | float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
        noise_keys: jax.Array | None = None,
    ) -> jax.Array:
        """Draws pictures [N, H, W, C] float32 from z [N, z_dim] (and c [N, c_dim])."""
        w_plus = self.mapping(
            z,
            c,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
        )
        return self.synthesis(w_plus, noise_mode=noise_mode, noise_keys=noise_keys)
