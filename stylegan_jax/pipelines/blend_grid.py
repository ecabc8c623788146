"""A contact sheet of blends: resolution by alpha by snapshot, the same seeds in all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from stylegan_jax.checkpoints.contact_sheet import Row, Section, draw_sheet
from stylegan_jax.checkpoints.load import model_from, snapshots
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.checkpoints.structure import fit_variables
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UsageError
from stylegan_jax.latents import blend as trees
from stylegan_jax.latents.generator_layers import generator_layers, resolutions_of
from stylegan_jax.pipelines.blend import Recipe
from stylegan_jax.pipelines.blend_parents import (
    Parent,
    check_parents,
    lineage,
    read_parent,
    same_file_note,
    warning_of,
)
from stylegan_jax.pipelines.generate import check_out

Number = TypeVar("Number", int, float)


def parse_numbers(text: str, kind: type[Number]) -> list[Number]:
    """Reads numbers that are apart by commas.

    Raises:
        UsageError: one is no such number, or there are none.
    """
    try:
        return [kind(word) for word in text.split(",")]
    except ValueError as error:
        name = "whole numbers" if kind is int else "numbers"
        raise UsageError(f"'{text}' are no {name} apart by commas.") from error


def blend_grid(
    base: str | Path,
    style: str | Path,
    out: str | Path,
    *,
    recipe: Recipe | None = None,
    resolutions: Sequence[int] | None = None,
    alphas: Sequence[float] = (0.5, 1.0),
    snapshots: int = 3,
    seeds: Sequence[int] = (0, 1, 2, 3),
    truncation_psi: float = 0.7,
    cell: int = 128,
    progress: Callable[[int], Any] | None = None,
) -> dict[str, Any]:
    """Draws blends of two models beside each other.

    Columns are BASE, the resolutions of the step, and STYLE; rows are alphas with a
    row for every seed; and there is a table for every snapshot of STYLE.

    Args:
        base: a model file or a run's folder.
        style: a model file, or a run's folder with snapshots.
        out: the PNG to write.
        recipe: width, ramp, parts and mapping of the blends; no curve or resolution.
        resolutions: of the steps; None means all from 8 up.
        alphas: of the blends.
        snapshots: at most so many of a run's, evenly apart, the newest among them.
        seeds: of the pictures.
        truncation_psi: of the pictures.
        cell: largest side of a picture on the sheet.
        progress: called with the number of pictures done since the last call.

    Returns:
        JSON values: ``out``, ``resolutions``, ``alphas``, ``seeds``, ``snapshots``
        (their files), ``pictures`` drawn, ``warnings`` and ``notes``.

    Raises:
        UserError: the models do not blend, or options are wrong.
    """
    recipe = recipe or Recipe()
    _check(recipe, out)
    ours = read_parent(base)
    files = snapshots_of(style, snapshots)
    layers = generator_layers(ours.model.variables)
    wanted = list(resolutions or (r for r in resolutions_of(layers) if r > 4))
    choices = {
        (alpha, resolution): dataclasses.replace(
            recipe, alpha=alpha, resolution=resolution
        ).shares(layers)
        for alpha in alphas
        for resolution in wanted
    }
    sheet = _Sheet(ours, seeds, truncation_psi, progress)
    sections, warnings, notes = [], [], []
    for file in files:
        theirs = read_parent(file)
        check_parents([ours, theirs])
        warnings.append(warning_of(ours, theirs, lineage(ours, theirs)))
        notes.append(same_file_note(ours, theirs))
        sections.append(sheet.section(theirs, choices))
    save_png(out, draw_sheet(sections, cell=cell))
    return {
        "out": str(out),
        "resolutions": wanted,
        "alphas": list(alphas),
        "seeds": list(seeds),
        "snapshots": [str(file) for file in files],
        "pictures": sheet.drawn,
        "warnings": [text for text in warnings if text],
        "notes": [text for text in notes if text],
    }


class _Sheet:
    """Draws the same seeds with any weights of one architecture."""

    def __init__(
        self,
        base: Parent,
        seeds: Sequence[int],
        truncation_psi: float,
        progress: Callable[[int], Any] | None,
    ):
        check_parents([base])
        model = model_from(base.model, where=base.path)
        assert isinstance(model, StyleGAN2Generator)  # of a family that blends
        self._model, self._seeds, self._psi = model, list(seeds), truncation_psi
        self._progress = progress
        self.drawn = 0
        self._base = base.model.variables
        self._base_drawn = self.draw(self._base)

    def section(
        self, style: Parent, choices: Mapping[tuple[float, int], trees.Shares]
    ) -> Section:
        """The table of one snapshot.

        Args:
            style: the snapshot.
            choices: the shares by alpha and resolution.
        """
        theirs = style.model.variables
        drawn = {
            choice: self.draw(trees.blend([self._base, theirs], [shares]))
            for choice, shares in choices.items()
        }
        whole = self.draw(theirs)
        resolutions = list(dict.fromkeys(resolution for _, resolution in choices))
        rows = [
            Row(
                f"alpha {alpha:g}, seed {seed}" if i == 0 else f"seed {seed}",
                [
                    self._base_drawn[i],
                    *(drawn[alpha, resolution][i] for resolution in resolutions),
                    whole[i],
                ],
            )
            for alpha in dict.fromkeys(alpha for alpha, _ in choices)
            for i, seed in enumerate(self._seeds)
        ]
        heads = ["BASE", *(f"from {r} px" for r in resolutions), "STYLE"]
        return Section(f"STYLE {style.path.name}", heads, rows)

    def draw(self, variables: Any) -> np.ndarray:
        """The pictures [N, H, W, C] uint8 of these weights."""
        module = self._model.module
        fitted = fit_variables(
            variables, module.init, *self._model.example(module), where="the blend"
        )
        # The same programs: nothing is compiled a second time.
        images = self._model.replace(fitted).images(
            self._seeds, truncation_psi=self._psi
        )
        self.drawn += len(images)
        if self._progress is not None:
            self._progress(len(images))
        return images


def snapshots_of(style: str | Path, number: int) -> list[Path]:
    """The files that a sheet compares.

    Args:
        style: a model file, or a folder.
        number: at most so many of a run's ``g_ema-<kimg>.safetensors``.

    Returns:
        Evenly chosen snapshots, the newest last; the path itself where it is a file or
        a folder without snapshots.
    """
    files = list(snapshots(style).values())
    if not files:
        return [Path(style)]
    number = min(number, len(files))
    chosen = np.linspace(len(files) - 1, 0, number).round().astype(int)
    return [files[i] for i in sorted(set(chosen.tolist()))]


def _check(recipe: Recipe, out: str | Path) -> None:
    if not check_out(out):
        raise UsageError(
            f"a sheet is a picture: give a name ending in .png, not {out}."
        )
    if recipe.curve is not None or recipe.resolution is not None:
        raise UsageError(
            "a sheet tries several resolutions: give --resolutions, and neither "
            "--resolution nor --curve."
        )
