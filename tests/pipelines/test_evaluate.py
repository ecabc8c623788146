import json

import numpy as np
import pytest
from tiny_models import save_tiny, tiny_discriminator, tiny_generator

from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.evaluate import evaluate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Model files and a labelled folder of 12 pictures in 2 classes."""
    root = tmp_path_factory.mktemp("eval")
    save_tiny(root / "g.safetensors", *tiny_generator())
    save_tiny(root / "c.safetensors", *tiny_generator(c_dim=2))
    save_tiny(root / "c3.safetensors", *tiny_generator(c_dim=3))
    save_tiny(root / "d.safetensors", *tiny_discriminator())
    rng = np.random.default_rng(0)
    for i in range(12):
        picture = rng.integers(0, 256, (16, 16, 3), np.uint8)
        save_png(root / "data" / "ab"[i % 2] / f"{i}.png", picture)
    return root


def test_figures_come_with_their_provenance(folder):
    result = evaluate(folder / "g.safetensors", folder / "data", num=8, seed=3)
    assert json.loads(json.dumps(result)) == result
    assert set(result["metrics"]) == {"swd/16", "swd/mean"}
    assert result["metrics"]["swd/mean"] > 0
    assert result["num_real"] == result["num_fake"] == 8
    assert result["model_sha256"] == sha256_of(folder / "g.safetensors")
    assert result["model_provenance"] == {"kimg": 1}
    assert len(result["data_fingerprint"]) == 64
    again = evaluate(folder / "g.safetensors", folder / "data", num=8, seed=3)
    assert again == result
    other = evaluate(folder / "g.safetensors", folder / "data", num=8, seed=4)
    assert other["metrics"] != result["metrics"]


def test_no_more_pictures_than_there_are(folder):
    done = []
    result = evaluate(folder / "g.safetensors", folder / "data", progress=done.append)
    assert result["num_real"] == result["num_fake"] == sum(done) == 12


def test_a_conditional_model_takes_the_datas_labels(folder):
    assert evaluate(folder / "c.safetensors", folder / "data")["num_fake"] == 12
    with pytest.raises(UserError, match="knows 3 classes and .* has 2"):
        evaluate(folder / "c3.safetensors", folder / "data")


def test_refusals(folder):
    with pytest.raises(UsageError, match="unknown metrics 'fid': choose from swd"):
        evaluate(folder / "g.safetensors", folder / "data", metrics=["fid"])
    with pytest.raises(UsageError, match="at least 1 picture"):
        evaluate(folder / "g.safetensors", folder / "data", num=0)
    with pytest.raises(UserError, match="is no generator"):
        evaluate(folder / "d.safetensors", folder / "data")
