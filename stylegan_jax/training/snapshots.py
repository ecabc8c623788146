"""Model files of a run: the newest, the best, and a few before."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from stylegan_jax.checkpoints.atomic import write_text
from stylegan_jax.checkpoints.load import find_model, snapshots
from stylegan_jax.checkpoints.model_file import save_model, sha256_of
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.data.mixture import Weighted

# What a model is under whose pictures nobody stated a licence of.
LICENCE = "unstated: set by the pictures that the model was trained on"


def licence_after(parent: str | None, data: Weighted | None = None) -> str:
    """The licence of a model that was trained from another, and on pictures.

    Args:
        parent: the other model's; None without one.
        data: what it was trained on, if anything is to be said of it. Pictures that a
            generator drew are under the licence that pairs note of it; of others none
            is known.
    """
    pictures = [getattr(dataset, "licence", None) for dataset, _ in data or []]
    said = [text for text in (parent, *pictures) if text]
    if not pictures or not all(pictures):
        said.append(LICENCE)
    found: list[str] = []
    for text in said:
        if not any(text in earlier for earlier in found):
            found.append(text)
    return "; and ".join(found)


def origin_of(path: str | Path, model: Any) -> dict[str, Any]:
    """What a new model's provenance says of one that it was trained from.

    Args:
        path: what was opened: a model file, or a folder, see `find_model`.
        model: what `load` gave.
    """
    file = find_model(path)
    return {
        "file": file.name,
        "sha256": sha256_of(file),
        "licence": model.metadata.get("licence", "not stated"),
        "provenance": model.metadata.get("provenance", {}),
    }


def begun_from(
    origins: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> dict[str, tuple[Any, str]]:
    """Models for `Run.begun_with`: a run goes on with those that it was begun with.

    Args:
        origins: by configuration key, as `origin_of` gives them.
        names: all configuration keys that may name a model; that a run had none is
            worth knowing too, for the licence of what it makes.
    """
    return {
        name: (origins[name]["sha256"], f"{name}={origins[name]['file']}")
        if name in origins
        else (None, f"no {name}")
        for name in names
    }


class SnapshotFolder:
    """A run's ``models/``: ``<part>-<kimg>.safetensors`` and ``best.json``.

    Older moments keep the parts that one uses; the newest and those that are asked for
    keep all, so that another run can start from them.
    """

    def __init__(
        self,
        workdir: Path,
        *,
        parts: tuple[str, ...],
        keep: int,
        kept_parts: Collection[str],
    ):
        """Opens the folder; it need not be there yet.

        Args:
            workdir: the run's folder.
            parts: every part of a snapshot; the first is the one that one uses.
            keep: how many moments to keep; 0 or less for all.
            kept_parts: what older moments keep.
        """
        self.folder = workdir / "models"
        self._parts, self._keep, self._kept_parts = parts, keep, kept_parts

    def write(
        self,
        kimg: int,
        networks: Mapping[str, tuple[str, Any, Any]],
        *,
        provenance: Mapping[str, Any],
        licence: str,
    ) -> None:
        """Writes one moment's files.

        Args:
            kimg: its name.
            networks: family, module and variables by part.
            provenance: for the files' metadata.
            licence: for the files' metadata.
        """
        for part, (family, module, variables) in networks.items():
            save_model(
                self.folder / f"{part}-{kimg:06d}.safetensors",
                jax.device_get(variables),
                family=family,
                config=config_of(module),
                provenance=dict(provenance),
                licence=licence,
            )

    def note_best(
        self,
        kimg: int,
        metric: str,
        value: float,
        *,
        overfitted: bool = False,
        measured_with: Mapping[str, Any] | None = None,
    ) -> None:
        """Names a moment the best in ``best.json``, if it is.

        Args:
            kimg: the moment.
            metric: what is compared.
            value: the lower, the better.
            overfitted: such a moment only counts while there is no other.
            measured_with: what values must share to be compared, as JSON values; a best
                that was measured with something else is forgotten.
        """
        path = self.folder / "best.json"
        best = json.loads(path.read_text()) if path.exists() else {}
        if best.get("measured_with") != (measured_with or None):
            best = {}
        rank = (overfitted, value)
        known = (best.get("overfitted", False), best.get("value", float("inf")))
        if kimg == best.get("kimg") or not best or rank <= known:
            document = {"kimg": kimg, "metric": metric, "value": value}
            document |= {"overfitted": True} if overfitted else {}
            document |= {"measured_with": measured_with} if measured_with else {}
            write_text(path, json.dumps(document) + "\n")

    def remove_old(self, *, whole: Collection[int | None] = ()) -> None:
        """Removes what need not be kept.

        Args:
            whole: moments that keep all of their parts, besides the newest and the
                best.
        """
        main = self._parts[0]
        kept = {*whole, self.best()}
        kimgs = list(snapshots(self.folder, main))
        recent = set(kimgs[-self._keep :] if self._keep > 0 else kimgs)
        for kimg in set(kimgs[:-1]) - kept:
            for part in self._parts:
                if kimg not in recent or part not in self._kept_parts:
                    name = f"{part}-{kimg:06d}.safetensors"
                    (self.folder / name).unlink(missing_ok=True)

    def moments(self) -> set[int]:
        """The kimg of all snapshots that are there."""
        return set(snapshots(self.folder, self._parts[0]))

    def best(self) -> int | None:
        """The kimg of the best snapshot; None where none is named."""
        path = self.folder / "best.json"
        return json.loads(path.read_text())["kimg"] if path.exists() else None
