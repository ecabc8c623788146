"""Published weights as model files: what ``weights get`` and ``weights import`` call.

Feature networks are made by `frozen`; a generator's files are converted as ``convert``
would do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.model_file import save_model
from stylegan_jax.convert_torch.converted import convert_part
from stylegan_jax.convert_torch.frozen import convert_frozen
from stylegan_jax.convert_torch.opening import Opened
from stylegan_jax.convert_torch.sources import mobilestylegan_file
from stylegan_jax.errors import UserError

MOBILESTYLEGAN = "mobilestylegan_ffhq"

# What the config of the published generator is.
_CONFIG = {"num_blocks": 9, "channel_base": 32768, "channel_max": 512}


def convert_published(
    name: str,
    files: Mapping[str, Path],
    dst: Path,
    provenance: Mapping[str, Any],
    licence: str,
) -> None:
    """Makes the model file of published weights; on any fault nothing is written.

    Args:
        name: an identifier of the table of weights.
        files: the sources by their labels.
        dst: the model file to write.
        provenance: where the weights come from, JSON values; the layout, and what the
            files do not hold, are added.
        licence: the licence of the weights, in words.

    Raises:
        UserError: see `convert_frozen`.
    """
    if name != MOBILESTYLEGAN:
        convert_frozen(name, files, dst, provenance, licence)
        return
    where = " and ".join(str(path) for path in files.values())
    source = mobilestylegan_file.read(files, where)
    opened = Opened(
        files["synthesis_bin"],
        mobilestylegan_file.CONTAINER,
        mobilestylegan_file.sha256_of_files(files),
        source,
    )
    converted = convert_part(source.parts[0], opened, licence=licence)
    odd = [k for k, want in _CONFIG.items() if converted.config[k] != want]
    if odd:
        had = ", ".join(f"{k} {converted.config[k]}" for k in odd)
        wanted = ", ".join(f"{k} {_CONFIG[k]}" for k in odd)
        raise UserError(f"{where} is not {name}: it has {had} instead of {wanted}.")
    save_model(
        dst,
        converted.variables,
        family=converted.family,
        config=converted.config,
        provenance={
            **provenance,
            "layout": source.parts[0].layout.name,
            "estimated": converted.provenance["estimated"],
        },
        licence=licence,
    )
