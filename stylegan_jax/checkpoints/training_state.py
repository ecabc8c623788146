"""Checkpoints of a run in training: orbax, asynchronous, complete."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from stylegan_jax.errors import UserError


class TrainingCheckpoints:
    """The numbered checkpoints of one run.

    A checkpoint is a tree of arrays and a JSON document (counters, seed, position in
    the data). It is written aside and renamed when it is complete, in the background; a
    process that dies on the way leaves the previous ones as they were.
    """

    def __init__(self, folder: str | Path, *, keep: int = 2):
        """Opens ``folder``, making it if absent.

        Args:
            folder: the run's ``checkpoints/``.
            keep: how many to keep; older ones are removed.
        """
        self._folder = Path(folder).resolve()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, enable_async_checkpointing=True
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def latest(self) -> int | None:
        """The step of the newest complete checkpoint, None where there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, document: Mapping[str, Any]) -> None:
        """Begins to save; returns when the arrays are copied, not when written."""
        if step in self._manager.all_steps():
            return
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                document=ocp.args.JsonSave(dict(document)),
                shapes=ocp.args.JsonSave(_shapes(state)),
            ),
        )

    def read_document(self, step: int) -> dict[str, Any]:
        """The JSON document of a checkpoint."""
        restored = self._manager.restore(
            step, args=ocp.args.Composite(document=ocp.args.JsonRestore())
        )
        return dict(restored["document"])

    def restore(self, step: int, like: Any) -> Any:
        """Reads a checkpoint's arrays.

        Args:
            step: a complete checkpoint.
            like: a tree of the same structure; its leaves (arrays or
                ``ShapeDtypeStruct`` with shardings) say where arrays go.

        Raises:
            UserError: if the checkpoint holds another structure or other shapes, or is
                an earlier version's.
        """
        # Compared before anything is read: orbax would fail half-way through.
        saved = self._manager.restore(
            step, args=ocp.args.Composite(shapes=ocp.args.JsonRestore())
        )["shapes"]
        different = _differences(saved, _shapes(like))
        # Optimisers and averages repeat the networks: tell what is at the root of it.
        repeats = ("_opt", "ema_")
        roots = [line for line in different if not any(r in line for r in repeats)]
        different = roots or different
        if different:
            raise UserError(
                f"The checkpoint {self._folder / str(step)} does not fit this "
                "configuration: a run goes on with the networks it was begun with. "
                "Use the same model section as in config.json, or another --workdir. "
                f"Different are: {_some(different)}."
            )
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        try:
            return self._manager.restore(step, args=args)["state"]
        except ValueError as error:
            if "tree structures do not match" not in str(error):
                raise
            # The arrays agree, see above: a part that is empty here is absent there.
            raise UserError(
                f"The checkpoint {self._folder / str(step)} was written by an earlier "
                "version of this program: finish the run with that version, or begin "
                "another --workdir from its networks with --config.init.model."
            ) from error

    def wait(self) -> None:
        """Waits until everything is on disk; raises what went wrong meanwhile."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and lets go of the folder."""
        self._manager.wait_until_finished()
        self._manager.close()


def _shapes(tree: Any) -> dict[str, str]:
    """Each leaf's dtype and shape by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in leaves
    }


def _some(lines: list[str], most: int = 6) -> str:
    rest = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + rest


def _differences(saved: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    lines = []
    for path in sorted({*saved, *wanted}):
        has, needs = saved.get(path, "absent"), wanted.get(path, "absent")
        if has != needs:
            lines.append(f"{path} is {has} there and {needs} here")
    return lines
