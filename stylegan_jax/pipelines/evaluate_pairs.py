"""Figures of a pSp on pairs: how near its outputs are to what they should be."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.drawing import pad
from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.checkpoints.weights import weights_path
from stylegan_jax.data.dataset import ImageDataset, open_dataset
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.metrics.paired import MEASURED_SIZE, compare, summary
from stylegan_jax.pipelines.stylize_inputs import Kind
from stylegan_jax.pipelines.stylize_psp import MAX_FACTOR, PSPPictures, degraded

METRICS = ("l2", "lpips", "identity")
# The networks that a metric may be measured with; the first one if nobody chooses.
NETWORKS: Mapping[str, Sequence[str]] = {
    "lpips": ("lpips_alex", "lpips_vgg"),
    "identity": ("arcface_irse50", "arcface_mobilefacenet"),
}
# Pairs that networks look at together: always as many, since rounding depends on
# shapes, and a figure on its pair alone.
TILE = 8
CHUNK = 64


def evaluate_pairs(
    model: PSPNetwork,
    data: str | Path,
    *,
    metrics: Sequence[str] = ("l2",),
    networks: Mapping[str, str] | None = None,
    num: int | None = None,
    held_out: float = 0.0,
    reconstruct: bool = False,
    factor: int | None = None,
    per_pair: str | Path | None = None,
    batch: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Measures a pSp on a set of pairs.

    Side A goes through the model and the 8-bit picture that comes out is compared with
    side B, both averaged down to 256 pixels where they are larger.

    Args:
        model: the network.
        data: a set of pairs, see docs/pairs.md; its kept pairs count. With
            ``reconstruct`` also plain pictures.
        metrics: names, of `METRICS`.
        networks: by metric, which of `NETWORKS`.
        num: the first so many pairs; None means all.
        held_out: only the pairs that training with this share of
            ``data.held_out`` never sees; 0 takes all.
        reconstruct: sources may be the targets; plain pictures are their own.
        factor: shrink sources by it and enlarge them again first; None leaves them.
        per_pair: a .csv or .jsonl that gets the figures of every pair.
        batch: about how many pairs are computed at a time; changes no figure.
        progress: called with the number of pairs done since the last call.

    Returns:
        JSON values. ``metrics``: the mean of each figure and its standard deviation
        ``…_std``; with ``l2`` also ``l2_mean_latent``, that of the picture of the mean
        latent, and ``l2_ratio``, how many times less ``l2`` is. And on what they were
        measured: ``data``, ``data_fingerprint``, ``num``, ``held_out``, ``size``,
        ``networks``, ``reconstruct``, ``factor``, ``iterations``, ``dtype``,
        ``noise_mode``, ``pictures``.

    Raises:
        UserError: an unknown metric, weights that are missing, or pairs that do not
            fit the model.
    """
    _check(metrics, networks or {}, per_pair, factor)
    measure = _Measure(metrics, networks or {}, model.image_shape)
    pictures = PSPPictures(model)
    if factor is not None and pictures.kind.classes:
        raise UsageError("a factor shrinks pictures, and this model takes class maps.")
    dataset = _open(data, pictures, held_out, reconstruct)
    total = len(dataset) if num is None else min(num, len(dataset))
    mean_picture = pictures.draw(pictures.mean[None])[0]
    lines: list[dict[str, float]] = []
    size = batch or CHUNK
    for start in range(0, total, size):
        items = [dataset[i] for i in range(start, min(start + size, total))]
        sources = np.stack([item["source"] for item in items])
        targets = np.stack([item["target"] for item in items])
        if factor is not None:
            sources = degraded(sources, factor)
        drawn = pictures.draw(pictures.encode(sources))
        lines += measure(drawn, targets, mean_picture)
        if progress is not None:
            progress(len(items))
    if per_pair is not None:
        about = [dataset.entry(i) for i in range(total)]
        names = [{"pair": e["index"], "name": e.get("name", "")} for e in about]
        write_lines(per_pair, [{**n, **x} for n, x in zip(names, lines, strict=True)])
    figures = summary({name: [line[name] for line in lines] for name in lines[0]})
    if "l2" in figures:
        figures["l2_ratio"] = figures["l2_mean_latent"] / max(figures["l2"], 1e-12)
    return {
        "metrics": figures,
        "data": str(data),
        "data_fingerprint": dataset.fingerprint,
        "num": total,
        "held_out": held_out,
        "size": [min(MEASURED_SIZE, side) for side in model.image_shape[:2]],
        "networks": measure.document,
        "reconstruct": reconstruct,
        "factor": factor,
        "iterations": pictures.iterations,
        "dtype": model.module.decoder_dtype,
        "noise_mode": pictures.noise_mode,
        "pictures": "8 bits",
    }


