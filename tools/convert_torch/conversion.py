"""The whole of ``convert``: open, convert every part, check, and only then write."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.load import find_model, find_parts
from stylegan_jax.checkpoints.model_file import is_safetensors
from stylegan_jax.convert_torch.converted import (
    Converted,
    convert_part,
    pick,
    read_ours,
)
from stylegan_jax.convert_torch.exporting import nvlabs, pix2pixhd, psp, rosinality
from stylegan_jax.convert_torch.opening import (
    Opened,
    is_checkpoint_folder,
    open_checkpoint,
)
from stylegan_jax.convert_torch.parity import report_of, report_of_export
from stylegan_jax.convert_torch.report import Report
from stylegan_jax.convert_torch.targets import TARGETS
from stylegan_jax.errors import UserError

# Endings of other programs' checkpoints, to name them where a folder is given.
FOREIGN = (".pt", ".pth", ".pkl", ".ckpt", ".bin")

EXPORTERS = {
    "rosinality": rosinality,
    "nvlabs": nvlabs,
    "psp": psp,
    "pix2pixhd": pix2pixhd,
}


@dataclasses.dataclass(frozen=True)
class Result:
    """What a conversion did.

    Attributes:
        written: the files.
        parts: the networks.
        notes: sentences for the screen.
        report: the parity report, where one was asked for.
    """

    written: list[Path]
    parts: list[Converted]
    notes: list[str]
    report: Report | None


def convert(
    src: str | Path,
    dst: str | Path,
    *,
    to: str = "jax",
    part: str | None = None,
    verify: bool = False,
    licence: str | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Result:
    """Converts a checkpoint; writes everything or nothing.

    Args:
        src: a checkpoint of another program (MobileStyleGAN's is a folder); or, for
            another target than ``jax``, a model file, a run's folder or a folder of
            parts.
        dst: for ``jax`` a ``.safetensors`` (the part that one would use) or a folder
            (a file for every part); for the others the file or folder that their
            programs load.
        to: one of `TARGETS`.
        part: the one part to convert; None for all (or the one that one would use).
        verify: whether to compare with PyTorch (where it is installed) and write
            ``<dst>.parity.json``.
        licence: the licence of the weights, where the user knows it better.
        progress: called with 1 for every tensor that is done.

    Returns:
        What was written.

    Raises:
        UserError: the source is unknown, unsafe, damaged or does not fit; nothing was
            written.
    """
    src, dst = Path(src), Path(dst)
    if to not in TARGETS:
        raise UserError(f"unknown target {to!r}: choose from {', '.join(TARGETS)}.")
    _check_destination(src, dst, to)
    opened, parts = _read(src, dst, to, part, licence, progress)
    notes = list(opened.source.notes) if opened else []
    notes += [f"{p.name}: {note}" for p in parts for note in p.notes]
    report = _verified(parts, opened, to, dst) if verify else None
    if report is not None and not report.passed:
        raise UserError(
            f"the conversion of {src} does not compute what its source does: "
            f"{report.worst()}. Nothing was written."
        )
    if to == "jax":
        _check_folder(dst, parts, part)
        written = place(partial(_write_jax, parts), dst)
    else:
        written = place(partial(EXPORTERS[to].export, parts), dst)
        notes += EXPORTERS[to].remarks(parts, dst)
    if report is not None:
        beside = dst.with_name(dst.name + ".parity.json")
        write_text(beside, report.to_json())
        written.append(beside)
    return Result(written, parts, notes, report)


def place(write: Callable[[Path], list[Path]], dst: Path) -> list[Path]:
    """Lets ``write`` write aside, and moves everything into place once all is there.

    Args:
        write: writes to the path that it is given (a file, a folder, or a file and what
            lies beside it) and returns the files.
        dst: where they belong.

    Returns:
        The files in their places.

    Raises:
        UserError: a place is not writable or the disk is full; nothing was moved.
    """
    parent = dst.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".convert-", dir=parent) as folder:
            made = write(Path(folder) / dst.name)
            written = []
            for path in made:
                target = dst.parent / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                written.append(target)
    except OSError as error:
        raise UserError(
            f"cannot write {dst}: {error.strerror or error}; choose another place or "
            "make room."
        ) from error
    return written


def _check_destination(src: Path, dst: Path, to: str) -> None:
    """Refuses to write over the source, or one format under the other's name."""
    if src.exists() and dst.exists() and src.samefile(dst):
        raise UserError(
            f"{dst} is the source itself: give another name, so that nothing is lost."
        )
    if to != "jax" and dst.suffix == ".safetensors":
        raise UserError(
            f"{dst} is the name of a model file, and --to {to} writes another format: "
            "give a name that ends in .pt."
        )
    if dst.suffix == ".safetensors" and dst.is_dir():
        raise UserError(f"{dst} is a folder: give another name for the file.")
    if to == "jax" and dst.suffix != ".safetensors" and dst.is_file():
        raise UserError(
            f"{dst} is a file: give a folder, or a name that ends in .safetensors."
        )


def _check_folder(dst: Path, parts: Sequence[Converted], part: str | None) -> None:
    """Refuses to mix networks of two sources in a folder, except part by part."""
    if dst.suffix == ".safetensors" or part is not None or not dst.is_dir():
        return
    ours = {f"{p.name}.safetensors" for p in parts}
    others = sorted(p.name for p in dst.glob("*.safetensors") if p.name not in ours)
    if others:
        raise UserError(
            f"the folder {dst} holds networks of something else "
            f"({', '.join(others)}): give an empty one, or --part to add to it."
        )


def _verified(
    parts: Sequence[Converted], opened: Opened | None, to: str, dst: Path
) -> Report:
    """Checks the conversion, and where another program's file is made, that file."""
    came = report_of(parts, opened) if opened else Report({}, ())
    if to == "jax":
        return came
    with tempfile.TemporaryDirectory() as folder:
        again = []
        for path in EXPORTERS[to].export(parts, Path(folder) / dst.name):
            if path.suffix != ".json":
                written = open_checkpoint(path)
                found = [p for p in written.source.parts if not p.only_by_name]
                again += [convert_part(part, written) for part in found]
        went = report_of_export(parts, again)
    return Report(came.source, (*came.parts, *went.parts))


def _read(
    src: Path,
    dst: Path,
    to: str,
    part: str | None,
    licence: str | None,
    progress: Callable[[int], Any] | None,
) -> tuple[Opened | None, list[Converted]]:
    if is_safetensors(src) or (src.is_dir() and not is_checkpoint_folder(src)):
        if src.is_dir() and not _holds_ours(src):
            found = sorted(p.name for p in src.iterdir() if p.suffix in FOREIGN)
            raise UserError(
                f"{src} is a folder without model files of this program: give one "
                f"checkpoint file at a time ({', '.join(found[:8]) or 'none here'})."
            )
        if to == "jax":
            raise UserError(
                f"{src} is this program's own already: name the other program with "
                f"--to ({', '.join(EXPORTERS)})."
            )
        parts = _ours(src, part)
        if licence:
            parts = [dataclasses.replace(p, licence=licence) for p in parts]
        return None, parts
    opened = open_checkpoint(src)
    found = opened.source.parts
    single = to == "jax" and dst.suffix == ".safetensors"
    chosen: Sequence[Any] = found
    if part is not None or single:
        chosen = [pick(found, part, where=src)]
    elif to == "jax":
        chosen = [p for p in found if not p.only_by_name]
    return opened, [
        convert_part(p, opened, licence=licence, progress=progress) for p in chosen
    ]


def _ours(src: Path, part: str | None) -> list[Converted]:
    """The networks of a model file, a run's folder or a folder of parts."""
    if src.is_dir():
        if part is not None:
            return [read_ours(find_model(src, part=part), part)]
        if parts := find_parts(src):
            return [read_ours(file, name) for name, file in parts.items()]
    model = read_ours(find_model(src), part or "net")
    if part is None:
        model = dataclasses.replace(model, name=usual_name(model.family))
    return [model]


def usual_name(family: str) -> str:
    """The part's name that a lone file of this family is taken for."""
    return {
        "stylegan2.generator": "g_ema",
        "stylegan1.generator": "g_ema",
        "mobilestylegan": "g_ema",
        "stylegan2.discriminator": "d",
        "stylegan1.discriminator": "d",
        "pix2pixhd.global": "g",
        "pix2pixhd.local": "g",
        "pix2pixhd.discriminator": "d",
        "pix2pixhd.encoder": "e",
        "psp": "psp",
        "psp.encoder": "encoder",
    }.get(family, "net")


def _holds_ours(folder: Path) -> bool:
    """Whether a folder is a run, or holds model files."""
    return any(folder.glob("*.safetensors")) or (folder / "models").is_dir()


def _write_jax(parts: Sequence[Converted], dst: Path) -> list[Path]:
    if dst.suffix == ".safetensors":
        parts[0].save(dst)
        return [dst]
    written = []
    for part in parts:
        path = dst / f"{part.name}.safetensors"
        part.save(path)
        written.append(path)
    return written
