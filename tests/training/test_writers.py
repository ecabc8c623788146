"""``stats.jsonl``: whole lines, none of work that was lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stylegan_jax.errors import UserError
from stylegan_jax.training import writers
from stylegan_jax.training.writers import StatsWriter


def line(nimg, **figures):
    return {"step": nimg // 8, "nimg": nimg, **figures}


def read(folder):
    text = (folder / "stats.jsonl").read_text()
    assert not text or text.endswith("\n")
    return [json.loads(x) for x in text.splitlines()]


def write(folder, nimg, *lines):
    writer = StatsWriter(folder, nimg=nimg)
    for figures in lines:
        writer.write(figures)
    writer.close()


def test_appends_one_object_per_line(tmp_path):
    figures = {"loss/g_main": np.float32(0.5), "reg/r1": None, "note": "x"}
    write(tmp_path, -1, line(8, **figures), line(np.int64(16)))
    assert read(tmp_path) == [
        {"step": 1, "nimg": 8, "loss/g_main": 0.5, "reg/r1": None, "note": "x"},
        {"step": 2, "nimg": 16},
    ]


def test_a_line_can_be_read_before_the_run_ends(tmp_path):
    writer = StatsWriter(tmp_path, nimg=-1)
    writer.write(line(8))
    assert read(tmp_path) == [line(8)]
    writer.close()


def test_resume_drops_what_was_lost(tmp_path):
    write(tmp_path, -1, line(0), line(8), line(16), line(24))
    write(tmp_path, 16, line(24, again=True))
    assert read(tmp_path) == [line(0), line(8), line(16), line(24, again=True)]


def test_a_new_run_keeps_nothing(tmp_path):
    write(tmp_path, -1, line(0), line(8))
    write(tmp_path, -1, line(0, again=True))
    assert read(tmp_path) == [line(0, again=True)]


@pytest.mark.parametrize(
    "torn",
    [
        '{"step": 2, "ni',
        '{"step": 2, "nimg": null}\n',
        '{"step": 2}\n',
        "[16]\n",
        "\n",
        '{"nimg": 1e999}\n',
        "\0\0\0\0",
        b"\xff\xfe",
    ],
)
def test_torn_lines_are_dropped(tmp_path, torn):
    write(tmp_path, -1, line(8))
    with (tmp_path / "stats.jsonl").open("ab") as stream:
        stream.write(torn if isinstance(torn, bytes) else torn.encode())
    write(tmp_path, 16, line(24))
    assert read(tmp_path) == [line(8), line(24)]


def test_a_whole_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "stats.jsonl"
    path.write_text(json.dumps(line(8)))
    write(tmp_path, 16, line(24))
    assert read(tmp_path) == [line(8), line(24)]


def test_a_good_file_is_not_written_anew(tmp_path):
    write(tmp_path, -1, line(8))
    path = tmp_path / "stats.jsonl"
    before = path.stat().st_ino
    StatsWriter(tmp_path, nimg=8).close()
    assert path.stat().st_ino == before


def test_a_full_disk(tmp_path, monkeypatch):
    writer = StatsWriter(tmp_path, nimg=-1)

    def full(*words, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError) as caught:
        writer.write(line(8))
    assert str(caught.value) == (
        f"cannot write {tmp_path / 'stats.jsonl'}: No space left on device; make room "
        "and run the same command again."
    )


def test_a_folder_that_is_gone(tmp_path):
    writer = StatsWriter(tmp_path / "absent", nimg=-1)
    with pytest.raises(UserError, match="No such file or directory; make room"):
        writer.write(line(8))


def test_tensorboard_gets_floats_and_pictures(tmp_path, monkeypatch):
    told = []

    class Recorder:
        def write_scalars(self, step, scalars):
            told.append((step, scalars))

        def write_images(self, step, images):
            told.append((step, {name: x.shape for name, x in images.items()}))

        def close(self):
            told.append("closed")

    monkeypatch.setattr(writers, "_tensorboard_writer", lambda workdir: Recorder())
    writer = StatsWriter(tmp_path, nimg=-1)
    writer.write(line(16, a=0.5, b=None))
    writer.picture(2, "fakes", np.zeros((4, 6, 3), np.uint8))
    writer.close()
    assert told == [(2, {"a": 0.5}), (2, {"fakes": (1, 4, 6, 3)}), "closed"]
