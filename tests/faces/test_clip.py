import json
import sys

import numpy as np
import pytest
from face_marks import scene
from tiny_clip import write_clip

from stylegan_jax.errors import MissingExtra, UsageError, UserError
from stylegan_jax.faces import clip
from stylegan_jax.faces.clip import open_clip, open_filter

TEXTS = ("a face", "a drawing", "abba")


def pictures(number):
    return [scene(i, 40 + i).convert("RGB") for i in range(number)]


def files(folder, **contents):
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        text = contents.get(name.split(".")[0], '{"model_type": "clip"}')
        (folder / name).write_text(text)
    return folder


def test_similarities_of_a_picture_depend_on_it_alone(tmp_path):
    scorer = open_clip(write_clip(tmp_path / "clip"), TEXTS)
    some = pictures(clip.BATCH + 3)
    found = scorer(some)
    assert found.shape == (len(some), 3) and np.abs(found).max() <= 1 + 1e-6
    assert np.ptp(found, axis=0).min() > 1e-6  # pictures differ, and so do texts
    assert np.ptp(found, axis=1).min() > 1e-6
    for index in (0, clip.BATCH + 1):
        np.testing.assert_array_equal(scorer([some[index]])[0], found[index])


def test_similarities_are_those_of_transformers(tmp_path):
    folder = write_clip(tmp_path / "clip")
    import torch
    import transformers

    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizerFast.from_pretrained(folder)
    picture = scene(1, 32).convert("RGB")  # of its size: nothing to resize
    x = (np.asarray(picture, np.float32) / 255 - clip.MEAN) / clip.STD
    with torch.inference_mode():
        found = model(
            pixel_values=torch.tensor(x.transpose(2, 0, 1)[None], dtype=torch.float32),
            **tokenizer(list(TEXTS), padding=True, return_tensors="pt"),
        )
        expected = (found.logits_per_image / model.logit_scale.exp()).numpy()
    ours = open_clip(folder, TEXTS)([picture])
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_folder_says_how_pictures_are_normalised(tmp_path):
    folder = write_clip(tmp_path / "clip")
    before = open_clip(folder, TEXTS)(pictures(1))
    settings = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    assert not np.allclose(open_clip(folder, TEXTS)(pictures(1)), before)


def test_wide_and_tall_pictures_are_cut_to_their_middle(tmp_path):
    scorer = open_clip(write_clip(tmp_path / "clip"), TEXTS)
    square = scene(1, 32).convert("RGB")
    wide = square.crop((-20, 0, 52, 32))
    np.testing.assert_allclose(scorer([wide]), scorer([square]), atol=1e-6)


def test_folders_that_are_no_clip(tmp_path):
    with pytest.raises(UserError) as caught:
        open_clip(tmp_path / "none", TEXTS)
    said = str(caught.value)
    assert "no config.json, model.safetensors, vocab.json with merges.txt" in said
    other = files(tmp_path / "other", config='{"model_type": "siglip"}')
    with pytest.raises(UserError, match="holds a model of type 'siglip'"):
        open_clip(other, TEXTS)
    with pytest.raises(UserError, match=r"config\.json cannot be read"):
        open_clip(files(tmp_path / "torn", config="{"), TEXTS)


def test_damaged_and_incomplete_models(tmp_path):
    folder = write_clip(tmp_path / "clip")
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "visual_projection.weight"
    save_file(
        {k: v for k, v in weights.items() if k != name},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(UserError, match=f"lacks tensors of CLIP, {name}"):
        open_clip(folder, TEXTS)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be opened as CLIP"):
        open_clip(folder, TEXTS)


def test_texts_that_are_too_long(tmp_path):
    folder = write_clip(tmp_path / "clip")
    with pytest.raises(UserError, match=r"24 tokens and these are longer: 'long"):
        open_clip(folder, ("a face", "long " * 9))


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"pip install 'stylegan_jax\[clip\]'"):
        open_clip(files(tmp_path / "clip"), TEXTS)


def test_texts_need_a_model(tmp_path):
    assert open_filter(None, (), ()) is None
    with pytest.raises(UsageError, match="give --clip FOLDER as well"):
        open_filter(None, ("a face",), ())
    with pytest.raises(UsageError, match="texts of both kinds"):
        open_filter(tmp_path, ("a face",), ())
