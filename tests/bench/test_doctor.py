import json
import sys

import pytest

from stylegan_jax.bench import doctor


@pytest.fixture(scope="module")
def report():
    return doctor.examine()


def test_report_is_json_and_the_core_works(report):
    assert json.loads(json.dumps(report)) == report
    assert report["ok"] and report["problems"] == []
    assert report["machine"]["cpus"] > 0
    assert 0 < report["machine"]["memory_available"] <= report["machine"]["memory"]


def test_every_platform_is_tried(report):
    cpu = next(found for found in report["platforms"] if found["platform"] == "cpu")
    assert cpu["ok"] and len(cpu["devices"]) == 8 and cpu["seconds"] < 60


def test_table_names_every_package_and_extra(report):
    text = doctor.describe(report)
    for row in (*report["packages"], *report["extras"]):
        assert row["name"] in text
    assert text.endswith("the core works")


def test_an_absent_extra_says_what_adds_it(monkeypatch):
    monkeypatch.setitem(doctor.EXTRAS, "cuda", ("no_such_module_here", "GPUs"))
    extra = next(e for e in doctor.examine()["extras"] if e["name"] == "cuda")
    assert not extra["installed"]
    assert extra["command"] == "pip install 'stylegan_jax[cuda]'"


def test_extras_are_those_of_the_metadata():
    from importlib import metadata

    assert set(doctor.EXTRAS) == set(
        metadata.metadata("stylegan_jax").get_all("Provides-Extra")
    )


def test_a_platform_that_fails_is_told_and_not_raised(monkeypatch):
    def broken(_device):
        raise RuntimeError("no driver\nlong traceback")

    monkeypatch.setattr(doctor, "_smoke", broken)
    report = doctor.examine()
    assert not report["ok"]
    assert report["platforms"][0]["error"] == "no driver"
    assert "no platform of jax computes" in report["problems"][0]
    assert "FAILS: no driver" in doctor.describe(report)


def test_packages_out_of_bounds_are_problems(monkeypatch):
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda _: ["jax>=99", "nosuchpackage<3,>=1"]
    )
    problems = doctor.examine()["problems"]
    assert problems[0].startswith("jax ") and "pip install 'jax>=99'" in problems[0]
    assert "nosuchpackage is missing, needed >=1,<3" in problems[1]


@pytest.mark.parametrize(
    ("version", "bounds", "expected"),
    [
        ("0.10.2", ">=0.10.2,<0.13", True),
        ("0.13.0", ">=0.10.2,<0.13", False),
        ("0.9", ">=0.10", False),
        ("20.0.1.post1", ">=20.0,<21", True),
        ("1.0", "==1.0.0", True),
        ("1.0", "!=1.0", False),
        ("7", "", True),
    ],
)
def test_bounds_are_compared_by_number(version, bounds, expected):
    assert doctor.within(version, bounds) is expected


def test_frozen_weights_are_listed_with_the_command_that_adds_them(
    tmp_path, monkeypatch
):
    from stylegan_jax.checkpoints.weights import store_weights
    from stylegan_jax.checkpoints.weights_registry import REGISTRY

    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path))
    (tmp_path / "model").write_bytes(b"abc")
    store_weights(REGISTRY["vgg16"], {"model": tmp_path / "model"}, {})
    (tmp_path / "weights" / "vgg19.json").write_text("{")
    report = doctor.examine()
    assert [row["name"] for row in report["weights"]] == list(REGISTRY)
    lines = doctor.describe(report).splitlines()
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert rows["vgg16"].endswith(" in the cache")
    assert rows["lpips_alex"].endswith(" stylegan-jax weights get lpips_alex")
    assert rows["vgg19"].endswith(
        " DAMAGED: stylegan-jax weights import vgg19 vgg19-dcbb9e9d.pth"
    )


def test_a_missing_package_does_not_stop_the_doctor(monkeypatch):
    monkeypatch.setitem(sys.modules, "stylegan_jax.checkpoints.weights", None)
    report = doctor.examine()
    assert report["weights"] == [] and "frozen weights" in doctor.describe(report)
