import numpy as np
import pytest
from face_marks import scene

from stylegan_jax.errors import UsageError
from stylegan_jax.faces.texts import TextFilter

PICTURES = [scene(seed).convert("RGB") for seed in (1, 2)]


def stub(*rows):
    return lambda images: np.array(rows[: len(images)])


def test_the_nearest_text_of_each_kind_counts():
    texts = TextFilter(
        ("a face", "a head"),
        ("a drawing", "a dog"),
        "tiny",
        stub((0.21, 0.30, 0.25, 0.10), (0.20, 0.21, 0.10, 0.26)),
    )
    one, two = texts.measure(PICTURES)
    assert one == {"clip": pytest.approx(0.05), "clip_text": "a head"}
    assert two == {"clip": pytest.approx(-0.05), "clip_text": "a dog"}
    assert texts.to_json() == {
        "keep": ["a face", "a head"],
        "drop": ["a drawing", "a dog"],
        "model": "tiny",
    }


@pytest.mark.parametrize(
    ("keep", "drop", "said"),
    [
        ((), ("a",), "texts of both kinds"),
        (("a",), (), "texts of both kinds"),
        (("a", " "), ("b",), "a text is empty"),
        (("a", "b"), ("b",), "'b' cannot be kept and dropped"),
    ],
)
def test_texts_that_decide_nothing(keep, drop, said):
    with pytest.raises(UsageError, match=said):
        TextFilter(keep, drop, "tiny", stub())
