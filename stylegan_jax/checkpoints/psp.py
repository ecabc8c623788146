"""pSp and its encoders ready for use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.arguments import check_array
from stylegan_jax.checkpoints.network import Network, check_pictures
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UserError
from stylegan_jax.models.features.irse import adaptive_average_pool
from stylegan_jax.models.psp import MAX_ITERATIONS, PSP, Encoder, inject_layers


class PSPEncoder(Network):
    """An encoder of pSp's with its weights, without the mean latent.

    Attributes:
        module: the Linen module.
        variables: the collections ``params`` and ``batch_stats``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = Encoder

    def __init__(
        self,
        module: Encoder,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)

        def encode(variables: Any, x: jax.Array) -> Any:
            # An accelerator would round the dense layers' factors.
            with jax.default_matmul_precision("highest"):
                return module.apply(variables, x)

        self._encode = jax.jit(encode)

    @staticmethod
    def example(module: Encoder) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shape of a picture."""
        side = module.input_size
        return (jax.ShapeDtypeStruct((1, side, side, module.input_nc), jnp.float32),)

    def encode(self, x: jax.Array) -> jax.Array:
        """Encodes pictures; the mean latent of a decoder has to be added.

        Args:
            x: [N, input_size, input_size, input_nc] float32 in [-1, 1].

        Returns:
            [N, num_ws, w_dim] float32; num_ws is 1 for an encoder into W.

        Raises:
            UserError: integers, another shape, or no pictures.
        """
        x = check_pictures(x)
        check_array(x, "x", ("N", *self.example(self.module)[0].shape[1:]))
        return self._encode(self.variables, x)

    def __call__(self, x: jax.Array) -> jax.Array:
        """The same as `encode`."""
        return self.encode(x)


class PSPNetwork(Network):
    """pSp with its weights: from pictures to the pictures of its decoder.

    Attributes:
        module: the Linen module.
        variables: the collections ``params``, ``batch_stats``, ``moving_stats`` and
            ``noise``.
        metadata: the JSON document of the file it came from; empty if none.
    """

    MODULE = PSP

    def __init__(
        self,
        module: PSP,
        variables: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
    ):
        super().__init__(module, variables, metadata=metadata)

        def run(method: str, *fixed: Any) -> Any:
            def apply(variables: Any, *args: Any) -> Any:
                # An accelerator would round the dense layers' factors.
                with jax.default_matmul_precision("highest"):
                    return module.apply(variables, *fixed, *args, method=method)

            return jax.jit(apply)

        self._encode = run("encode")
        # One pass is compiled, whatever their number.
        self._start, self._refine = run("start", 1), run("refine")
        self._draw = run("synthesis")
        self._pool = jax.jit(adaptive_average_pool, static_argnums=1)

    @staticmethod
    def example(module: PSP) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Shape of a picture."""
        return (jax.ShapeDtypeStruct((1, *module.input_shape), jnp.float32),)

    @property
    def num_ws(self) -> int:
        """Latents of a picture."""
        return self.module.num_ws

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the decoder's pictures."""
        return self.module.image_shape

    @cached_property
    def decoder(self) -> StyleGAN2Generator:
        """The decoder as a generator of its own."""
        variables = {
            name: tree["decoder"]
            for name, tree in self.variables.items()
            if "decoder" in tree
        }
        return StyleGAN2Generator(
            self.module.make_decoder(), variables, metadata=self.metadata
        )

    def encode(self, x: jax.Array, iterations: int | None = None) -> jax.Array:
        """Encodes pictures, the mean latent included.

        Args:
            x: [N, input_size, input_size, input_nc] float32 in [-1, 1].
            iterations: passes over a picture, from 1 to `MAX_ITERATIONS`; None for the
                model's own number. A model of one pass has no other.

        Returns:
            w_plus [N, num_ws, w_dim] float32.

        Raises:
            UserError: integers, another shape, no pictures, or a number of passes that
                the model cannot do.
        """
        x = check_pictures(x)
        check_array(x, "x", ("N", *self.module.input_shape))
        passes = self.module.iterations if iterations is None else iterations
        _check_passes(passes, self.module.iterations)
        if self.module.iterations == 1:
            return self._encode(self.variables, x)
        first = self._start(self.variables)
        w_plus, image = (jnp.repeat(a, len(x), 0) for a in first)
        for i in range(passes):
            if i > 0:
                image = self._draw(self.variables, w_plus)
            w_plus = self._refine(self.variables, x, w_plus, image)
        return w_plus

    def synthesis(
        self,
        w_plus: jax.Array,
        noise_mode: str = "const",
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Draws pictures from latents; see `StyleGAN2Generator.synthesis`."""
        return self.decoder.synthesis(w_plus, noise_mode, key)

    def inject(
        self,
        w_plus: jax.Array,
        latent_mask: Sequence[int],
        inject: jax.Array | None = None,
        alpha: float | None = None,
    ) -> jax.Array:
        """Replaces or mixes the latents of some layers.

        Args:
            w_plus: [N, num_ws, w_dim] float32.
            latent_mask: numbers of the layers, from 0.
            inject: [N, num_ws, w_dim] or [1, num_ws, w_dim], the other latents; None
                for zeros.
            alpha: the share of the other latents; None replaces.

        Returns:
            w_plus [N, num_ws, w_dim] float32.

        Raises:
            UserError: another shape, a layer that there is not, or an alpha without
                latents.
        """
        w_plus = jnp.asarray(w_plus, jnp.float32)
        check_array(w_plus, "w_plus", ("N", self.num_ws, self.module.w_dim))
        _check_layers(latent_mask, self.num_ws)
        if inject is None:
            if alpha is not None:
                raise UserError("alpha mixes with other latents: give inject too.")
            return inject_layers(w_plus, latent_mask)
        inject = jnp.asarray(inject, jnp.float32)
        if inject.ndim != 3 or inject.shape[0] != 1:
            check_array(inject, "inject", w_plus.shape)
        check_array(inject, "inject", ("N", *w_plus.shape[1:]))
        share = 1.0 if alpha is None else alpha
        return inject_layers(w_plus, latent_mask, inject, share)

    def __call__(
        self,
        x: jax.Array,
        *,
        inject: jax.Array | None = None,
        latent_mask: Sequence[int] = (),
        alpha: float | None = None,
        noise_mode: str = "const",
        key: jax.Array | None = None,
        size: int | None = None,
        iterations: int | None = None,
    ) -> jax.Array:
        """Turns pictures into the decoder's.

        Args:
            x: [N, input_size, input_size, input_nc] float32 in [-1, 1].
            inject: other latents for the layers of latent_mask; see `inject`.
            latent_mask: layers that are replaced or mixed; none by default.
            alpha: the share of the other latents; None replaces.
            noise_mode: ``const``, ``random`` (needs a key) or ``none``.
            key: a jax random key.
            size: side that the pictures are averaged to, 256 in the original program;
                None leaves them at the decoder's resolution.
            iterations: passes over a picture; see `encode`.

        Returns:
            [N, H, W, C] float32, nominally in [-1, 1], not clipped.

        Raises:
            UserError: an argument is out of range or of another shape.
        """
        if size is not None and not 1 <= size <= 4096:
            raise UserError(f"size is from 1 to 4096 pixels, got {size}.")
        if inject is not None and not latent_mask:
            raise UserError(
                "inject changes the layers of latent_mask: name at least one."
            )
        w_plus = self.encode(x, iterations)
        if latent_mask:
            w_plus = self.inject(w_plus, latent_mask, inject, alpha)
        images = self.synthesis(w_plus, noise_mode, key)
        return images if size is None else self._pool(images, (size, size))


def _check_passes(passes: int, own: int) -> None:
    """Raises `UserError` unless a model of ``own`` passes can do this many."""
    if type(passes) is not int or not 1 <= passes <= MAX_ITERATIONS:
        raise UserError(f"iterations is from 1 to {MAX_ITERATIONS}, got {passes!r}.")
    if own == 1 and passes != 1:
        raise UserError(
            f"iterations={passes} needs a model trained for several passes: this one "
            "does a single pass."
        )


def _check_layers(layers: Sequence[int], num_ws: int) -> None:
    """Raises `UserError` unless every layer is a number from 0 to num_ws - 1."""
    wrong = [
        layer
        for layer in layers
        if not isinstance(layer, int | np.integer)
        or isinstance(layer, bool)
        or not 0 <= layer < num_ws
    ]
    if wrong:
        raise UserError(
            f"latent_mask names layers from 0 to {num_ws - 1}, got "
            f"{', '.join(map(repr, wrong))}."
        )
