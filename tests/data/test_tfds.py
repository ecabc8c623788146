import io

import pytest
import tensorflow_datasets as tfds
from PIL import Image

from stylegan_jax.data.dataset import open_dataset
from stylegan_jax.data.sources import open_source
from stylegan_jax.errors import UserError


class StylegandTinySet(tfds.core.GeneratorBasedBuilder):
    """Six red pictures with labels; prepared without TensorFlow."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos = {}  # nothing to download

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(8, 8, 3)),
            "label": tfds.features.ClassLabel(num_classes=3),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(6), "test": self._generate_examples(2)}

    def _generate_examples(self, num):
        for i in range(num):
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8), (i * 10, 0, 0)).save(buffer, "PNG")
            buffer.seek(0)
            yield i, {"image": buffer, "label": i % 3}


NAME = "stylegand_tiny_set"


@pytest.fixture
def builder(tmp_path, monkeypatch):
    real = tfds.builder
    monkeypatch.setattr(tfds, "builder", lambda name: real(name, data_dir=tmp_path))
    return real(NAME, data_dir=tmp_path, file_format="array_record")


# tfds' own code leaves files open and uses names that etils deprecates.
@pytest.mark.filterwarnings("default")
def test_prepared_sets_are_read(builder, tmp_path):
    builder.download_and_prepare()
    source = open_source(f"tfds:{NAME}/test")
    assert len(source) == 2
    assert len(open_source(f"tfds:{NAME}")) == 6
    dataset = open_dataset(f"tfds:{NAME}", use_labels=True, cache_dir=tmp_path / "c")
    assert dataset.image_shape == (8, 8, 3) and dataset.label_dim == 3
    for index in range(6):
        item = dataset[index]
        assert item["label"].argmax() == item["image"][0, 0, 0] // 10 % 3
    with pytest.raises(UserError, match="splits test, train and no oops"):
        open_source(f"tfds:{NAME}/oops")


@pytest.mark.filterwarnings("default")
def test_sets_that_are_not_prepared_say_how(builder):
    with pytest.raises(UserError, match="is not prepared under .*download_and_prepare"):
        open_source(f"tfds:{NAME}")
    with pytest.raises(UserError, match="not a set that tfds can open"):
        open_source("tfds:there_is_no_such_set")
    with pytest.raises(UserError, match="names no set"):
        open_source("tfds:")
