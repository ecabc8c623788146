"""``inspect``: what a file is, without executing anything that it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stylegan_jax.checkpoints.load import find_model
from stylegan_jax.checkpoints.model_file import (
    is_safetensors,
    read_metadata,
    read_shapes,
    sha256_of,
)
from stylegan_jax.convert_torch.opening import (
    Opened,
    about,
    is_checkpoint_folder,
    open_checkpoint,
)
from stylegan_jax.convert_torch.sources.part import SourcePart
from stylegan_jax.errors import printable

# Ancestors that are shown; a file can claim any number.
MAX_CHAIN = 16


def describe(path: str | Path) -> dict[str, Any]:
    """What is known of a model file or of a checkpoint of another program.

    Args:
        path: the file; or a run's folder, whose model it is that one would use.

    Returns:
        JSON values: ``file``, ``bytes``, ``sha256``, ``container``, ``program``,
        ``licence``, ``notes``, and for every network in ``parts`` its ``name``,
        ``family``, ``config``, ``parameters``, ``image`` and ``provenance``.

    Raises:
        UserError: there is no such file, or this program does not know it.
    """
    path = Path(path)
    if path.is_dir() and not is_checkpoint_folder(path):
        path = find_model(path)
    if is_safetensors(path):
        return _ours(path)
    opened = open_checkpoint(path)
    parts = [_part(part, opened) for part in opened.source.parts]
    known = about(opened.source.document, opened.source.parts[0].name)
    return {
        **_file(path, opened.sha256),
        "container": opened.container,
        "program": opened.source.program,
        "licence": known.get("licence", opened.source.licence),
        "notes": list(opened.source.notes),
        "parts": parts,
    }


def _ours(path: Path) -> dict[str, Any]:
    document = read_metadata(path)
    shapes = read_shapes(path)
    trained = [s for name, s in shapes.items() if name.startswith("params/")]
    return {
        **_file(path, sha256_of(path)),
        "container": "model file (safetensors)",
        "program": "stylegan_jax",
        "licence": document.get("licence", "not stated"),
        "notes": [],
        "parts": [
            {
                "name": path.stem,
                "family": document["family"],
                "config": document["config"],
                "parameters": _size(trained),
                "image": image_of(document["config"]),
                "provenance": document.get("provenance", {}),
            }
        ],
    }


def _file(path: Path, sha256: str) -> dict[str, Any]:
    files = path.iterdir() if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    return {"file": path.name, "bytes": size, "sha256": sha256}


def _part(part: SourcePart, opened: Opened) -> dict[str, Any]:
    config = part.layout.config(part.state, part.hints)
    entries = part.layout.expand(config).entries
    trained = [
        part.state[e.source].shape
        for e in entries
        if e.target.startswith("params/") and e.source in part.state
    ]
    known = about(opened.source.document, part.name)
    return {
        "name": part.name,
        "family": part.layout.family,
        "config": config,
        "parameters": _size(trained),
        "image": image_of(config),
        "provenance": known.get("provenance", {}),
    }


def _size(shapes: list[Any]) -> int:
    return int(sum(np.prod(shape, dtype=np.int64) for shape in shapes))


def image_of(config: Mapping[str, Any]) -> str | None:
    """The size of a network's pictures, e.g. ``256x256x3``; None where any fits."""
    if isinstance(config.get("generator"), Mapping):
        return image_of(config["generator"])
    if "num_blocks" not in config or "img_channels" not in config:
        return None
    height, width = config.get("base_grid", (4, 4))
    scale = 1 << (config["num_blocks"] - 1)
    return f"{height * scale}x{width * scale}x{config['img_channels']}"


def table(found: Mapping[str, Any]) -> str:
    """What `describe` found, for a screen."""
    lines = [
        f"file       {found['file']}  ({found['bytes'] / 1e6:.1f} MB)",
        f"sha256     {found['sha256']}",
        f"container  {found['container']}",
        f"program    {found['program']}",
        f"licence    {found['licence']}",
    ]
    lines += [f"note       {note}" for note in found["notes"]]
    for part in found["parts"]:
        image = f", {part['image']}" if part["image"] else ""
        lines.append("")
        lines.append(
            f"{part['name']}  {part['family']}, {part['parameters']:,} parameters"
            + image
        )
        lines += [f"  {name:<24}{value}" for name, value in part["config"].items()]
        lines += [f"  {line}" for line in chain(part["provenance"])]
    return "\n".join(printable(line) for line in lines)


def chain(provenance: Any, depth: int = 0) -> list[str]:
    """The provenance as lines, what it came from indented below what came of it."""
    if not isinstance(provenance, Mapping) or not provenance or depth > MAX_CHAIN:
        return []
    ancestors, lines = [], []
    for name, value in provenance.items():
        if name.startswith("parent"):
            ancestors += value if isinstance(value, list) else [value]
        else:
            lines += _entry(name, value)
    lines = [f"{'  ' * depth}{line}" for line in ["comes from", *_deeper(lines)]]
    for ancestor in ancestors:
        if isinstance(ancestor, Mapping):
            lines += chain(_told(ancestor), depth + 1)
    return lines


def _told(ancestor: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an ancestor was, in front of where it came from."""
    if not isinstance(ancestor.get("provenance"), Mapping):
        return ancestor
    own = ("file", "sha256", "licence")
    shown = {name: ancestor[name] for name in own if name in ancestor}
    return {**shown, **ancestor["provenance"]}


def _entry(name: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        inner = [line for key, item in value.items() for line in _entry(key, item)]
        return [name, *_deeper(inner)]
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [name, *_deeper([line for v in value for line in _entry("-", v)])]
    return [f"{name:<12} {value}"]


def _deeper(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
