"""What a run shows of its data, and which measures it takes."""

from __future__ import annotations

import jax
import pytest

from stylegan_jax.errors import UsageError
from stylegan_jax.training.build import build_run
from stylegan_jax.training.hooks import Samples


@pytest.fixture
def make(tiny, tmp_path):
    def run(*words):
        devices = jax.devices()[:1]
        return build_run(tiny(*words), tmp_path, devices=devices, progress=False)

    return run


@pytest.mark.parametrize("grid, shown", [(4, 4), (64, 48)])
def test_a_grid_has_no_more_than_there_are_pictures(make, tmp_path, grid, shown):
    samples = Samples(make(f"snapshot.grid={grid}"), tmp_path)
    assert samples.reals["image"].shape == (shown, 16, 16, 3)
    samples.write_reals()
    assert (tmp_path / "samples" / "reals.png").is_file()


@pytest.mark.parametrize("text, named", [("swd,fid,kid", "fid, kid"), ("[3]", "3")])
def test_unknown_metrics(make, tmp_path, text, named):
    with pytest.raises(UsageError) as caught:
        make(f"eval.metrics={text}")
    said = f"eval.metrics has {named}: while training, choose from swd."
    assert said in str(caught.value)
