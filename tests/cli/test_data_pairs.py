import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from stylegan_jax.cli.data_pairs import pairs
from stylegan_jax.data.pairs import open_pairs


@pytest.fixture
def sides(tmp_path):
    for side, names in (("a", "12"), ("b", "23")):
        (tmp_path / side).mkdir()
        for name in names:
            array = np.full((16, 16, 3), int(name), np.uint8)
            Image.fromarray(array).save(tmp_path / side / f"{name}.png")
    return str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "set")


def test_unmatched_pictures_are_told_and_counted(sides):
    result = CliRunner().invoke(pairs, [*sides, "--size", "8x4"])
    assert result.exit_code != 0 and "--skip-unmatched" in str(result.exception)
    result = CliRunner().invoke(pairs, [*sides, "--size", "8x4", "--skip-unmatched"])
    assert result.exit_code == 0, result.output
    assert "1 pairs of 8x4, 2 pictures" in result.stdout
    assert "1.png" in result.stderr and "3.png" in result.stderr
    assert open_pairs(sides[2]).image_shape == (8, 4, 3)


def test_json_has_the_names_left_out(sides):
    result = CliRunner().invoke(
        pairs, [*sides, "--skip-unmatched", "--json", "--channels", "1"]
    )
    found = json.loads(result.stdout)
    assert found["pairs"] == 1 and found["image_shape"] == [16, 16, 1]
    assert found["unmatched_a"] == ["1.png"] and found["unmatched_b"] == ["3.png"]


def test_a_size_that_is_none_is_refused(sides):
    result = CliRunner().invoke(pairs, [*sides, "--size", "large"])
    assert result.exit_code == 2 and "HEIGHTxWIDTH" in result.output


def test_curate_marks_pairs_and_says_how_many(sides):
    words = [*sides, "--skip-unmatched", "--curate", "--min-sharpness", "0"]
    result = CliRunner().invoke(pairs, words)
    assert result.exit_code == 0, result.output
    assert "1 pairs of 16x16, 1 kept, 2 pictures" in result.stdout
    assert "note: no score of" in result.stderr
    again = CliRunner().invoke(pairs, [*words, "--json"])
    found = json.loads(again.stdout)
    assert found["kept"] == 1 and not found["written"]


def test_bounds_of_curation_are_those_of_pairs():
    from stylegan_jax.cli.pairs import pairs as drawn

    names = {"curate", "lpips_band", "min_identity", "min_sharpness"}
    ours, theirs = (
        {p.name: (p.default, p.help) for p in command.params if p.name in names}
        for command in (pairs, drawn)
    )
    assert len(ours) == 4 and ours == theirs


def test_label_maps_and_sketches_are_asked_for(sides):
    for word, channels in (["--labels-a"], None), (["--channels-a", "1"], 1):
        result = CliRunner().invoke(
            pairs, [*sides, "--skip-unmatched", "--overwrite", *word]
        )
        if channels is None:  # these pictures have colours
            assert "2.png: is RGB" in str(result.exception)
            continue
        assert result.exit_code == 0, result.output
        assert open_pairs(sides[2], channels=(1, 3)).shapes["a"] == (16, 16, 1)
