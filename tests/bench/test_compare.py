import copy
import json

import pytest

from stylegan_jax.bench import compare as library
from stylegan_jax.bench import report as reports
from stylegan_jax.bench.machine import Peaks
from stylegan_jax.bench.timing import timing_of
from stylegan_jax.errors import UserError

PEAKS = Peaks({"float32": 2e9}, {"float32": 1e9}, copy=4e9, call=1e-5)


def report(**medians):
    rows = [
        {"name": name, "seconds": timing_of([value]).to_json()}
        for name, value in medians.items()
    ]
    settings = {"batch": 8, "config": {"train": {"seed": 0}}}
    return reports.make_report("train", settings, PEAKS, {}, rows)


def test_a_report_reads_back_as_it_was(tmp_path):
    made = report(g_main=1.0)
    reports.save(made, tmp_path / "a" / "r.json")
    assert library.read_report(tmp_path / "a" / "r.json") == made
    assert made["machine"]["versions"]["stylegan_jax"]


def test_ratios_say_how_many_times_as_fast():
    old = report(g_main=2.0, d_main=1.0)
    found = library.compare(report(g_main=1.0, end=1.0), old)
    assert found["ratios"] == {"g_main": 2.0}
    assert found["missing"] == ["d_main", "end"]
    assert found["differences"] == [] and set(found["peaks"].values()) == {1.0}
    text = "\n".join(library.describe(found))
    assert "g_main  2.00x" in text and "only in one of the two: d_main, end" in text
    assert "NOT the same" not in text


def test_other_machines_versions_and_settings_are_told():
    old = report(g_main=2.0)
    new = copy.deepcopy(old)
    new["machine"]["processor"] = "another"
    new["machine"]["versions"]["jax"] = "9.9"
    new["settings"]["config"]["train"]["seed"] = 1
    new["peaks"]["copy_bytes_per_second"] *= 2
    found = library.compare(new, old)
    told = " ".join(found["differences"])
    for word in ('is "another"', "version of jax was", "config.train.seed was 0, is 1"):
        assert word in told
    assert found["peaks"]["copy"] == 2.0
    assert "NOT the same conditions" in "\n".join(library.describe(found))


def test_settings_are_compared_as_json_keeps_them():
    old = report(g_main=2.0)
    new = copy.deepcopy(old)
    new["settings"]["size"], old["settings"]["size"] = (8, 8), [8, 8]
    assert library.compare(new, json.loads(json.dumps(old)))["differences"] == []


def test_another_bench_is_refused():
    other = {**report(), "bench": "ops"}
    with pytest.raises(UserError, match="bench ops and this one of bench train"):
        library.compare(report(), other)


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"format": 0}'])
def test_a_file_that_is_no_report_is_refused(tmp_path, content):
    file = tmp_path / "r.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match="--out FILE.json"):
        library.read_report(file)


def test_tables_are_aligned():
    rows = [{"name": "a", "n": "1"}, {"name": "long", "n": "234"}]
    lines = reports.table(rows, (reports.NAME, ("number", lambda row: row["n"])))
    assert lines == ["      number", "a          1", "long     234"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.345, "2.35 s"), (0.0123, "12.3 ms"), (4.2e-6, "4.2 us"), (None, "-")],
)
def test_seconds_are_readable(seconds, text):
    assert reports.seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1234"), (0.1234, "0.123"), (None, "-")]
)
def test_numbers_have_three_digits(value, text):
    assert reports.number_text(value) == text
    assert reports.share_text(None) == "-" and reports.share_text(0.256) == "26%"
    assert reports.ratio(None, 1.0) is reports.ratio(1.0, 0.0) is None


def test_the_heading_names_machine_and_peaks():
    text = "\n".join(reports.heading(report()))
    assert "8 x cpu" in text and "copy 4.0 GB/s" in text
    assert "float32: matmul 2, convolution 1 GFLOP/s" in text
