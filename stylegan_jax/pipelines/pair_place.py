"""The folder of a set of drawn pairs: what may be there, and who works in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import jax

from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.pair_chunks import PARTS
from stylegan_jax.training import lock


def check_place(out: Path) -> None:
    """Refuses a folder that holds something else, before anything is written to it.

    Raises:
        UserError: it holds other files, or pairs of another command.
    """
    found = manifest.read_document(out)
    if found is not None:
        if "made_from" in found:
            raise UserError(
                f"{out} holds pairs that `stylegan-jax data pairs` made from "
                f"{found['made_from']}: choose another folder."
            )
        return
    # A process that was killed early leaves no more than these.
    begun = {PARTS, ".lock"}
    if out.is_dir() and {entry.name for entry in out.iterdir()} - begun:
        raise UserError(
            f"{out} holds other files and no set of pairs (manifest.json): choose "
            "another folder, or an empty one."
        )


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """Makes the folder, and keeps other jobs out of it.

    Raises:
        UserError: it cannot be made, or another job makes pairs in it.
    """
    try:
        (out / PARTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make {out / PARTS}: {error.strerror}; choose another folder."
        ) from error
    with contextlib.ExitStack() as stack:
        if jax.process_index() == 0:
            try:
                stack.enter_context(lock.hold(out))
            except UserError as error:
                raise UserError(
                    f"another job makes pairs in {out}: wait for it, or choose another "
                    "folder."
                ) from error
        yield
