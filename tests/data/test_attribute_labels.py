"""Named attributes from tables, file names and sets, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stylegan_jax.data.attribute_labels import (
    Attribute,
    attribute_values,
    parse_attribute,
    read_csv,
    utkface_rows,
)
from stylegan_jax.errors import UserError

ROWS = {
    "a.png": {"age": "31", "smile": "yes", "hair": "red", "hat": "-1"},
    "b.png": {"age": "7.5", "smile": "no", "hair": "grey", "hat": "1"},
    "c.png": {"age": "", "smile": "yes", "hair": "black", "hat": "-1"},
}
NAMES = [("a.png",), ("b.png",), ("c.png",)]


def read(*texts, names=NAMES, rows=ROWS, **options):
    wanted = [parse_attribute(text) for text in texts]
    return attribute_values(rows, names, wanted, "table.csv", **options)


def test_words_minus_ones_and_texts_become_0_and_1():
    values, known, places = read("smile", "hat", "hair:red|grey")
    assert [a.kind for a in known] == ["binary"] * 3
    np.testing.assert_array_equal(values, [[1, 0, 1], [0, 1, 1], [1, 0, 0]])
    np.testing.assert_array_equal(places, [0, 1, 2])


def test_what_lacks_a_value_is_named_or_left_out():
    with pytest.raises(UserError, match=r"1 of 3 pictures lack .* age; .*: c\.png\."):
        read("age")
    values, (age,), places = read("age", skip_unlabelled=True)
    assert age.kind == "number" and list(places) == [0, 1]
    np.testing.assert_allclose(values[:, 0], [31, 7.5])


def test_pictures_are_found_by_the_names_they_have_or_had():
    names = [("00000/img0.png", "b.png"), ("deep/a.png",)]
    values, _, _ = read("smile", names=names)
    np.testing.assert_array_equal(values[:, 0], [0, 1])
    # Two of a name: which is meant is not known.
    with pytest.raises(UserError, match="x/a.png, y/a.png"):
        read("smile", names=[("x/a.png",), ("y/a.png",)], skip_unlabelled=False)


@pytest.mark.parametrize(
    "texts, said",
    [
        (["size"], "table.csv has no size: choose .* from age, hair, hat, smile"),
        (["hair"], r"hair holds texts \(black, grey, red\): .* hair:black"),
        (["hair:blue"], "no picture has hair=blue: choose from black, grey, red"),
        (["age:binary"], "wanted as binary and holds 7.5, 31"),
    ],
)
def test_refusals(texts, said):
    with pytest.raises(UserError, match=said):
        read(*texts, names=NAMES[: 2 if "age" in texts[0] else 3])


def test_kinds_that_are_said():
    assert parse_attribute("age:number") == Attribute("age", "number")
    assert parse_attribute(" a:x | y ") == Attribute("a", "binary", ("x", "y"))
    values, (smile,), _ = read("smile:number")
    assert smile.kind == "number" and set(values[:, 0]) == {0, 1}
    for text in ("", "a:", ":b"):
        with pytest.raises(UserError, match="is not understood"):
            parse_attribute(text)


def test_utkface_names():
    names = ["x/31_1_2_2017.jpg.chip.jpg", "7_0_0_1.jpg", "39_1_20170116.jpg", "a.jpg"]
    assert utkface_rows(names) == {
        "x/31_1_2_2017.jpg.chip.jpg": {"age": 31, "gender": 1},
        "7_0_0_1.jpg": {"age": 7, "gender": 0},
        "39_1_20170116.jpg": {"age": 39, "gender": 1},
    }


@pytest.mark.parametrize(
    "text, said",
    [
        ("name,age\na,1\n", "has the columns name, age: one must be called 'file'"),
        ("file,age,age\na,1,2\n", "no two alike"),
        ("", r"has the columns \(none\)"),
        ("file,age\na,1\nb\nc,1,2\n", "mend line 3, 4"),
        ("file,age\na,1\n./a,2\n", "names files twice: .* of a"),
        ('file,age\n"a,1\n', "is no CSV in UTF-8"),
    ],
)
def test_tables_that_are_refused(tmp_path, text, said):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_csv(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_csv(tmp_path / "absent.csv")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(tmp_path, data):
    path = tmp_path / "any.csv"
    path.write_bytes(b"file,age\n" + data)
    try:
        rows = read_csv(path)
    except UserError:
        return
    assert all(set(row) == {"age"} for row in rows.values())
