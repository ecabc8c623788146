import numpy as np
import pytest
from brightness_reader import BrightnessReader
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.attribute_readers import (
    check_attributes,
    open_reader,
    reader_document,
)


def test_the_toys_own_reader():
    reader = open_reader("toy")
    assert "smile" in reader.names and set(reader.kinds) == set(reader.names)
    read = reader.read(np.full((2, 32, 32, 3), 128, np.uint8))
    assert read["smile"].shape == (2,)
    assert reader_document("toy", reader)["reader"] == "toy"


def test_other_models_read_nothing(tmp_path):
    path = save_tiny(tmp_path / "g.safetensors", *tiny_generator())
    with pytest.raises(UserError, match="reads no attributes: give a model of train"):
        open_reader(str(path))
    with pytest.raises(UserError, match="no model"):
        open_reader(str(tmp_path / "none"))


def test_names():
    check_attributes(BrightnessReader(), ["light"], "a")
    with pytest.raises(UserError, match="a does not read age, hat: choose from light"):
        check_attributes(BrightnessReader(), ["light", "age", "hat"], "a")
