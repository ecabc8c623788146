"""Files that are known and cannot be converted, and what to say about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.readers import Stub
from stylegan_jax.convert_torch.sources.part import is_state
from stylegan_jax.errors import UserError, printable


def explain(root: Any, where: object) -> UserError:
    """The error for a file that no source recognised."""
    if isinstance(root, Stub):
        return UserError(
            f"{where} holds an object of the class {printable(root.name)} and no "
            "network that this program knows: see docs/convert.md for the files that "
            "it converts."
        )
    if not isinstance(root, Mapping):
        return UserError(
            f"{where} holds a {type(root).__name__} and no network that this program "
            "knows: see docs/convert.md for the files that it converts."
        )
    names = {str(name) for name in root}
    inner = _tensor_names(root)
    lucid = any(n.startswith(("S.net", "GE.", "G.blocks")) for n in inner)
    if "GAN" in names or lucid:
        return UserError(
            f"{where} is a checkpoint of lucidrains' stylegan2_pytorch: its networks "
            "are built differently from NVIDIA's, so its weights cannot be converted."
        )
    if any(n.startswith("synthesis.L0_") for n in inner):
        return UserError(
            f"{where} is a StyleGAN3 network: this program has StyleGAN2 and StyleGAN "
            "only, so it cannot be converted."
        )
    if not inner and any("optim" in n for n in names):
        return UserError(
            f"{where} holds an optimiser and no network (entries: {_some(names)}): "
            "give the file with the weights."
        )
    what = f"entries: {_some(names)}"
    if inner and not is_state(root):
        what += f"; tensors: {_some(inner)}"
    return UserError(
        f"{where} holds nothing that this program knows ({what}): see docs/convert.md "
        "for the files that it converts."
    )


def _tensor_names(root: Mapping[Any, Any]) -> set[str]:
    """The names of tensors at the top or one step below."""
    if is_state(root):
        return set(root)
    return {str(n) for v in root.values() if is_state(v) for n in v}


def _some(names: set[str]) -> str:
    listed = [printable(name) for name in sorted(names)]
    more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
    return ", ".join(listed[:6]) + more if listed else "none"
