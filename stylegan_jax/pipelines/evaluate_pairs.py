"""Figures of a pSp or a student on pairs: how near outputs are to their targets."""

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
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.attribute_reader import AttributeReader
from stylegan_jax.metrics.paired import MEASURED_SIZE, compare, retention, summary
from stylegan_jax.pipelines.attribute_readers import open_reader
from stylegan_jax.pipelines.evaluate_pair_models import (
    MODELS,
    PairModel,
    PSPOnPairs,
    StudentOnPairs,
    open_pairs,
)
from stylegan_jax.pipelines.stylize_psp import MAX_FACTOR, degraded

__all__ = ["METRICS", "MODELS", "NETWORKS", "evaluate_pairs", "write_lines"]

METRICS = ("l1", "l2", "lpips", "identity")
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
    model: Any,
    data: str | Path,
    *,
    metrics: Sequence[str] | None = None,
    networks: Mapping[str, str] | None = None,
    num: int | None = None,
    held_out: float = 0.0,
    reconstruct: bool = False,
    factor: int | None = None,
    size: int | None = None,
    classes: int | None = None,
    attributes: str | None = None,
    per_pair: str | Path | None = None,
    batch: int | None = None,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Measures a pSp or a pix2pixHD student on a set of pairs.

    Side A goes through the model and the 8-bit picture that comes out is compared with
    side B, or those sides that the model's file tells it was trained on. Both are
    averaged down to 256 pixels where they are larger. ``l1`` and ``l2`` are of pictures
    from -1 to 1.

    Args:
        model: the network, of `MODELS`.
        data: a set of pairs, see docs/pairs.md; its kept pairs count. With
            ``reconstruct`` also plain pictures.
        metrics: names, of `METRICS`; None for ``l2`` of a pSp, ``l1`` and ``l2`` of a
            student.
        networks: by metric, which of `NETWORKS`.
        num: the first so many pairs; None means all.
        held_out: only the pairs that training with this share of
            ``data.held_out`` never sees; 0 takes all.
        reconstruct: sources may be the targets; plain pictures are their own.
        factor: shrink sources by it and enlarge them again first; None leaves them.
        size: side that a student works at; None for the one it was trained at.
        classes: of the label maps of a student whose file does not tell.
        attributes: a reader of attributes, see `open_reader`, that looks at what goes
            in, what comes out and what should come out; None for none.
        per_pair: a .csv or .jsonl that gets the figures of every pair.
        batch: about how many pairs are computed at a time; changes no figure.
        progress: called with the number of pairs done since the last call.

    Returns:
        JSON values. ``metrics``: the mean of each figure and its standard deviation
        ``…_std``, and what a baseline reaches: of a pSp the picture of the mean latent
        (``l2_mean_latent``), of a student the source as it is (``l1_identity``, and
        ``identity_source`` of the metric identity); ``…_ratio`` says how many times
        less the model's figure is. ``attributes``, where asked for: by name what
        `retention` says. And on what they were measured: ``data``,
        ``data_fingerprint``, ``num``, ``held_out``, ``size``, ``networks``,
        ``reconstruct``, ``factor``, ``baseline``, ``pictures``, and of a pSp
        ``iterations``, ``dtype``, ``noise_mode``.

    Raises:
        UserError: an unknown metric, weights that are missing, options of another
            model, or pairs that do not fit the model.
    """
    _check(metrics, networks or {}, per_pair, factor)
    opened = _open_model(model, size, classes)
    wanted = opened.default_metrics if metrics is None else metrics
    measure = _Measure(wanted, networks or {}, opened)
    if factor is not None and opened.kind.classes:
        raise UsageError("a factor shrinks pictures, and this model takes class maps.")
    reader = None if attributes is None else open_reader(attributes)
    dataset = open_pairs(data, opened, held_out, reconstruct)
    total = len(dataset) if num is None else min(num, len(dataset))
    lines: list[dict[str, float]] = []
    for start in range(0, total, batch or CHUNK):
        items = [dataset[i] for i in range(start, min(start + (batch or CHUNK), total))]
        lines += _lines(opened, items, measure, factor, reader)
        if progress is not None:
            progress(len(items))
    if per_pair is not None:
        about = [dataset.entry(i) for i in range(total)]
        names = [{"pair": e["index"], "name": e.get("name", "")} for e in about]
        write_lines(per_pair, [{**n, **x} for n, x in zip(names, lines, strict=True)])
    columns = {name: [line[name] for line in lines] for name in lines[0]}
    found: dict[str, Any] = {
        "metrics": _figures(columns, measure.names, opened.baseline)
    }
    if reader is not None:
        found["attributes"] = _attributes(reader, columns)
        found["reader"] = dict(reader.document)
    return found | {
        "data": str(data),
        "data_fingerprint": dataset.fingerprint,
        "num": total,
        "held_out": held_out,
        "size": [min(MEASURED_SIZE, side) for side in opened.image_shape[:2]],
        "networks": measure.document,
        "reconstruct": reconstruct,
        "factor": factor,
        "baseline": opened.baseline,
        **opened.document,
        "pictures": "8 bits",
    }


def _lines(
    model: PairModel,
    items: Sequence[Mapping[str, np.ndarray]],
    measure: _Measure,
    factor: int | None,
    reader: AttributeReader | None,
) -> list[dict[str, float]]:
    """The figures and readings of each of some pairs."""
    sources = np.stack([item["source"] for item in items])
    targets = np.stack([item["target"] for item in items])
    if factor is not None:
        sources = degraded(sources, factor)
    drawn = model.draw(sources, items)
    figures = measure(drawn, targets, model.base(sources))
    if reader is None:
        return figures
    seen = None if model.kind.classes else sources
    readings = _readings(reader, drawn, targets, seen)
    return [f | r for f, r in zip(figures, readings, strict=True)]


def _open_model(model: Any, size: int | None, classes: int | None) -> PairModel:
    if isinstance(model, PSPNetwork):
        if size is not None or classes is not None:
            raise UsageError(
                "size and classes are for a pix2pixHD model, and this is a pSp: leave "
                "them out."
            )
        return PSPOnPairs(model)
    return StudentOnPairs(model, size=size, classes=classes)


def _figures(
    columns: Mapping[str, Sequence[float]], names: Sequence[str], baseline: str
) -> dict[str, float]:
    """Means and deviations, and how many times less than the baseline's they are."""
    figures = summary({name: columns[name] for name in names})
    for name in METRICS[:3]:
        base = figures.get(f"{name}_{baseline}")
        if base is not None:
            figures[f"{name}_ratio"] = base / max(figures[name], 1e-12)
    return figures


