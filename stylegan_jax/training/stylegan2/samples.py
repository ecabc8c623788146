"""Sample grids of a GAN's run, and the pictures that it is compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stylegan_jax.checkpoints.pictures import image_grid, save_png
from stylegan_jax.data.mixture import Weighted
from stylegan_jax.data.pipeline import make_stream
from stylegan_jax.training.grids import local, viewable
from stylegan_jax.training.pictures import available
from stylegan_jax.training.stylegan2.build import GanRun
from stylegan_jax.training.stylegan2.state import GanState


class Samples:
    """Sample grids: the same latents through the whole run, and real pictures."""

    def __init__(self, run: GanRun, workdir: Path):
        """Takes the first pictures of the data for the reals' grid and the labels."""
        self._folder = workdir / "samples"
        self._run = run
        self._generator = run.NETWORK(run.networks(0).g, {})
        num = min(run.config.snapshot.grid, available(run.data))
        self.reals = real_pictures(run.data, num, run.config.train.seed)

    def labels(self, num: int) -> np.ndarray:
        """Labels [num, c_dim] of ``num`` pictures, as the data have them."""
        labels = self.reals["label"]
        return np.resize(labels, (num, labels.shape[1]))

    def draw(self, state: GanState, num: int, first_seed: int = 0) -> np.ndarray:
        """Pictures [num, H, W, C] uint8 of the averaged generator, seeds in a row."""
        networks = self._run.networks(int(state.nimg))
        if networks.g != self._generator.module:
            self._generator = self._run.NETWORK(networks.g, {})
        labels = self.labels(num) if networks.g.c_dim else None
        variables = {**local(state.g_ema_variables()), **networks.extra}
        generator = self._generator.replace(variables)
        return generator.images(range(first_seed, first_seed + num), labels=labels)

    def write_reals(self) -> None:
        """Writes ``reals.png``."""
        save_png(self._folder / "reals.png", viewable(image_grid(self.reals["image"])))

    def write_fakes(self, state: GanState, name: str) -> np.ndarray:
        """Writes ``fakes-NAME.png`` and returns the grid."""
        grid = image_grid(self.draw(state, len(self.reals["image"])))
        save_png(self._folder / f"fakes-{name}.png", viewable(grid))
        return grid


def different_pictures(data: Weighted, num: int, seed: int) -> dict[str, np.ndarray]:
    """Up to ``num`` pictures of the data, none twice and none mirrored.

    A stream of a mirrored set shows a picture and its mirror image: to who looks for
    copies they are one.

    Returns:
        ``image`` uint8 [N, H, W, C] and ``label`` float32 [N, c].
    """
    places = [(dataset, i) for dataset, _ in data for i in range(dataset.num_images)]
    order = np.random.default_rng(seed).permutation(len(places))[:num]
    items = [places[k][0][places[k][1]] for k in order]
    return {
        "image": np.stack([item["image"] for item in items]),
        "label": np.stack([item["label"] for item in items]),
    }


def real_pictures(data: Weighted, num: int, seed: int) -> dict[str, np.ndarray]:
    """The first ``num`` samples of a stream of their own: image and label."""
    with make_stream(data, batch=num, seed=seed, workers=0) as stream:
        return next(stream)
