import pytest

from stylegan_jax.bench import input_pipeline as library
from stylegan_jax.data import toy
from stylegan_jax.errors import UserError


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "faces"
    toy.write_toy(folder, style="comic", num=24, size=8)
    return str(folder)


def test_first_and_later_looks_are_measured_apart(faces):
    report = library.bench_data(faces, batch=4, seconds=0.2)
    assert [row["name"] for row in report["rows"]] == [library.FIRST, library.LATER]
    assert min(row["images_per_second"] for row in report["rows"]) > 0
    assert report["settings"]["size"] == [8, 8, 3]
    assert report["figures"]["keeps_up"] is None
    assert "24 pictures of 8x8, batch 4" in "\n".join(library.describe(report))


@pytest.mark.parametrize(("rate", "keeps_up"), [(1e-3, True), (1e12, False)])
def test_the_rate_that_is_asked_for_decides(faces, rate, keeps_up):
    report = library.bench_data(faces, batch=4, seconds=0.05, rate=rate)
    assert report["figures"]["keeps_up"] is keeps_up
    word = "keeps up with" if keeps_up else "is too slow for"
    assert library.describe(report)[-1].startswith(word)


def test_few_batches_are_said_to_be_few(faces):
    report = library.bench_data(faces, batch=7, seconds=0.5)
    first, later = report["rows"]
    # 24 pictures are three batches of 7, of which the first starts the clock.
    assert first["batches"] == 2 and later["batches"] > 2
    assert "first look: 2 batches are few" in "\n".join(library.describe(report))


def test_fewer_pictures_than_a_batch_are_refused(faces):
    with pytest.raises(UserError, match="24"):
        library.bench_data(faces, batch=25, seconds=0.1)
