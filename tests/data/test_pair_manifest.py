"""Reading what a set of pairs says of itself."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stylegan_jax.data import pair_manifest as manifest
from stylegan_jax.errors import UserError

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["index", "a", "b", "keep", "kind", "format", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)
LINE = st.fixed_dictionaries(
    {"index": st.integers(0, 5), "a": st.text(max_size=5), "b": st.text(max_size=5)},
    optional={"keep": st.booleans(), "scores": ANY},
)
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@QUICK
@given(st.binary(max_size=60) | ANY.map(lambda x: json.dumps(x).encode()))
def test_any_bytes_are_read_or_refused(tmp_path, data):
    for name in ("manifest.json", "manifest.jsonl"):
        (tmp_path / name).write_bytes(data)
    try:
        pairs = manifest.read_pairs(tmp_path, kept=False)
        assert all(type(pair["index"]) is int for pair in pairs)
    except UserError as error:
        assert "manifest.jsonl" in str(error)
    try:
        assert manifest.read_document(tmp_path)["kind"] == manifest.KIND
    except UserError as error:
        assert "manifest.json" in str(error)


@QUICK
@given(st.lists(LINE, max_size=6, unique_by=lambda line: line["index"]))
def test_lines_come_back_as_written_less_those_left_out(tmp_path, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "manifest.jsonl").write_text(text)
    again = manifest.read_pairs(tmp_path, kept=False)
    assert json.dumps(again) == json.dumps(lines)
    kept = [line for line in lines if line.get("keep", True)]
    assert json.dumps(manifest.read_pairs(tmp_path)) == json.dumps(kept)


def test_there_may_be_no_document_yet(tmp_path):
    assert manifest.read_document(tmp_path) is None
    (tmp_path / "manifest.json").write_text(
        json.dumps({"kind": manifest.KIND, "format": manifest.FORMAT + 1})
    )
    with pytest.raises(UserError, match="update stylegan_jax"):
        manifest.read_document(tmp_path)


def test_sides_have_shapes_and_kinds_of_their_own():
    plain = {"image_shape": [4, 5, 3], "a": {"source": "x"}}
    assert manifest.shapes(plain) == {"a": (4, 5, 3), "b": (4, 5, 3)}
    assert not manifest.has_labels(plain)
    maps = {**plain, "a": {"kind": manifest.LABELS, "channels": 1}}
    assert manifest.shapes(maps) == {"a": (4, 5, 1), "b": (4, 5, 3)}
    assert manifest.has_labels(maps)
    assert manifest.shapes({}) is None and not manifest.has_labels({"a": "model"})
