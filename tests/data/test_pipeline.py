import json

import numpy as np
import pytest

from stylegan_jax.data.dataset import ImageDataset, open_dataset
from stylegan_jax.data.pipeline import make_stream
from stylegan_jax.errors import UserError


@pytest.fixture
def dataset(make, tmp_path) -> ImageDataset:
    """Twenty pictures that tell their number in every pixel's green channel."""
    folder = tmp_path / "numbered"
    folder.mkdir()
    for i in range(20):
        picture = np.full((4, 4, 3), (0, i, 0), np.uint8)
        (folder / f"{i:02d}.png").write_bytes(make.encode(picture))
    labels = [[f"{i:02d}.png", i % 2] for i in range(20)]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return open_dataset(folder, use_labels=True, cache_dir=tmp_path / "cache")


def numbers(stream, batches):
    return [next(stream)["image"][:, 0, 0, 1].tolist() for _ in range(batches)]


def take(dataset, batches, **options):
    with make_stream([(dataset, 1)], **{"seed": 5, **options}) as stream:
        return numbers(stream, batches)


def flat(batches):
    return [number for batch in batches for number in batch]


def test_batches_have_the_promised_types(dataset):
    with make_stream([(dataset, 1)], batch=6, seed=0) as stream:
        batch = next(stream)
    assert batch["image"].shape == (6, 4, 4, 3) and batch["image"].dtype == np.uint8
    assert batch["label"].shape == (6, 2) and batch["label"].dtype == np.float32
    np.testing.assert_array_equal(
        batch["label"].argmax(1), batch["image"][:, 0, 0, 1] % 2
    )


def test_every_epoch_holds_each_sample_once_in_a_new_order(dataset):
    order = flat(take(dataset, 12, batch=5))
    epochs = [order[i : i + 20] for i in (0, 20, 40)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_stream_does_not_depend_on_the_batch(dataset):
    assert flat(take(dataset, 10, batch=4)) == flat(take(dataset, 5, batch=8))


def test_seeds_differ_and_are_not_shifted_epochs(dataset):
    zero, one = (flat(take(dataset, 8, batch=5, seed=s)) for s in (0, 1))
    assert zero[:20] != one[:20]
    assert zero[20:] != one[:20]


@pytest.mark.parametrize("order", [range(8), [3, 0, 7], [5]])
def test_rows_are_taken_from_the_global_batch(dataset, order):
    rows = np.array(order)
    whole = np.array(take(dataset, 6, batch=8))
    part = np.array(take(dataset, 6, batch=8, rows=rows))
    np.testing.assert_array_equal(part, whole[:, rows])


@pytest.mark.parametrize("start", [0, 8, 24, 400])
def test_restart_goes_on_exactly(dataset, start):
    whole = take(dataset, start // 8 + 3, batch=8)
    assert take(dataset, 3, batch=8, start_image=start) == whole[start // 8 :]


def test_position_and_state(dataset):
    with make_stream([(dataset, 1)], batch=8, rows=np.array([1]), seed=5) as stream:
        numbers(stream, 3)
        state = json.loads(json.dumps(stream.state()))
        rest = numbers(stream, 2)
    assert state["position"] == 24 and state["seed"] == 5
    again = take(dataset, 2, batch=8, rows=np.array([1]), start_image=state["position"])
    assert again == rest


def test_worker_processes_do_not_change_the_stream(dataset):
    expected = take(dataset, 5, batch=8, start_image=16)
    assert take(dataset, 5, batch=8, start_image=16, workers=2) == expected


def test_mixture_keeps_proportions_and_is_deterministic(make, tmp_path, dataset):
    other = np.full((4, 4, 3), 100, np.uint8)
    folder = tmp_path / "few"
    folder.mkdir()
    labels = [["a.png", 0], ["b.png", 1]]
    for name, _ in labels:
        (folder / name).write_bytes(make.encode(other))
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    few = open_dataset(folder, use_labels=True, cache_dir=tmp_path / "cache")
    pairs = [(dataset, 3.0), (few, 1.0)]
    with make_stream(pairs, batch=8, seed=2) as stream:
        first = numbers(stream, 20)
    with make_stream(pairs, batch=8, seed=2, start_image=80) as stream:
        assert numbers(stream, 10) == first[10:]
    assert flat(first).count(100) == 40
    assert all(batch.count(100) == 2 for batch in first)


def test_long_runs_do_not_overflow(dataset):
    far = 4 * 10**9 // 8 * 8  # beyond 32 bits, and beyond any training run
    assert len(flat(take(dataset, 2, batch=8, start_image=far))) == 16


def test_closing_twice_and_using_after_closing(dataset):
    stream = make_stream([(dataset, 1)], batch=4, seed=0)
    next(stream)
    stream.close()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        next(stream)


def test_errors_in_files_reach_the_consumer(make, tmp_path):
    folder = make.folder(tmp_path / "f", 4)
    dataset = open_dataset(folder, cache_dir=tmp_path / "cache")
    for file in (tmp_path / "f").glob("*.png"):
        file.write_bytes(b"")
    with make_stream([(dataset, 1)], batch=4, seed=0) as stream:
        with pytest.raises(UserError, match="damaged after .*empty file"):
            next(stream)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch": 32}, "numbered has 20 pictures, fewer than the batch of 32"),
        ({"batch": 0}, "out of range"),
        ({"start_image": -1}, "out of range"),
        ({"workers": -1}, "out of range"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is"),
        ({"rows": np.array([4])}, "rows is"),
        ({"rows": np.array([], int)}, "rows is"),
    ],
)
def test_refusals(dataset, options, said):
    with pytest.raises(UserError, match=said):
        make_stream([(dataset, 1)], **{"batch": 4, "seed": 0, **options})
    with pytest.raises(UserError, match="no dataset"):
        make_stream([], batch=4, seed=0)