def _readings(
    reader: AttributeReader,
    drawn: np.ndarray,
    targets: np.ndarray,
    sources: np.ndarray | None,
) -> list[dict[str, float]]:
    """What is read from each pair: ``<attribute>_output`` and so on."""
    sides = {"output": drawn, "target": targets}
    if sources is not None:
        sides["source"] = sources[..., :3]  # of two pictures the first
    found = {side: reader.read(pictures) for side, pictures in sides.items()}
    return [
        {
            f"{name}_{side}": float(values[name][i])
            for name in reader.names
            for side, values in found.items()
        }
        for i in range(len(drawn))
    ]


def _attributes(
    reader: AttributeReader, columns: Mapping[str, Sequence[float]]
) -> dict[str, dict[str, float | None]]:
    """What became of each attribute over all pairs."""
    return {
        name: retention(
            np.asarray(columns[f"{name}_output"]),
            np.asarray(columns[f"{name}_target"]),
            np.asarray(columns[f"{name}_source"])
            if f"{name}_source" in columns
            else None,
            binary=reader.kinds[name] == "binary",
        )
        for name in reader.names
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
        names: of the figures of a pair, once there was one.
    """

    def __init__(
        self, metrics: Sequence[str], networks: Mapping[str, str], model: PairModel
    ):
        self._metrics = [name for name in METRICS if name in metrics]
        self._model = model
        self.document: dict[str, Any] = {}
        self.names: list[str] = []
        opened: dict[str, Any] = {}
        wanted = [name for name in NETWORKS if name in metrics]
        channels = model.image_shape[2]
        if wanted and channels != 3:
            raise UserError(
                f"{' and '.join(wanted)} need pictures in RGB and this model draws "
                f"{channels} channels: leave them out."
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
        self, drawn: np.ndarray, targets: np.ndarray, base: np.ndarray | None
    ) -> list[dict[str, float]]:
        """Figures of pairs [N, H, W, C] uint8, with those of the baseline's pictures.

        Args:
            drawn: what the model drew.
            targets: what it should have drawn.
            base: the baseline's pictures; None where there is none.

        Returns:
            The figures of each pair by name.
        """
        sides = [pad(x, TILE) for x in (drawn, targets)]
        bases = None if base is None else pad(base, TILE)
        lines: list[dict[str, float]] = []
        for start in range(0, len(sides[0]), TILE):
            part = slice(start, start + TILE)
            x, y = (_floats(side[part]) for side in sides)
            found = compare(x, y, lpips=self._lpips, embed=self._embed)
            wanted = {name: found[name] for name in self._metrics}
            if bases is not None:
                wanted |= self._compared(_floats(bases[part]), y)
            columns = {name: np.asarray(value) for name, value in wanted.items()}
            self.names = list(columns)
            lines += [
                {name: float(value[i]) for name, value in columns.items()}
                for i in range(TILE)
            ]
        return lines[: len(drawn)]

    def _compared(self, base: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        """The baseline's figures."""
        names = [name for name in self._metrics if name in self._model.compared]
        if not names:
            return {}
        lpips = self._lpips if "lpips" in names else None
        embed = self._embed if "identity" in names else None
        found = compare(base, y, lpips=lpips, embed=embed)
        baseline = self._model.baseline
        keys = {name: f"{name}_{baseline}" for name in METRICS}
        keys["identity"] = "identity_source"  # of the metric, of what was shown
        return {keys[name]: found[name] for name in names}


def _check(
    metrics: Sequence[str] | None,
    networks: Mapping[str, str],
    per_pair: str | Path | None,
    factor: int | None,
) -> None:
    """Raises `UsageError` for what there is not, before anything is read."""
    given = METRICS[:1] if metrics is None else metrics
    unknown = [name for name in given if name not in METRICS]
    if unknown or not given:
        raise UsageError(
            f"unknown metrics '{', '.join(unknown)}' on pairs: choose from "
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


def _floats(x: np.ndarray) -> jax.Array:
    """Pictures uint8 as float32 in [-1, 1]."""
    return jnp.asarray(x, jnp.float32) / 127.5 - 1
