"""Models as files that other programs run: StableHLO and ONNX, weights inside.

Every export is run on random inputs and compared with the model before it takes its
place; beside it lies ``OUT.json``, which says what goes in and what comes out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from stylegan_jax import __version__
from stylegan_jax.checkpoints.atomic import replacing, write_text
from stylegan_jax.checkpoints.load import find_model, model_from
from stylegan_jax.checkpoints.model_file import read_model, sha256_of
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.export_models import (
    LATENTS,
    Arrays,
    Exportable,
    Input,
    Options,
    exportable,
)
from stylegan_jax.pipelines.export_onnx import run_onnx, to_onnx

__all__ = ["FORMATS", "Exported", "Options", "export"]

FORMATS = ("stablehlo", "onnx")
# StableHLO is lowered for all of these, whatever this machine has.
PLATFORMS = ("cpu", "cuda", "tpu")
# How far results may lie from the model's: of numbers in units, of bytes in steps.
TOLERANCE, BYTE_TOLERANCE = 1e-3, 1
# The numbers of pictures that a file for any batch is tried with.
TRIED_BATCHES = (1, 3)
TRIALS = 2
MAX_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Exported:
    """What `export` wrote.

    Attributes:
        path: the file.
        document: the file beside it.
        format: of `FORMATS`.
        bytes: of the file.
        difference: the largest difference from the model that was seen, of numbers
            relative to the largest of the model's (of readings: of each column) where
            that is above 1.
        inputs: of each input its ``name``, ``shape`` (the batch is a number or
            ``"batch"``), ``dtype`` and ``meaning``.
        outputs: name → what it is.
    """

    path: str
    document: str
    format: str
    bytes: int
    difference: float
    inputs: list[dict[str, Any]]
    outputs: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Returns plain dicts and lists for `json.dumps`."""
        return dataclasses.asdict(self)


def export(
    model: str | Path,
    out: str | Path,
    format: str,
    options: Options | None = None,
    *,
    seed: int = 0,
) -> Exported:
    """Exports a model and checks the result by running both.

    Args:
        model: a model file or a run's folder: a generator, a pSp, a pix2pixHD student
            or a model of attributes.
        out: the file; ``OUT.json`` is written too.
        format: ``stablehlo`` (what `jax.export` serialises; it runs on CPU, CUDA and
            TPU), or ``onnx``.
        options: see there; None for the usual.
        seed: of the inputs that both are tried with.

    Returns:
        What was written.

    Raises:
        UserError: a model that is not exported, options that do not fit it, a result
            that differs from the model's, or a package that is missing.
    """
    options = options or Options()
    _check(format, options)
    file = find_model(model)
    opened = read_model(file)
    wanted = exportable(model_from(opened, where=file), options)
    document = {
        "format": format,
        "made_by": f"stylegan_jax {__version__}",
        "model": {
            "file": file.name,
            "sha256": sha256_of(file),
            "family": opened.family,
            "provenance": opened.metadata.get("provenance", {}),
        },
        "licence": opened.metadata.get("licence", ""),
        "inputs": [_about(x, options.batch) for x in wanted.inputs],
        "outputs": dict(wanted.outputs),
        **wanted.document,
    }
    write = _to_stablehlo if format == "stablehlo" else _to_onnx
    data, run = write(wanted, options.batch, document)
    difference = _compare(wanted, run, options.batch, seed)
    with replacing(out) as aside:
        aside.write_bytes(data)
    beside = f"{out}.json"
    document["difference"] = difference
    write_text(beside, json.dumps(document, indent=1) + "\n")
    return Exported(
        path=str(out),
        document=beside,
        format=format,
        bytes=len(data),
        difference=difference,
        inputs=document["inputs"],
        outputs=document["outputs"],
    )


Runner = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


def _check(format: str, options: Options) -> None:
    if format not in FORMATS:
        raise UsageError(
            f"unknown format '{format}': choose from {', '.join(FORMATS)}."
        )
    if options.batch is not None and not 1 <= options.batch <= MAX_BATCH:
        raise UsageError(
            f"a batch is from 1 to {MAX_BATCH} pictures, or dynamic, got "
            f"{options.batch}."
        )
    if options.latents is not None and options.latents not in LATENTS:
        raise UsageError(
            f"unknown input '{options.latents}': choose from {', '.join(LATENTS)}."
        )


