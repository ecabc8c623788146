"""pSp's one phase as a step ``(state, batch, key, networks) -> (state, metrics)``.

Richardson et al. 2021, section 3.2; with several passes over a picture Alaluf et al.
2021 (ReStyle), section 3. Written against the axis ``data`` (see ``spmd``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stylegan_jax.checkpoints.drawing import to_bytes
from stylegan_jax.data.augment import pair_source
from stylegan_jax.losses import encoder as losses
from stylegan_jax.models.features.irse import adaptive_average_pool
from stylegan_jax.models.psp import PSP
from stylegan_jax.models.psp.model import fit_square
from stylegan_jax.training import optim, rngs, spmd
from stylegan_jax.training.networks import Networks
from stylegan_jax.training.psp.state import EncoderState
from stylegan_jax.training.rngs import Draw, Stream
from stylegan_jax.training.run import Batch, Metrics
from stylegan_jax.training.updates import (
    accumulate,
    average_decay,
    move_average,
    to_model_range,
)


@dataclasses.dataclass(frozen=True)
class EncoderHyper:
    """Numbers of a run.

    Attributes:
        batch: pairs in the global batch.
        size: side of the pictures that are compared.
        weights: weight of every loss that counts, by name; see ``Losses.compare``.
        accumulate: parts that a device's share of the batch is processed in.
        mirror: ``none``, ``together`` or ``apart``; see ``pair_source.mirror``.
        factors: the source is shrunk by one of these and enlarged again; () for not.
        labels: classes of the source's label maps; 0 for pictures.
        noise_mode: of the decoder in training: ``random``, ``const`` or ``none``.
        learning_rate: of the optimiser.
        optimiser: ``ranger`` or ``adam``.
        train_decoder: whether the decoder is trained too.
        ema_kimg: half-life of the averaged model in thousands of pairs; 0 for none.
        ema_rampup: half-life is at most this share of the pairs seen; None for none.
    """

    batch: int
    size: int
    weights: Mapping[str, float]
    accumulate: int = 1
    mirror: str = "none"
    factors: tuple[int, ...] = ()
    labels: int = 0
    noise_mode: str = "random"
    learning_rate: float = 1e-4
    optimiser: str = "ranger"
    train_decoder: bool = False
    ema_kimg: float = 1.0
    ema_rampup: float | None = 0.05


def make_optimiser(hyper: EncoderHyper) -> optax.GradientTransformation:
    """The optimiser of what is trained."""
    if hyper.optimiser == "ranger":
        return optim.ranger(hyper.learning_rate)
    return optax.adam(hyper.learning_rate)


class Losses:
    """Inputs, outputs and distances of a model, for training and for validation."""

    def __init__(self, psp: PSP, hyper: EncoderHyper, networks: Networks):
        """Args: the model, the numbers, and the frozen networks' modules."""
        self.psp, self.hyper, self.networks = psp, hyper, networks

    @property
    def quiet_noise(self) -> str:
        """The decoder's noise where nothing may be drawn at random."""
        return "none" if self.hyper.noise_mode == "none" else "const"

    def mean_of(self, variables: Any) -> jax.Array:
        """The latents that are nobody's: what the encoder adds to, or else w_avg."""
        stats = variables["moving_stats"]
        if self.psp.start_from_latent_avg:
            return stats["latent_avg"]
        return stats["decoder"]["mapping"]["w_avg"]

    def inputs(
        self, batch: Batch, keys: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """What the encoder sees, and what is to come out.

        Args:
            batch: ``target`` and, unless pictures are their own source, ``source``,
                uint8 as the data has them.
            keys: [N], one for each pair; None leaves out what is drawn at random, but
                shrinks by the largest factor.

        Returns:
            [N, input_size, input_size, input_nc] and [N, size, size, C], float32.
        """
        hyper = self.hyper
        target = to_model_range(batch["target"])
        if "source" not in batch:
            source = target
        elif hyper.labels:
            source = pair_source.one_hot(batch["source"], hyper.labels)
        else:
            source = to_model_range(batch["source"])
        if keys is not None:
            flips = rngs.split(keys, Draw.MIRROR)
            source, target = pair_source.mirror(source, target, flips, hyper.mirror)
        source = fit_square(source, self.psp.input_size)
        if not hyper.factors:
            return source, target
        if keys is None:
            source = pair_source.degrade_by(source, max(hyper.factors))
        else:
            draws = rngs.split(keys, Draw.DEGRADE)
            source = pair_source.degrade(source, draws, hyper.factors)
        return source, target

    def shown(self, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """`inputs` without anything drawn at random, as pictures for people, uint8."""
        source, target = self.inputs(batch, None)
        if self.hyper.labels:
            # Classes as shades of grey.
            shades = jnp.argmax(source, -1, keepdims=True) / max(self.hyper.labels, 2)
            source = shades * 2.0 - 1.0
        return to_bytes(fit_square(source, target.shape[1])), to_bytes(target)

    def pool(self, images: jax.Array) -> jax.Array:
        """The decoder's pictures at the side that they are compared at."""
        size = self.hyper.size
        if images.shape[1] == size:
            return images
        return adaptive_average_pool(images, (size, size))

    def compare(
        self,
        w_plus: jax.Array,
        image: jax.Array,
        target: jax.Array,
        latent_avg: jax.Array,
        frozen: Any,
    ) -> dict[str, jax.Array]:
        """The distances whose weight is not 0, each [N], by name.

        Args:
            w_plus: [N, num_ws, w_dim].
            image: [N, size, size, C], the decoder's pictures.
            target: the same shape.
            latent_avg: [1 or num_ws, w_dim], the mean latent.
            frozen: variables of the frozen networks.
        """
        found: dict[str, jax.Array] = {}
        networks = self.networks
        for name in self.hyper.weights:
            if name == "l2":
                found[name] = losses.l2(image, target)
            elif name == "l2_crop":
                x, y = losses.inner_face(image), losses.inner_face(target)
                found[name] = losses.l2(x, y)
            elif name == "lpips":
                found[name] = networks.lpips(frozen, image, target)
            elif name == "lpips_crop":
                x, y = losses.inner_face(image), losses.inner_face(target)
                found[name] = networks.lpips(frozen, x, y)
            elif name == "identity":
                found[name] = networks.identity(frozen, image, target)
            elif name == "moco":
                found[name] = networks.moco(frozen, image, target)
            elif name == "w_norm":
                started = self.psp.start_from_latent_avg
                mean = jnp.broadcast_to(latent_avg * started, w_plus.shape[1:])
                found[name] = losses.w_norm(w_plus, mean)
            else:
                raise ValueError(f"There is no loss '{name}'.")
        return found

    def total(self, distances: Mapping[str, jax.Array]) -> jax.Array:
        """The weighted sum of the distances' means."""
        means = {name: jnp.mean(value) for name, value in distances.items()}
        return sum(
            (self.hyper.weights[name] * value for name, value in means.items()),
            jnp.zeros(()),
        )


def make_step(losses: Losses):
    """The step that trains the encoder, and the decoder where it is trained too."""
    hyper = losses.hyper
    optimiser = make_optimiser(hyper)

    def step(
        state: EncoderState, batch: Batch, key: jax.Array, frozen: Any
    ) -> tuple[EncoderState, Metrics]:
        # Every tree that meets local data is made varying, see ``spmd``.
        local_state, local_frozen = spmd.varying((state, frozen))

        def gradient(params, state, part, key):
            passes = _Passes(losses, state, part, key, local_frozen)
            return passes.gradient(params)

        gradients, aux = accumulate(
            gradient, local_state.params, local_state, batch, key, hyper.accumulate
        )
        gradients, aux = spmd.mean((gradients, aux))
        gradients, bad = optim.replace_nonfinite(gradients)
        updates, opt = optimiser.update(gradients, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics = {**aux["metrics"], "nonfinite/psp": bad}
        # Each part moved the same running statistics a little: their average is what
        # the average of the parts' statistics would have made of them.
        state = state.replace(params=params, opt=opt, batch_stats=aux["batch_stats"])
        return state, metrics

    return step


class _Passes:
    """The gradient of one part of a batch, over all passes of the encoder."""

    def __init__(self, losses: Losses, state, batch: Batch, key: jax.Array, frozen):
        self._losses, self._state, self._frozen = losses, state, frozen
        self._keys = rngs.sample_keys(key, Stream.PSP, state.step, batch["index"])
        self._source, self._target = losses.inputs(batch, self._keys)

    def gradient(self, params: Any) -> Any:
        """Gradient and aux; with several passes their averages."""
        psp = self._losses.psp
        differentiate = jax.grad(self._loss, has_aux=True)
        if psp.iterations == 1:
            gradients, (aux, _) = differentiate(params, None, 0)
            return gradients, aux
        quiet = self._losses.quiet_noise
        start = self._apply(params, len(self._source), noise_mode=quiet, method="start")

        def one(carry, number):
            so_far, total = carry
            gradients, (aux, so_far) = differentiate(params, so_far, number)
            return (so_far, jax.tree.map(jnp.add, total, (gradients, aux))), None

        shapes = jax.eval_shape(differentiate, params, start, 0)
        zeros = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), (shapes[0], shapes[1][0])
        )
        first = spmd.varying(zeros)
        numbers = jnp.arange(psp.iterations)
        (_, total), _ = jax.lax.scan(one, (start, first), numbers)
        return jax.tree.map(lambda x: x / psp.iterations, total)

    def _loss(self, params, so_far, number):
        """One pass; what was before it is a constant (ReStyle, section 3.1)."""
        losses = self._losses
        options = {"train": True, "axis_name": spmd.AXIS, "mutable": ["batch_stats"]}
        if so_far is None:
            method, inputs = "encode", (self._source,)
        else:
            so_far = jax.lax.stop_gradient(so_far)
            method, inputs = "refine", (self._source, *so_far)
        w_plus, moved = self._apply(params, *inputs, method=method, **options)
        drawn = self._synthesis(params, w_plus, number)
        distances = losses.compare(
            w_plus,
            losses.pool(drawn),
            self._target,
            self._state.moving_stats["latent_avg"],
            self._frozen,
        )
        loss = losses.total(distances)
        metrics = {f"loss/{name}": jnp.mean(d) for name, d in distances.items()}
        aux = {
            "metrics": {"loss/psp": loss, **metrics},
            "batch_stats": moved["batch_stats"],
        }
        return loss, (aux, (w_plus, drawn))

    def _synthesis(self, params, w_plus, number):
        mode = self._losses.hyper.noise_mode
        keys = None
        if mode == "random":
            keys = rngs.split(self._keys, Draw.NOISE)
            keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        return self._apply(
            params, w_plus, noise_mode=mode, noise_keys=keys, method="synthesis"
        )

    def _apply(self, params, *inputs, **options):
        return self._losses.psp.apply(self._state.variables(params), *inputs, **options)


def end_step(state: EncoderState, hyper: EncoderHyper) -> EncoderState:
    """Moves the averaged model and the counters."""
    decay = average_decay(hyper.batch, state.nimg, hyper.ema_kimg, hyper.ema_rampup)
    return state.replace(
        ema_params=move_average(state.ema_params, state.params, decay),
        step=state.step + 1,
        nimg=state.nimg + hyper.batch,
    )
