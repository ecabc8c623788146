"""Rows through a program in tiles: any number of rows, on any number of devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.checkpoints.tiles import Tiles


def doubled(variables, rows):
    return rows * variables["scale"]


@pytest.mark.parametrize("number", [1, 3, 4, 5, 33, 70])
def test_every_row_comes_back_once_and_in_order(number):
    rows = np.arange(number * 2, dtype=np.float32).reshape(number, 2)
    got = Tiles(doubled, {"scale": jnp.float32(2)}).run(rows, 4)
    np.testing.assert_array_equal(got, rows * 2)


def test_a_single_tile_takes_one_device_and_more_take_all():
    assert len(jax.local_devices()) == 8
    assert Tiles.devices(4, tile=4) == 1
    assert Tiles.devices(5, tile=4) == 8


def test_a_row_does_not_depend_on_its_neighbours_or_on_the_devices():
    key = jax.random.key(0)
    weights = {"w": jax.random.normal(key, (37, 37))}
    tiles = Tiles(lambda variables, rows: jnp.tanh(rows @ variables["w"]), weights)
    rows = np.asarray(jax.random.normal(jax.random.key(1), (19, 37)))
    many = tiles.run(rows, 2)
    for number in (0, 7, 18):
        alone = tiles.run(rows[number : number + 1], 2)
        np.testing.assert_array_equal(alone[0], many[number])


def test_a_program_is_compiled_once_for_a_number_of_devices():
    traced = []

    def function(variables, rows):
        traced.append(rows.shape)
        return rows + variables

    tiles = Tiles(function, jnp.float32(1))
    for number in (1, 2, 9, 17, 40):
        tiles.run(np.zeros((number, 3), np.float32), 2)
    assert traced == [(2, 3), (2, 3)]  # for one device, and for eight


def test_start_fills_up_to_whole_tiles():
    tiles = Tiles(doubled, {"scale": jnp.float32(2)})
    got = tiles.start(np.ones((3, 1), np.float32), 2, devices=8)
    assert got.shape == (16, 1)
    np.testing.assert_array_equal(np.asarray(got)[:3], 2)
