"""Proof that a conversion computes what its source does.

Always the round trip: our tensors are laid out as the file had them and compared bit
by bit. With PyTorch installed also the outputs: a small PyTorch twin runs on the file's
own tensors, the Linen network on the converted ones, both on the same inputs.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.checkpoints.model_file import flatten
from stylegan_jax.convert_torch.converted import Converted
from stylegan_jax.convert_torch.opening import Opened
from stylegan_jax.convert_torch.report import PartReport, Report
from stylegan_jax.convert_torch.rules.layout import as_array
from stylegan_jax.convert_torch.twins import TWINS

BACK = "written and read back; "
ROUND_TRIP = "round trip of every tensor, bit for bit"


def report_of(parts: Sequence[Converted], opened: Opened) -> Report:
    """Checks networks against the file that they were converted from."""
    source = {
        "file": opened.path.name,
        "sha256": opened.sha256,
        "container": opened.container,
        "program": opened.source.program,
    }
    return Report(source, tuple(_part_report(part) for part in parts))


def report_of_export(parts: Sequence[Converted], again: Sequence[Converted]) -> Report:
    """Checks networks against what their exported files hold.

    Args:
        parts: the networks.
        again: the same, converted back from the files.

    Returns:
        The report: our tensors bit by bit, and the outputs of the files' own tensors.
    """
    by_name = {part.name: part for part in again}
    checked = []
    for part in parts:
        if part.name in by_name:
            back = by_name[part.name]
            report = _part_report(back, differences(part, back))
            drawn = {**report.outputs, **same_function(part, back)}
            report = dataclasses.replace(report, outputs=drawn)
            checked.append(dataclasses.replace(report, how=f"{BACK}{report.how}"))
    return Report({}, tuple(checked))


def differences(part: Converted, back: Converted) -> dict[str, float]:
    """The largest difference of two versions of a network by group of tensors."""
    ours, theirs = flatten(part.variables), flatten(back.variables)
    made = back.provenance.get("estimated", {}).get("w_avg", {}).get("tensors", [])
    groups: dict[str, float] = {}
    multiplier = "mapping_lr_multiplier"
    scaled = part.config.get(multiplier) != back.config.get(multiplier)
    for path in sorted(set(ours) | set(theirs)):
        if path in made:
            continue  # the format has no room for it; the notes say so
        if scaled and path.startswith("params/mapping/"):
            continue  # the same function at another scale: outputs are compared
        there = path in ours and path in theirs
        error = _difference(ours[path], theirs[path]) if there else float("inf")
        groups[_group(path)] = max(groups.get(_group(path), 0.0), error)
    return groups


def same_function(part: Converted, back: Converted) -> dict[str, float]:
    """How far a file's network computes from the one that it was written from.

    Formats do not hold every number of a config, so equal tensors do not prove it.
    """
    if not part.family.startswith("stylegan2."):
        same = all(part.config.get(k) == v for k, v in back.config.items())
        return {} if same else {"config": float("inf")}
    kind = FAMILIES[part.family]
    ours: Any = kind.with_variables(part.config, part.variables)
    theirs: Any = kind.with_variables(back.config, back.variables)
    rng = np.random.RandomState(0)
    width = max(part.config["c_dim"], 1)
    c = np.eye(width, dtype=np.float32)[[0]] if part.config["c_dim"] else None
    if part.family.endswith("discriminator"):
        x = rng.rand(1, *ours.image_shape).astype(np.float32) * 2 - 1
        return {"logits as before": relative_error(theirs(x, c), ours(x, c))}
    z = rng.randn(1, part.config["z_dim"]).astype(np.float32)
    w, again = ours.mapping(z, c), theirs.mapping(z, c)
    mode = "const" if part.config["use_noise"] else "none"
    drawn = theirs.synthesis(again, noise_mode=mode)
    return {
        "w as before": relative_error(again, w),
        "image as before": relative_error(drawn, ours.synthesis(w, noise_mode=mode)),
    }


def _part_report(part: Converted, groups: dict[str, float] | None = None) -> PartReport:
    groups = round_trip(part) if groups is None else groups
    outputs: dict[str, float] = {}
    how = ROUND_TRIP
    notes = list(part.notes)
    twin = TWINS.get(part.family)
    if twin is None:
        notes.append(f"there is no PyTorch twin of {part.family}: outputs not compared")
    elif importlib.util.find_spec("torch") is None:
        notes.append(
            "PyTorch is not installed, so outputs were not compared: pip install "
            "'stylegan_jax[torch]' adds that"
        )
    else:
        how += "; outputs against a PyTorch twin on the file's own tensors"
        outputs = compare_outputs(part)
    return PartReport(
        part.name, part.family, part.parameters, groups, outputs, how, tuple(notes)
    )


def round_trip(part: Converted) -> dict[str, float]:
    """The largest difference to the file's tensors, by group; 0 is bit for bit.

    A group is what stands before the last but one slash, e.g. ``synthesis/b8``.
    Style biases, which lack a one in TensorFlow's files, are turned forward again.
    """
    if part.source is None or part.expansion is None:
        return {}
    flat = flatten(part.variables)
    groups: dict[str, float] = {}
    for entry in part.expansion.entries:
        if entry.source not in part.source.state:
            continue  # made up; the notes say so
        ours = np.asarray(flat[entry.target])
        theirs = as_array(part.source.state[entry.source])
        if "+1" in entry.axes.text:
            back, want = ours, entry.axes.forward(theirs)
        else:
            back, want = entry.axes.backward(ours), theirs
        name = _group(entry.target)
        groups[name] = max(groups.get(name, 0.0), _difference(back, want))
    return groups


def compare_outputs(part: Converted) -> dict[str, float]:
    """Relative errors of our network's outputs against the PyTorch twin's."""
    assert part.source is not None and part.expansion is not None
    flat = flatten(part.variables)
    # The twin sees the file's own values, named by what they became here.
    tensors = {}
    for entry in part.expansion.entries:
        stored = part.source.state.get(entry.source)
        if stored is None:  # made up by the conversion
            stored = entry.axes.backward(np.asarray(flat[entry.target]))
        tensors[entry.target] = entry.axes.in_torch_order(as_array(stored))
    network = FAMILIES[part.family].with_variables(part.config, part.variables)
    compared = TWINS[part.family](network, tensors, part.source.layout.name)
    return {name: relative_error(*pair) for name, pair in compared.items()}


def relative_error(ours: Any, theirs: Any) -> float:
    """‖a−b‖ / ‖b‖ in float64."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    norm = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / norm if norm else float(np.linalg.norm(a))


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return float("inf")
    if ours.tobytes() == theirs.tobytes():
        return 0.0
    return float(np.max(np.abs(ours.astype(np.float64) - theirs.astype(np.float64))))


def _group(path: str) -> str:
    """``params/synthesis/b8/conv0/weight`` → ``synthesis/b8``."""
    _, *names = path.split("/")
    return "/".join(names[:2]) if len(names) > 2 else names[0]