def write_lines(path: str | Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Writes the figures of every pair, atomically.

    Args:
        path: ends in ``.csv`` or ``.jsonl``.
        lines: values by name, the same names for every pair.
    """
    if Path(path).suffix.lower() == ".csv":
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        write_text(path, stream.getvalue())
    else:
        write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


class _Measure:
    """Compares outputs with targets, tile by tile.

    Attributes:
        document: JSON values about the networks, by metric.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        networks: Mapping[str, str],
        image_shape: tuple[int, int, int],
    ):
        self._metrics = metrics
        self.document: dict[str, Any] = {}
        opened: dict[str, Any] = {}
        wanted = [name for name in NETWORKS if name in metrics]
        if wanted and image_shape[2] != 3:
            raise UserError(
                f"{' and '.join(wanted)} need pictures in RGB and this model draws "
                f"{image_shape[2]} channels: leave them out."
            )
        for name in wanted:
            chosen = networks.get(name, NETWORKS[name][0])
            file = weights_path(chosen)
            opened[name] = load(file)
            self.document[name] = {"name": chosen, "sha256": sha256_of(file)}
        self._lpips = opened.get("lpips")
        identity = opened.get("identity")
        self._embed = (
            None if identity is None else lambda x: identity.aligned(x)["embedding"]
        )

    def __call__(
        self, drawn: np.ndarray, targets: np.ndarray, mean_picture: np.ndarray
    ) -> list[dict[str, float]]:
        """Figures of pairs [N, H, W, C] uint8, with those of one picture for all."""
        ours, theirs = pad(drawn, TILE), pad(targets, TILE)
        base = _floats(np.repeat(mean_picture[None], TILE, axis=0))
        lines: list[dict[str, float]] = []
        for start in range(0, len(ours), TILE):
            x, y = (_floats(part[start : start + TILE]) for part in (ours, theirs))
            found = compare(x, y, lpips=self._lpips, embed=self._embed)
            wanted = {name: found[name] for name in METRICS if name in self._metrics}
            if "l2" in wanted:
                wanted["l2_mean_latent"] = compare(base, y)["l2"]
            columns = {name: np.asarray(value) for name, value in wanted.items()}
            lines += [
                {name: float(value[i]) for name, value in columns.items()}
                for i in range(TILE)
            ]
        return lines[: len(drawn)]


def _check(
    metrics: Sequence[str],
    networks: Mapping[str, str],
    per_pair: str | Path | None,
    factor: int | None,
) -> None:
    """Raises `UsageError` for what there is not, before anything is read."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics:
        raise UsageError(
            f"unknown metrics '{', '.join(unknown)}' of a pSp: choose from "
            f"{', '.join(METRICS)}."
        )
    for name, chosen in networks.items():
        if chosen not in NETWORKS[name]:
            raise UsageError(
                f"unknown network '{chosen}' for {name}: choose from "
                f"{', '.join(NETWORKS[name])}."
            )
    if factor is not None and not 1 <= factor <= MAX_FACTOR:
        raise UsageError(f"a factor is from 1 to {MAX_FACTOR}, got {factor}.")
    if per_pair is not None and Path(per_pair).suffix.lower() not in (".csv", ".jsonl"):
        raise UsageError(
            f"figures per pair go into a .csv or .jsonl file, got {per_pair}."
        )


def _open(
    data: str | Path, pictures: PSPPictures, held_out: float, reconstruct: bool
) -> Any:
    """The pairs in the model's sizes; only those held out, where a share is given."""
    height, width, channels = pictures.image_shape
    if height != width:
        raise UserError(
            f"this model draws {height}x{width} and pairs are square: measure another."
        )
    if not 0 <= held_out < 1:
        raise UsageError(f"the share held out is from 0 to 1, got {held_out:g}.")
    size, kind = min(height, MEASURED_SIZE), pictures.kind
    # Both kinds of data have what the split needs.
    opened: Any
    if Path(data, "manifest.json").is_file():
        opened = open_training_pairs(
            data,
            target_size=size,
            source_size=kind.size,
            source_channels=kind.channels,
            source_labels=kind.classes,
            reconstruct=reconstruct,
        )
    elif not reconstruct or kind.classes:
        also = "" if kind.classes else ", or plain pictures with --reconstruct"
        raise UserError(
            f"{data} is no set of pairs (it has no manifest.json): give one that "
            f"`stylegan-jax pairs` or `stylegan-jax data pairs` made{also}."
        )
    else:
        own = open_dataset(data, resolution=size, channels=channels)
        opened = OwnSources(own, kind, np.arange(own.num_images))
    if not held_out:
        return opened
    if not 0 < round(len(opened) * held_out) < len(opened):
        raise UserError(
            f"a share of {held_out:g} of the {len(opened)} pairs of {data} is none or "
            "all of them: give another one."
        )
    # Split as training splits any data set: by the pairs' number alone.
    held: Any = hold_out([(opened, 1.0)], held_out)[1]
    return held[0][0]


class OwnSources:
    """Plain pictures, each of which is its own target."""

    def __init__(self, pictures: ImageDataset, kind: Kind, places: np.ndarray):
        """Wraps pictures of one shape.

        Args:
            pictures: the data set.
            kind: what the model sees of them.
            places: int [N], the number of each picture before it was split.
        """
        self._pictures, self._kind, self._places = pictures, kind, places
        self.name, self.fingerprint = pictures.name, pictures.fingerprint
        self.num_images = pictures.num_images

    def part(self, places: np.ndarray) -> OwnSources:
        """Some of the pictures, as a set of its own."""
        chosen = self._pictures.part(places)
        return OwnSources(chosen, self._kind, self._places[places])

    def __len__(self) -> int:
        """Number of pictures."""
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """``source`` uint8 [h, w, c] and ``target`` uint8 [H, W, C]."""
        target = self._pictures[index]["image"]
        return {"source": self._kind.fit(target), "target": target}

    def entry(self, index: int) -> dict[str, Any]:
        """The ``index`` of a picture before the set was split."""
        return {"index": int(self._places[index])}


def _floats(x: np.ndarray) -> jax.Array:
    """Pictures uint8 as float32 in [-1, 1]."""
    return jnp.asarray(x, jnp.float32) / 127.5 - 1
