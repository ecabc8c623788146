"""CLIP (Radford et al. 2021) from a folder of the user's, through ``transformers``.

No weights come with this program, and none are fetched: the folder is opened offline,
and its tensors from safetensors, which run nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.faces.texts import Scorer, TextFilter, check_texts

# What CLIP's pictures were normalised with, where the folder does not say.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# Pictures at a time: always as many, since rounding depends on shapes.
BATCH = 16
# Each file that is needed, as the names it may have.
_WEIGHTS = (("model.safetensors",), ("model.safetensors.index.json",))
_TOKENS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
_NEEDS = (
    "config.json, model.safetensors, and tokenizer.json or vocab.json with merges.txt"
)


def open_clip(folder: str | os.PathLike, texts: Sequence[str]) -> Scorer:
    """Opens a CLIP model for some texts.

    Args:
        folder: as Hugging Face's ``save_pretrained`` writes it.
        texts: what pictures will be compared with.

    Returns:
        Gives [pictures, texts] cosine similarities of RGB pictures.

    Raises:
        MissingExtra: torch or transformers is not installed.
        UserError: files are missing or damaged, another kind of model, or texts that
            are too long for it.
    """
    path = Path(folder)
    _check(path)
    try:
        import torch  # noqa: F401  (transformers has no models without it)
        import transformers
    except ImportError as error:
        package = "torch" if error.name == "torch" else "transformers"
        raise MissingExtra(package, "clip", "Judging pictures by texts") from error
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = transformers.CLIPModel.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        tokenizer = transformers.CLIPTokenizerFast.from_pretrained(
            path, local_files_only=True
        )
    except Exception as error:  # of many kinds, from several libraries
        said = " ".join(str(error).split())[:300]
        raise UserError(
            f"{folder} cannot be opened as CLIP ({said}): give a folder of {_NEEDS}."
        ) from error
    # Whatever is missing would be random numbers.
    if missing := sorted(report["missing_keys"]):
        raise UserError(
            f"{folder} lacks tensors of CLIP, {', '.join(missing)}: give a whole model."
        )
    return _Clip(model.float().eval(), _tokens(model, tokenizer, texts), path)


def open_filter(
    folder: str | os.PathLike | None, keep: Sequence[str], drop: Sequence[str]
) -> TextFilter | None:
    """Opens the filter that a command asks for.

    Args:
        folder: of a CLIP model; None where nothing is asked.
        keep: texts that pictures should be like.
        drop: texts that they should not.

    Raises:
        UsageError: texts without a model, or that cannot decide.
        UserError: see `open_clip`.
    """
    if folder is None:
        if keep or drop:
            raise UsageError(
                "texts need a model that knows them: give --clip FOLDER as well."
            )
        return None
    check_texts(keep, drop)
    scorer = open_clip(folder, (*keep, *drop))
    return TextFilter(tuple(keep), tuple(drop), Path(folder).resolve().name, scorer)


class _Clip:
    """Similarities of pictures with fixed texts."""

    def __init__(self, model: Any, tokens: Any, folder: Path):
        self._model, self._tokens = model, tokens
        self._side = int(model.config.vision_config.image_size)
        found = _optional(folder / "preprocessor_config.json")
        self._mean = np.array(found.get("image_mean") or MEAN, np.float32)
        self._std = np.array(found.get("image_std") or STD, np.float32)

    def __call__(self, images: Sequence[Image.Image]) -> np.ndarray:
        import torch

        found = []
        for start in range(0, len(images), BATCH):
            some = [self._pixels(image) for image in images[start : start + BATCH]]
            full = np.stack(some + some[-1:] * (BATCH - len(some)))  # [B,3,H,W]
            with torch.inference_mode():
                out = self._model(pixel_values=torch.from_numpy(full), **self._tokens)
                cosines = out.image_embeds @ out.text_embeds.T
            found.append(cosines.numpy()[: len(some)])
        return np.concatenate(found)

    def _pixels(self, image: Image.Image) -> np.ndarray:
        """The middle square of a picture, normalised, [3, side, side] float32."""
        scale = self._side / min(image.size)
        size = [max(self._side, round(length * scale)) for length in image.size]
        image = image.convert("RGB").resize(
            (size[0], size[1]), Image.Resampling.BICUBIC
        )
        left, top = ((length - self._side) // 2 for length in size)
        image = image.crop((left, top, left + self._side, top + self._side))
        x = (np.asarray(image, np.float32) / 255 - self._mean) / self._std
        return np.ascontiguousarray(x.transpose(2, 0, 1))  # [3,H,W]


def _check(folder: Path) -> None:
    """Raises `UserError` for a folder that is no CLIP; lists all that is missing."""
    there = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    missing = [] if "config.json" in there else ["config.json"]
    for choices in (_WEIGHTS, _TOKENS):
        if not any(there.issuperset(names) for names in choices):
            missing.append(" with ".join(choices[-1 if choices is _TOKENS else 0]))
    if missing:
        raise UserError(
            f"{folder} has no {', '.join(missing)}: give the folder of a CLIP model as "
            f"Hugging Face has it ({_NEEDS})."
        )
    kind = _optional(folder / "config.json").get("model_type")
    if kind != "clip":
        raise UserError(f"{folder} holds a model of type {kind!r}: give one of CLIP.")


def _optional(file: Path) -> dict[str, Any]:
    """The object that a JSON file holds; an empty one without the file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} is no JSON object: give a whole CLIP folder.")
    return found


def _tokens(model: Any, tokenizer: Any, texts: Sequence[str]) -> dict[str, Any]:
    """The texts as the model takes them.

    Raises:
        UserError: texts are too long; lists them.
    """
    most = int(model.config.text_config.max_position_embeddings)
    long = [text for text in texts if len(tokenizer(text)["input_ids"]) > most]
    if long:
        raise UserError(
            f"this CLIP takes texts of {most} tokens and these are longer: "
            f"{', '.join(map(repr, long))}; say it in fewer words."
        )
    found = tokenizer(list(texts), padding=True, return_tensors="pt")
    return {name: found[name] for name in ("input_ids", "attention_mask")}
