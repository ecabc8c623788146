"""Pictures with attributes: folders, prepared sets, parts, TensorFlow datasets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from stylegan_jax.data import records, toy
from stylegan_jax.data.attribute_labels import Attribute, read_rows
from stylegan_jax.data.attribute_pictures import open_labelled
from stylegan_jax.data.prepare import prepare
from stylegan_jax.errors import UserError


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "faces"
    toy.write_toy(folder, style="photo", num=6, size=16, seed=3)
    return folder


def opened(path, *attributes, **options):
    wanted = attributes or (Attribute("smile"), Attribute("glasses", texts=("round",)))
    return open_labelled(path, attributes=wanted, progress=False, **options)


def true_smiles(num=6):
    return np.asarray([toy.draw(3 + i, "photo", 16)[1]["smile"] for i in range(num)])


def test_toy_faces_bring_their_table(faces):
    pictures = opened(faces, Attribute("smile"))
    np.testing.assert_allclose(pictures.values[:, 0], true_smiles(), atol=1e-6)
    item = pictures[2]
    assert item["image"].shape == (16, 16, 3) and item["image"].dtype == np.uint8
    assert item["values"] == pytest.approx(true_smiles()[2], abs=1e-6)
    part = pictures.part(np.asarray([4, 1]))
    assert len(part) == 2 and part[0]["values"] == pictures[4]["values"]
    np.testing.assert_array_equal(part[1]["image"], pictures[1]["image"])
    assert part.fingerprint != pictures.fingerprint


def test_other_values_are_another_set(faces):
    smile, skin = (opened(faces, Attribute(name)) for name in ("smile", "skin"))
    assert smile.fingerprint == opened(faces, Attribute("smile")).fingerprint
    assert smile.fingerprint != skin.fingerprint


def test_converted_pictures_keep_their_labels(faces, tmp_path):
    small = opened(faces, Attribute("smile"), resolution=8, cache_dir=tmp_path / "c")
    assert small.image_shape == (8, 8, 3)
    np.testing.assert_allclose(small.values[:, 0], true_smiles(), atol=1e-6)
    # Prepared by hand, named by the old names, converted once more.
    prepare(str(faces), str(tmp_path / "prepared.zip"), resolution=12)
    again = opened(
        tmp_path / "prepared.zip",
        Attribute("smile"),
        labels=str(faces / "attributes.csv"),
        resolution=8,
        cache_dir=tmp_path / "c",
    )
    np.testing.assert_allclose(again.values[:, 0], true_smiles(), atol=1e-6)


def test_names_and_documents(tmp_path):
    for i, name in enumerate(("31_1_0_1.png", "7_0_0_2.png", "odd.png")):
        Image.new("RGB", (8, 8), (i * 50, 0, 0)).save(tmp_path / name)
    wanted = (Attribute("age"), Attribute("gender"))
    with pytest.raises(UserError, match=r"tells no attributes .*labels=FILE\.csv"):
        opened(tmp_path, *wanted)
    with pytest.raises(UserError, match=r"1 of 3 .*: odd\.png"):
        opened(tmp_path, *wanted, labels="utkface")
    found = opened(tmp_path, *wanted, labels="utkface", skip_unlabelled=True)
    np.testing.assert_array_equal(found.values, [[31, 1], [7, 0]])
    assert [found[i]["image"][0, 0, 0] for i in (0, 1)] == [0, 50]
    assert [a.kind for a in found.attributes] == ["number", "binary"]
    rows = {name: {"hat": True} for name in ("31_1_0_1.png", "odd.png")}
    document = {"attributes": {**rows, "7_0_0_2.png": {"hat": False}}}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    found = opened(tmp_path, Attribute("hat"))
    np.testing.assert_array_equal(found.values[:, 0], [1, 0, 1])
    (tmp_path / "dataset.json").write_text('{"attributes": {"odd.png": 3}}')
    with pytest.raises(UserError, match="have none: odd.png"):
        opened(tmp_path, Attribute("hat"))


class Builder:
    """Stands for a prepared TensorFlow dataset with celeb_a's features."""

    items = [
        {
            "image": b"png",
            "attributes": {"Smiling": np.bool_(i % 2), "Young": np.bool_(True)},
            "landmarks": {"nose_x": np.int64(i)},
        }
        for i in range(4)
    ]


@pytest.mark.parametrize("nested", [True, False])
def test_features_of_tensorflow_datasets(monkeypatch, nested):
    items = Builder.items
    if not nested:
        items = [{"image": b"png", **item["attributes"]} for item in items]

    def found(builder, split, path):
        return items, "image", None

    class Info:
        full_name = "celeb_a/2.1.0"
        splits = {"train": type("S", (), {"num_bytes": 1})}

    builder = type("B", (), {"info": Info})
    monkeypatch.setattr(records, "_find_builder", lambda path: (builder, "train"))
    monkeypatch.setattr(records, "_data_source", found)
    rows, where = read_rows(records.TfdsSource("tfds:celeb_a"), None)
    assert where == "tfds:celeb_a"
    assert rows["train00000001.png"] == {"Smiling": True, "Young": True}
    assert rows["train00000002.png"]["Smiling"] is False
