import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines.stylize_records import (
    FILE,
    FORMAT,
    JOURNAL,
    LATENTS,
    Latents,
    Records,
    read_entries,
)

BEGUN = {"model": {"file": "m", "sha256": "1"}, "settings": {"couple": False}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "settings", "pictures", "outputs", "a"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.binary(max_size=60), JSON), st.one_of(st.binary(max_size=60), JSON))
def test_damaged_records_are_refused_or_read(document, journal):
    with tempfile.TemporaryDirectory() as name:
        for file, content in ((FILE, document), (JOURNAL, journal)):
            if not isinstance(content, bytes):
                content = json.dumps(content).encode()
            Path(name, file).write_bytes(content)
        try:
            begun, entries = read_entries(name)
        except UserError:
            return
        assert begun is None or set(begun) >= {"model", "settings"}
        assert isinstance(entries, dict)


@pytest.mark.parametrize("output", ["../a.png", "/a.png", "a.txt", 3])
def test_no_file_elsewhere_is_ever_named(tmp_path, output):
    pictures = {"a.png": {"outputs": [output]}}
    document = {"format": FORMAT, **BEGUN, "pictures": pictures}
    (tmp_path / FILE).write_text(json.dumps(document))
    with pytest.raises(UserError, match="is not the record"):
        Records(tmp_path, BEGUN, overwrite=True)


def test_outputs_of_other_pictures_stay(tmp_path):
    for name in ("a", "b"):
        records = Records(tmp_path, BEGUN, overwrite=False)
        (tmp_path / f"{name}.png").write_bytes(b"x")
        with records:
            records.add(name, {"stamp": "1", "outputs": [f"{name}.png"]})
        assert set(records.close([name])) == {name}
    records = Records(tmp_path, BEGUN, overwrite=False)
    assert records.done("a", "1") and records.done("b", "1")
    assert not records.done("a", "2") and not records.done("c", "1")
    other = {**BEGUN, "model": {"file": "n", "sha256": "2"}}
    with pytest.raises(UserError, match=r"the model m \(now n, which has other"):
        Records(tmp_path, other, overwrite=False)


def test_damaged_latents_are_refused(tmp_path):
    latents = Latents(tmp_path, wanted=True)
    latents.add("b.png", np.ones((2, 3), np.float32))
    latents.add("a.png", np.zeros((2, 3), np.float32))
    latents.save()
    again = Latents(tmp_path, wanted=False)
    assert again.kept and again.has(["a.png", "b.png"]) and not again.has(["c.png"])
    (tmp_path / LATENTS).write_bytes(b"PK")
    with pytest.raises(UserError, match=r"w.npz cannot be read"):
        Latents(tmp_path, wanted=False)