def _about(x: Input, batch: int | None) -> dict[str, Any]:
    front = [] if x.single else ["batch" if batch is None else batch]
    return {
        "name": x.name,
        "shape": [*front, *x.shape],
        "dtype": x.dtype,
        "meaning": x.meaning,
    }


def _traceable(
    wanted: Exportable, batch: int | None
) -> tuple[Callable[..., Arrays], list[jax.ShapeDtypeStruct]]:
    """The function and the shapes of its inputs, the batch perhaps a symbol."""
    inputs = wanted.inputs

    def precise(*arrays: jax.Array) -> Arrays:
        # An accelerator would round the dense layers' factors.
        with jax.default_matmul_precision("highest"):
            return wanted.function(*arrays)

    def one(*arrays: jax.Array) -> Arrays:
        placed = [
            a if x.single else a[None] for a, x in zip(arrays, inputs, strict=True)
        ]
        return tuple(y[0] for y in precise(*placed))

    if batch is None:
        # The networks are written for a known number of pictures: here it is 1.
        (front,) = jax.export.symbolic_shape("batch")
        axes = tuple(None if x.single else 0 for x in inputs)
        function: Callable[..., Arrays] = jax.vmap(one, in_axes=axes)
    else:
        front, function = batch, precise
    shapes = [
        jax.ShapeDtypeStruct(x.shape if x.single else (front, *x.shape), x.dtype)
        for x in inputs
    ]
    return function, shapes


def _to_stablehlo(
    wanted: Exportable, batch: int | None, document: dict[str, Any]
) -> tuple[bytes, Runner]:
    function, shapes = _traceable(wanted, batch)
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)
    data = bytes(exported.serialize())
    again = jax.export.deserialize(bytearray(data))
    call = jax.jit(again.call)
    document["platforms"] = list(PLATFORMS)
    return data, lambda arrays: [np.asarray(y) for y in call(*arrays)]


def _to_onnx(
    wanted: Exportable, batch: int | None, document: dict[str, Any]
) -> tuple[bytes, Runner]:
    function, shapes = _traceable(wanted, batch)
    names = [x.name for x in wanted.inputs]
    inputs = dict(zip(names, shapes, strict=True))
    metadata = {"stylegan_jax": json.dumps(document)}
    data = to_onnx(function, inputs, list(wanted.outputs), metadata)
    run = run_onnx(data)
    return data, lambda arrays: run(dict(zip(names, arrays, strict=True)))


def _compare(wanted: Exportable, run: Runner, batch: int | None, seed: int) -> float:
    """The largest difference of any trial; raises `UserError` where it is too large."""
    rng, worst = np.random.default_rng(seed), 0.0
    batches = TRIED_BATCHES if batch is None else (batch,) * TRIALS
    for number in batches:
        arrays = [
            np.asarray(x.draw(rng, x.shape if x.single else (number, *x.shape)))
            for x in wanted.inputs
        ]
        results = zip(run(arrays), wanted.reference(*arrays), strict=True)
        for name, (ours, theirs) in zip(wanted.outputs, results, strict=True):
            found, most = _difference(ours, theirs)
            if not found <= most:
                raise UserError(
                    f"the exported model's {name} differs by {found:.3g} from the "
                    f"model's, and {most:g} is the most: the file was not written."
                )
            worst = max(worst, found)
    return worst


def _difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """How far two results are apart, and how far they may be."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return float("inf"), TOLERANCE
    apart = np.abs(ours.astype(np.float64) - theirs)
    if theirs.dtype == np.uint8:
        return float(apart.max()), BYTE_TOLERANCE
    # A generator that was not trained draws large numbers. Columns of readings are
    # in units of their own: an age is not to hide a probability.
    axes = 0 if theirs.ndim == 2 else None
    largest = np.maximum(1.0, np.abs(theirs).max(axis=axes))
    return float((apart / largest).max()), TOLERANCE
