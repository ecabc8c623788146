"""Measures during training: sliced Wasserstein distance, the overfit watch."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.metrics.memorisation import Memorisation, discriminator_gap
from stylegan_jax.metrics.swd import SlicedWasserstein
from stylegan_jax.training.grids import local
from stylegan_jax.training.pictures import available
from stylegan_jax.training.stylegan2.build import GanRun
from stylegan_jax.training.stylegan2.samples import (
    Samples,
    different_pictures,
    real_pictures,
)
from stylegan_jax.training.stylegan2.state import GanState
from stylegan_jax.training.updates import to_model_range

# Pictures that the discriminator scores at a time, in whole groups.
_AT_A_TIME = 32


class Evaluation:
    """What is measured of the averaged generator, and of the discriminator."""

    def __init__(self, run: GanRun, samples: Samples):
        """Describes the real pictures once."""
        self._samples = samples
        self._swd = self._watch = self._scores = None
        config, seed = run.config.eval, run.config.train.seed
        self._num = min(config.num, available(run.data))
        if config.every_kimg <= 0 or not (config.watch or "swd" in config.metrics):
            return
        if "swd" in config.metrics:
            reals = real_pictures(run.data, self._num, seed)["image"]
            self._swd = SlicedWasserstein(reals, seed=0)
        if config.watch:
            known = different_pictures(run.data, self._num, seed)
            self._watch = Memorisation(known["image"])
            if run.held_out:
                new = different_pictures(run.held_out, self._num, seed)
                self._scores = _Scores(run, known, new)

    def measure(self, state: GanState) -> dict[str, float]:
        """Measures by name; empty where nothing is measured."""
        if self._swd is None and self._watch is None:
            return {}
        # Seeds far from the grids', so that what is measured is not what is shown.
        fakes = self._samples.draw(state, self._num, first_seed=1_000_000)
        figures = self._swd(fakes) if self._swd is not None else {}
        if self._watch is not None:
            figures = {**figures, **self._watch(fakes)}
        if self._scores is not None:
            figures["watch/gap"] = self._scores.gap(
                state, fakes, self._samples.labels(self._num)
            )
        return figures


def _score(d: nn.Module, variables: Any, x: jax.Array, c: jax.Array) -> Any:
    return d.apply(variables, x, c)


class _Scores:
    """The discriminator's opinion of pictures that it learns from, and of others."""

    def __init__(
        self,
        run: GanRun,
        reals: dict[str, np.ndarray],
        held_out: dict[str, np.ndarray],
    ):
        self._run, self._score = run, jax.jit(_score, static_argnums=0)
        group = run.d.mbstd_group_size
        self._batch = -(-_AT_A_TIME // group) * group
        self._reals, self._held_out = reals, held_out

    def gap(self, state: GanState, fakes: np.ndarray, labels: np.ndarray) -> float:
        """``discriminator_gap`` of the mean scores, nothing augmented."""
        known, new = self._reals, self._held_out
        networks = self._run.networks(int(state.nimg))
        variables = {"params": local(state.d_params), **networks.extra}

        def mean(images: np.ndarray, labels: np.ndarray) -> float:
            return self._mean(networks.d, variables, images, labels)

        return discriminator_gap(
            training=mean(known["image"], known["label"]),
            held_out=mean(new["image"], new["label"]),
            drawn=mean(fakes, labels),
        )

    def _mean(
        self, d: nn.Module, variables: Any, images: np.ndarray, labels: np.ndarray
    ) -> float:
        scores = []
        for start in range(0, len(images), self._batch):
            # The last groups are filled up from the first pictures: one shape compiles.
            rows = np.arange(start, start + self._batch) % len(images)
            x = to_model_range(jnp.asarray(images[rows]))
            found = self._score(d, variables, x, labels[rows])
            scores.append(np.asarray(found)[: len(images) - start])
        return float(np.mean(np.concatenate(scores), dtype=np.float64))
