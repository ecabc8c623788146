"""What a killed job finds again of what it had done."""

from __future__ import annotations

import pytest

from stylegan_jax.checkpoints.journal import Journal, read_journal
from stylegan_jax.errors import UserError


def test_items_stay_and_a_cut_line_costs_itself_alone(tmp_path):
    path = tmp_path / "out" / ".job.jsonl"
    assert read_journal(path) == []
    with Journal(path, {"settings": {"a": 1}}) as journal:
        journal.add("x", {"done": 1})
    with path.open("a") as stream:
        stream.write('["y", {"do')
    with Journal(path, {"settings": {"a": 2}}) as journal:
        journal.add("z", {"done": 2})
    begun, *items = read_journal(path)
    assert begun == {"settings": {"a": 1}}
    assert items == [["x", {"done": 1}], ["z", {"done": 2}]]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another place or make room"):
        Journal(tmp_path / "file" / ".job.jsonl", {}).__enter__()
