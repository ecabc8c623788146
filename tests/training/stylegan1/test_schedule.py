"""When a run is at which resolution, and how far the fade is."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.errors import UsageError
from stylegan_jax.training.stylegan1.schedule import (
    make_schedule,
    read_table,
    stage_at,
)

SIDES = [4, 8, 16, 32]


def schedule(start=8, fade=2.0):
    table = dict.fromkeys(SIDES, 0.001)
    return make_schedule(
        SIDES,
        start=start,
        train_kimg=dict.fromkeys(SIDES, 3.0),
        fade_kimg=dict.fromkeys(SIDES, fade),
        batch={4: 64, 8: 32, 16: 16, 32: 8},
        learning_rate={**table, 32: 0.002},
    )


def test_stages():
    found = [
        (s.resolution, s.blocks, s.top_lod, s.begins, s.fades, s.ends, s.turns)
        for s in schedule()
    ]
    assert found == [
        (8, 2, 2, 0, 0, 3000, (3000,)),
        (16, 3, 1, 3000, 2000, 8000, (5000, 8000)),
        (32, 4, 0, 8000, 2000, None, (10000,)),
    ]
    assert [(s.batch, s.learning_rate) for s in schedule()] == [
        (32, 0.001),
        (16, 0.001),
        (8, 0.002),
    ]


def test_the_level_of_detail_is_that_of_the_program_of_2018():
    """Against its formula, image by image (600/600 there, 3/2 kimg here)."""
    stages = schedule()
    for nimg in range(0, 14000, 50):
        phase, within = divmod(nimg, 5000)
        lod = max(2 - phase - max(within - 3000, 0) / 2000, 0)
        stage = stage_at(stages, nimg)
        ours = stage.top_lod + stage.fade_at(nimg)
        assert ours == pytest.approx(lod, abs=1e-9), nimg
        traced = stage.top_lod + stage.fade(jnp.int32(nimg))
        np.testing.assert_allclose(traced, lod, atol=1e-6)
        if lod % 1:
            assert stage.resolution == 32 >> int(lod)


def test_no_fade_and_no_growth():
    stages = schedule(fade=0.0)
    assert [s.turns for s in stages] == [(3000,), (6000,), ()]
    assert stage_at(stages, 6000).fade_at(6000) == 0.0
    (only,) = schedule(start=32)
    assert (only.resolution, only.begins, only.fades, only.ends) == (32, 0, 0, None)


def test_a_batch_that_passes_a_border_is_in_the_next_stage():
    assert stage_at(schedule(), 2999).resolution == 8
    assert stage_at(schedule(), 3007).resolution == 16


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("600", [600, 600, 600, 600]),
        ("32,4:512, 8:256", [512, 256, 32, 32]),
        ("4:1,8:2,16:3,32:4,1024:9", [1, 2, 3, 4]),
    ],
)
def test_tables(text, found):
    assert list(read_table(text, "grow.batch", SIDES).values()) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("8:1,x,9:2,16:nan,16:-1", "not understood at 'x', '9:2', '16:nan', '16:-1':"),
        ("1,2", "not understood at '2'"),
        ("4:1,4:2,3", "not understood at '4:2'"),
        ("4:1,16:2", "no number for the resolutions 8, 32"),
        ("", "no number for the resolutions 4, 8, 16, 32"),
    ],
)
def test_wrong_tables_name_every_offender(text, sentence):
    with pytest.raises(UsageError, match="grow.batch=") as caught:
        read_table(text, "grow.batch", SIDES)
    assert sentence in str(caught.value)
