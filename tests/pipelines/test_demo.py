"""The demo, shrunk to a few steps."""

from __future__ import annotations

import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import demo


@pytest.fixture
def tiny_demo(monkeypatch):
    words = (
        "data.resolution=16",
        "model.channel_base=64",
        "model.channel_max=8",
        "model.z_dim=8",
        "model.w_dim=8",
        "train.total_kimg=0.128",
        "train.tick_kimg=0.064",
        "train.batch=32",
        "train.seed=0",
        "snapshot.grid=4",
        "eval.num=16",
    )
    plan = demo.Plan(faces=40, overrides=tuple(f"--config.{w}" for w in words))
    monkeypatch.setattr(demo, "FULL", plan)


def test_from_nothing_to_a_page_and_again(tiny_demo, tmp_path):
    said = []
    workdir = tmp_path / "demo"
    outcome, page = demo.run_demo(workdir, show_progress=False, say=said.append)
    assert outcome.nimg == 128
    text = page.read_text()
    assert "drew 40 faces" in text and "data:image/png;base64," in text
    assert "stylegan-jax train --config stylegan2_auto" in text
    assert (workdir / "faces" / "attributes.csv").is_file()
    assert (workdir / "faces-new.png").is_file()
    assert said[0] == "drawing 40 toy faces"
    again, _ = demo.run_demo(workdir, show_progress=False, say=said.append)
    assert again.nimg == 128


def test_a_demo_of_another_size_is_not_told_as_this_one(tiny_demo, tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "one.png").touch()
    with pytest.raises(UserError, match="holds 1 faces of another demo"):
        demo.run_demo(tmp_path, show_progress=False, say=print)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="holds something else"):
        demo.run_demo(tmp_path, show_progress=False, say=print)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
