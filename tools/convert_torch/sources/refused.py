"""Files that are known and cannot be converted, and what to say about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stylegan_jax.convert_torch.sources.part import is_state
from stylegan_jax.errors import UserError


def explain(root: Any, where: object) -> UserError:
    """The error for a file that no source recognised."""
    if isinstance(root, Mapping):
        names = {str(name) for name in root}
        tensors = root if is_state(root) else root.get("GAN", {})
        inner = {str(n) for n in tensors} if isinstance(tensors, Mapping) else set()
        if "GAN" in names or any(
            n.startswith(("S.net", "GE.", "G.blocks")) for n in inner
        ):
            return UserError(
                f"{where} is a checkpoint of lucidrains' stylegan2_pytorch: its "
                "networks are built differently from NVIDIA's, so its weights cannot "
                "be converted."
            )
        if any(n.startswith("synthesis.L0_") for n in inner):
            return UserError(
                f"{where} is a StyleGAN3 network: this program has StyleGAN2 and "
                "StyleGAN only, so it cannot be converted."
            )
        if any("optim" in n for n in names) and not inner:
            return UserError(
                f"{where} holds an optimiser and no network that this program knows "
                f"(entries: {_some(names)}): give the file with the weights."
            )
        return UserError(
            f"{where} holds nothing that this program knows (entries: {_some(names)}): "
            "see docs/convert.md for the files that it converts."
        )
    return UserError(
        f"{where} holds a {type(root).__name__} and no network that this program "
        "knows: see docs/convert.md for the files that it converts."
    )


def _some(names: set[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - 6} more" if len(listed) > 6 else ""
    return ", ".join(listed[:6]) + more if listed else "none"
