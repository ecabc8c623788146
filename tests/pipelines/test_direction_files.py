import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.direction_files import (
    Direction,
    direction_from,
    direction_paths,
    find_direction,
    load_direction,
    read_direction,
    write_direction,
)

KNOWN = {"how": "fit", "attribute": "smile"}


def some(shape=(8,)):
    array = np.random.default_rng(0).standard_normal(shape)
    return direction_from(array, KNOWN, accuracy=0.75)


@pytest.mark.parametrize("shape", [(8,), (6, 8)])
def test_round_trip(tmp_path, shape):
    path, want = tmp_path / "a.npz", some(shape)
    write_direction(path, want)
    got = load_direction(path)
    np.testing.assert_allclose(got.unit, want.unit, rtol=1e-6)
    assert np.linalg.norm(got.unit) == pytest.approx(1)
    assert got.norm == pytest.approx(want.norm) and got.accuracy == 0.75
    assert got.provenance == KNOWN and got.attribute == "smile"
    np.testing.assert_allclose(read_direction(path), want.array, rtol=1e-6)
    with np.load(path) as file:
        keys = {"unit", "norm", "direction", "accuracy", "provenance"}
        assert set(file.files) == keys
        assert file["unit"].dtype == file["norm"].dtype == np.float32


def test_arrays_of_other_programs(tmp_path):
    np.save(tmp_path / "a.npy", np.full((18, 4), 0.5))
    got = load_direction(tmp_path / "a.npy")
    assert got.norm == pytest.approx(0.5 * 72**0.5) and np.isnan(got.accuracy)
    assert got.provenance == {} and got.attribute is None
    np.testing.assert_allclose(got.array, 0.5, rtol=1e-6)
    np.savez(tmp_path / "b.npz", unit=np.array([0, 2.0]))
    assert read_direction(tmp_path / "b.npz").tolist() == [0, 2]


def test_names(tmp_path):
    run = tmp_path / "run"
    models, folder = run / "models", run / "directions"
    models.mkdir(parents=True)
    (models / "g_ema-000001.safetensors").touch()
    write_direction(folder / "smile.npz", some())
    for model in (run, models, models / "g_ema-000001.safetensors"):
        assert find_direction("smile", model) == folder / "smile.npz"
    # The nearest counts, and a file is a file.
    write_direction(models / "directions" / "smile.npz", some())
    nearest = models / "directions" / "smile.npz"
    assert find_direction("smile", models) == nearest
    assert find_direction(nearest) == nearest
    with pytest.raises(UserError, match=r"no direction 'age'.*there are smile\)"):
        find_direction("age", run)
    with pytest.raises(UserError, match="no direction 'age': give a file"):
        find_direction("age")
    with pytest.raises(UserError, match=r"no direction .*b\.npz: check"):
        find_direction(tmp_path / "b.npz", run)


def test_folders(tmp_path):
    for name in ("b.npz", "a.npz"):
        write_direction(tmp_path / name, some())
    (tmp_path / "samples-1.npz").touch()
    (tmp_path / "note.txt").touch()
    found = direction_paths([tmp_path, tmp_path / "b.npz"])
    assert [path.name for path in found] == ["a.npz", "b.npz", "b.npz"]
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "none"):
        with pytest.raises(UserError):
            direction_paths([tmp_path / wrong])


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"other": np.ones(3)}, "has no array direction or unit .it has other"),
        ({"unit": np.ones((2, 3, 4))}, r"has \[2, 3, 4\] float64"),
        ({"unit": np.array(["a"])}, r"has \[1\] <U1"),
        ({"unit": np.array([np.nan])}, "finite numbers"),
        ({"unit": np.array([1e300])}, "finite numbers"),
        ({"unit": np.zeros(3)}, "leads nowhere"),
        ({"unit": np.ones(3), "provenance": np.array("{")}, "damaged provenance"),
        ({"unit": np.ones(3), "provenance": np.array("[]")}, "no JSON object"),
        ({"unit": np.ones(3), "accuracy": np.ones(2)}, "damaged provenance or acc"),
    ],
)
def test_files_that_are_none(tmp_path, arrays, sentence):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=sentence):
        load_direction(tmp_path / "a.npz")


def test_places_that_are_none(tmp_path):
    with pytest.raises(UserError, match="no file"):
        read_direction(tmp_path / "a.npz")
    with pytest.raises(UsageError, match=r"ends in \.npz"):
        write_direction(tmp_path / "a.npy", some())
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"no \.npy or \.npz"):
        read_direction(tmp_path / "o.npy")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_are_refused_in_a_sentence(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    write = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    write(path, unit=np.ones(5, np.float32), provenance=np.array(json.dumps(KNOWN)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = load_direction(path)
    except UserError as error:
        assert str(error).count("\n") == 0
    else:
        assert isinstance(found, Direction) and np.isfinite(found.array).all()
