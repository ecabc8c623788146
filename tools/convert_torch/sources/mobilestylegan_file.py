"""MobileStyleGAN's OpenVINO files: two graphs, each with its file of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from stylegan_jax.convert_torch.readers.openvino import read_openvino
from stylegan_jax.convert_torch.rules import mobilestylegan
from stylegan_jax.convert_torch.sources.part import Source, SourcePart

CONTAINER = "openvino"
LICENCE = "not stated in the files: derived from NVIDIA's weights, non-commercial use"

# What the files are called, by the labels that the table of weights gives them.
FILES: Mapping[str, str] = {
    "mapping_xml": "MappingNetwork.xml",
    "mapping_bin": "MappingNetwork.bin",
    "synthesis_xml": "SynthesisNetwork.xml",
    "synthesis_bin": "SynthesisNetwork.bin",
}


def files_of(folder: Path) -> dict[str, Path] | None:
    """The four files of a folder by their labels; None where any is missing."""
    files = {label: folder / name for label, name in FILES.items()}
    return files if all(file.is_file() for file in files.values()) else None


def sha256_of_files(files: Mapping[str, Path]) -> str:
    """The SHA-256 of the four files, one behind the other in the order of `FILES`."""
    digest = hashlib.sha256()
    for label in FILES:
        digest.update(files[label].read_bytes())
    return digest.hexdigest()


def read(files: Mapping[str, Path], where: object) -> Source:
    """The generator of the files.

    Args:
        files: by the labels of `FILES`.
        where: what to name in errors, e.g. their folder.

    Raises:
        UserError: a file cannot be read safely, or is another network's.
    """
    mapping, synthesis = (
        read_openvino(files[f"{name}_xml"], files[f"{name}_bin"])
        for name in ("mapping", "synthesis")
    )
    state = mobilestylegan.state_of(mapping, synthesis, where)
    part = SourcePart("g_ema", mobilestylegan.LAYOUTS[0], state, {"where": where})
    return Source("MobileStyleGAN, by OpenVINO", (part,), LICENCE)
