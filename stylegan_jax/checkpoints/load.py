"""``load``: from a path to a model ready for use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylegan_jax.checkpoints.attributes import AttributeNetwork
from stylegan_jax.checkpoints.facespace import FaceSpaceEncoder
from stylegan_jax.checkpoints.facespace_model import FaceSpaceModel
from stylegan_jax.checkpoints.features import (
    AlexNetFeatures,
    InceptionV3Features,
    LPIPSDistance,
    ResNetFeatures,
    VGGFeatures,
)
from stylegan_jax.checkpoints.generator import GeneratorNetwork
from stylegan_jax.checkpoints.irse import IRSEFeatures
from stylegan_jax.checkpoints.mobilefacenet import MobileFaceNetFeatures
from stylegan_jax.checkpoints.mobilestylegan import MobileStyleGANGenerator
from stylegan_jax.checkpoints.model_file import ModelFile, read_model
from stylegan_jax.checkpoints.network import Network
from stylegan_jax.checkpoints.pix2pixhd import (
    Pix2PixHDDiscriminator,
    Pix2PixHDEncoder,
    Pix2PixHDGlobal,
    Pix2PixHDLocal,
)
from stylegan_jax.checkpoints.psp import PSPEncoder, PSPNetwork
from stylegan_jax.checkpoints.stylegan1 import (
    StyleGAN1Discriminator,
    StyleGAN1Generator,
)
from stylegan_jax.checkpoints.stylegan2_discriminator import StyleGAN2Discriminator
from stylegan_jax.checkpoints.stylegan2_generator import StyleGAN2Generator
from stylegan_jax.errors import UserError

# The parts that a run, or a folder that convert wrote, may have a file of.
PARTS = (
    "g_ema",
    "g",
    "d",
    "psp",
    "encoder",
    "decoder",
    "e",
    "net",
    "attributes",
    "facespace",
)

# Those that one would use where none is named, the first that there is.
USED = ("g_ema", "psp", "net", "attributes", "facespace")

# The one place that says which class a family of model files is. The names are those
# of `model_file.FAMILIES`.
FAMILIES: Mapping[str, type[Network]] = {
    "stylegan2.generator": StyleGAN2Generator,
    "stylegan2.discriminator": StyleGAN2Discriminator,
    "stylegan1.generator": StyleGAN1Generator,
    "stylegan1.discriminator": StyleGAN1Discriminator,
    "mobilestylegan": MobileStyleGANGenerator,
    "facespace": FaceSpaceModel,
    "facespace.encoder": FaceSpaceEncoder,
    "psp": PSPNetwork,
    "psp.encoder": PSPEncoder,
    "pix2pixhd.global": Pix2PixHDGlobal,
    "pix2pixhd.local": Pix2PixHDLocal,
    "pix2pixhd.discriminator": Pix2PixHDDiscriminator,
    "pix2pixhd.encoder": Pix2PixHDEncoder,
    "features.inception_v3": InceptionV3Features,
    "features.vgg": VGGFeatures,
    "features.alexnet": AlexNetFeatures,
    "features.lpips": LPIPSDistance,
    "features.irse": IRSEFeatures,
    "features.mobilefacenet": MobileFaceNetFeatures,
    "features.resnet": ResNetFeatures,
    "attributes": AttributeNetwork,
}


def load(path: str | Path, *, part: str | None = None) -> Any:
    """Opens a model; nothing in the file is executed.

    Args:
        path: a model file, a run's folder, or a folder of parts; see `find_model`.
        part: which model of a folder, one of `PARTS`; None for the first of `USED` that
            there is.

    Returns:
        The class that `FAMILIES` has for the file's family, e.g. a
        `StyleGAN2Generator`.

    Raises:
        UserError: there is no such model, the file is no model file or is damaged, or
            its tensors do not fit its config.
    """
    file = find_model(path, part=part)
    return model_from(read_model(file), where=file)


def load_generator(path: str | Path) -> GeneratorNetwork:
    """Opens a generator of any family as `load` does.

    Raises:
        UserError: what `load` refuses, and models that draw no pictures from latents.
    """
    model = load(path)
    if not isinstance(model, GeneratorNetwork):
        other = " or give it pictures with stylegan-jax stylize"
        raise UserError(
            f"{path} is a {model.metadata['family']} and no generator: give another "
            f"model{other if isinstance(model, PSPNetwork) else ''}."
        )
    return model


def model_from(model: ModelFile, *, where: object) -> Network:
    """Makes the model that a file's content describes.

    Args:
        model: what `read_model` returned.
        where: what to name in errors, e.g. the file's path.

    Returns:
        The model.

    Raises:
        UserError: the tensors do not fit the config.
    """
    return FAMILIES[model.family].from_file(model, where=where)


def find_model(path: str | Path, *, part: str | None = None) -> Path:
    """Finds the model file that a path means.

    1. A file is meant itself.
    2. A run's folder, or its ``models``: one of ``<part>-<kimg>.safetensors``, by the
       moment of the run's model, the first part of `USED` with snapshots:
       ``best.json`` names the kimg of the best one, as ``{"kimg": 12}``; without it, or
       where that one is gone, the newest counts. A part without a snapshot of that
       moment gives its nearest newer one, or else its newest; `moment_of` tells which
       it is.
    3. A folder of parts: ``<part>.safetensors``; or the only one there is, where no
       other part than ``g_ema`` is asked for.

    Args:
        path: the file or folder.
        part: which model of a folder, one of `PARTS`; None for the first of `USED` that
            there is.

    Returns:
        The path of a file that exists.

    Raises:
        UserError: nothing is there, or the folder holds no such model.
    """
    path = Path(path)
    if part is not None and part not in PARTS:
        raise UserError(f"unknown part {part!r}: choose from {', '.join(PARTS)}.")
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"there is no model {path}: check the name.")
    wanted = USED if part is None else (part,)
    for name in wanted:
        if (file := _find_part(path, name)) is not None:
            return file
    files = sorted(path.glob("*.safetensors"))
    if part in (None, PARTS[0]) and len(files) == 1:
        return files[0]
    *first, last = wanted
    names = f"{', '.join(first)} or {last}" if first else last
    name = "PART" if first else last
    raise UserError(
        f"the folder {path} holds no model {names}: expected "
        f"models/{name}-*.safetensors (a run that has saved a snapshot), "
        f"{name}-*.safetensors (its models) or "
        f"{name}.safetensors."
    )


def find_parts(folder: str | Path) -> dict[str, Path]:
    """The files of all parts that a run's folder or a folder of parts has, by part.

    They are those that `find_model` finds: of one moment of the run, where all parts
    have a snapshot of it. `moment_of` tells the moment of each.

    Raises:
        UserError: ``best.json`` is damaged.
    """
    found = {part: _find_part(Path(folder), part) for part in PARTS}
    return {part: file for part, file in found.items() if file is not None}


def moment_of(file: str | Path) -> int | None:
    """The kimg that a snapshot's name tells; None for files of other names.

    Args:
        file: such as ``models/g_ema-000012.safetensors``, which gives 12.
    """
    match = re.fullmatch(
        rf"(?:{'|'.join(PARTS)})-([0-9]+)\.safetensors", Path(file).name
    )
    return int(match[1]) if match else None


def snapshots(folder: str | Path, part: str = "g_ema") -> dict[int, Path]:
    """The snapshots of a part by kimg, the oldest first.

    Args:
        folder: a run's folder, or its ``models``.
        part: one of `PARTS`.

    Returns:
        Empty where there are none.
    """
    for place in (Path(folder, "models"), Path(folder)):
        found = {
            kimg: file
            for file in place.glob(f"{part}-*.safetensors")
            if (kimg := moment_of(file)) is not None
        }
        if found:
            return dict(sorted(found.items()))
    return {}


def _find_part(folder: Path, part: str) -> Path | None:
    """The file of that part, a run's snapshots first; None where there is none."""
    found = snapshots(folder, part)
    if found:
        # Generator and discriminator of one moment belong together.
        own = next((s for name in USED if (s := snapshots(folder, name))), {})
        moment = _moment(own, next(iter(found.values())).parent)
        newer = [kimg for kimg in found if moment is not None and kimg >= moment]
        return found[min(newer, default=max(found))]
    single = folder / f"{part}.safetensors"
    return single if single.is_file() else None


def _moment(own: Mapping[int, Path], models: Path) -> int | None:
    """The kimg that a run's folder stands for; None where nothing tells.

    Args:
        own: the snapshots of the part that one would use.
        models: the folder that they and ``best.json`` are in.
    """
    best = _best(models / "best.json")
    if not own or best in own:
        return best
    return max(own)


def _best(file: Path) -> int | None:
    """The kimg of the best snapshot; None where none is named."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{file} cannot be read ({error}): delete it to use the newest snapshot."
        ) from error
    kimg = document.get("kimg") if isinstance(document, dict) else None
    if not isinstance(kimg, int):
        raise UserError(f"{file} names no kimg: delete it to use the newest snapshot.")
    return kimg
