import json

import jax
import numpy as np
import pytest
from brightness_reader import BrightnessReader
from lively_models import lively_generator
from tiny_models import save_tiny

from stylegan_jax.checkpoints.load import load_generator
from stylegan_jax.checkpoints.model_file import sha256_of
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.latents.directions import fix_signs
from stylegan_jax.latents.latent_pictures import LatentPictures
from stylegan_jax.pipelines import direction_sets
from stylegan_jax.pipelines import directions as library
from stylegan_jax.pipelines.direction_files import load_direction, write_direction
from stylegan_jax.pipelines.direction_samples import DrawOptions, draw_w
from stylegan_jax.pipelines.direction_sets import (
    closed_form,
    condition,
    describe,
    import_arrays,
    principal,
)

FEW = DrawOptions(num=120)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("g") / "g.safetensors"
    return save_tiny(path, *lively_generator())


@pytest.fixture(scope="module")
def pictures(model):
    return LatentPictures(load_generator(model))


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch, pictures):
    for module in (library, direction_sets):
        monkeypatch.setattr(module, "LatentPictures", lambda *_, **__: pictures)


@pytest.fixture
def reader(monkeypatch):
    reader = BrightnessReader()
    monkeypatch.setattr(library, "open_reader", lambda text: reader)
    return reader


def labelled(tmp_path, pictures, seeds, key="seed"):
    """A table of a label that a known direction parts."""
    w = draw_w(pictures, list(seeds), truncation_psi=0.7)
    true = np.random.default_rng(5).standard_normal(w.shape[1]) / w.std(0)
    true /= np.linalg.norm(true)
    values = (w - w.mean(0)) @ true
    lines = [
        f"{i if key == 'index' else seed},{int(v > 0)},{v}"
        for i, (seed, v) in enumerate(zip(seeds, values, strict=True))
    ]
    table = tmp_path / f"{key}.csv"
    table.write_text("\n".join([f"{key},yes,much", *lines]))
    return table, w, true


def test_fit_from_a_table(model, pictures, tmp_path):
    table, w, true = labelled(tmp_path, pictures, range(100, 500))
    out = tmp_path / "d" / "yes.npz"
    options = library.FitOptions("yes", l2=0.1)
    found = library.fit(model, out, options, labels=table)
    direction = load_direction(out)
    assert direction.unit @ true > 0.95
    assert direction.accuracy == pytest.approx(found["accuracy"]) and (
        found["accuracy"] > 0.9
    )
    known = direction.provenance
    assert known["model"] == {"file": model.name, "sha256": sha256_of(model)}
    assert known["labels"] == {"file": "seed.csv", "sha256": sha256_of(table)}
    assert known["attribute"] == "yes" and known["kind"] == "binary"
    assert known["psi"] == 0.7 and known["licence"] == "Apache-2.0"
    assert known["measured"]["curve"][-1][0] == 320
    # One step is the distance of the classes along the direction.
    positive = (w - w.mean(0)) @ true > 0
    along = w.astype(np.float64) @ direction.unit
    distance = along[positive].mean() - along[~positive].mean()
    assert direction.norm == pytest.approx(distance, rel=1e-4)
    # A number's halves are the same classes here; seeds may be counted from --seed.
    table, *_ = labelled(tmp_path, pictures, range(100, 500), "index")
    options = library.FitOptions("much", l2=0.1)
    draws = DrawOptions(seed=100)
    found = library.fit(model, tmp_path / "much.npz", options, draws, labels=table)
    assert load_direction(tmp_path / "much.npz").unit @ direction.unit > 0.99
    assert found["kind"] == "number" and found["measured"]["spearman"] > 0.9


def test_fit_to_a_file_of_latents(model, pictures, tmp_path):
    table, w, true = labelled(tmp_path, pictures, range(300), "index")
    np.savez(tmp_path / "w.npz", w=w)
    draws = DrawOptions(w_file=tmp_path / "w.npz")
    options = library.FitOptions("yes", l2=0.1, method="svm")
    library.fit(model, tmp_path / "a.npz", options, draws, labels=table)
    assert load_direction(tmp_path / "a.npz").unit @ true > 0.95
    # By seed, in any order, if the file has seeds.
    table, *_ = labelled(tmp_path, pictures, range(300))
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], *lines[:0:-1]]))
    with pytest.raises(UserError, match="has no seeds"):
        library.fit(model, tmp_path / "b.npz", options, draws, labels=table)
    np.savez(tmp_path / "w.npz", w=w, seeds=np.arange(300))
    library.fit(model, tmp_path / "b.npz", options, draws, labels=table)
    a, b = (load_direction(tmp_path / f"{name}.npz").unit for name in "ab")
    assert a @ b > 0.999
    table.write_text("\n".join([*lines, "7000,1,1", "7001,0,1"]))
    with pytest.raises(UserError, match="seed 7000, 7001"):
        library.fit(model, tmp_path / "b.npz", options, draws, labels=table)


def test_fit_by_a_reader(model, tmp_path, reader):
    out = tmp_path / "light.npz"
    options = library.FitOptions("light", l2=1.0)
    done = []
    found = library.fit(model, out, options, FEW, reader="toy", progress=done.append)
    assert sum(done) == 120 and sum(reader.batches) == 120
    assert found["measured"]["spearman"] > 0.5
    assert found["reader"] == {"reader": "brightness"}
    samples = tmp_path / found["samples"]
    with np.load(samples) as file:
        assert file["w"].shape == (120, 8) and file["seeds"][-1] == 119
        assert file["names"].tolist() == ["light", "bright"]
    # A second attribute draws nothing.
    second = library.FitOptions("bright", keep_confident=0.6)
    found = library.fit(model, tmp_path / "b.npz", second, FEW, reader="toy")
    assert sum(reader.batches) == 120 and found["samples"] == samples.name
    assert found["used"] <= 120 and found["kind"] == "binary"
    # Other settings have other samples, unless a file is named, which must fit.
    other = DrawOptions(num=119)
    with pytest.raises(UserError, match="made with another latents"):
        library.fit(model, out, options, other, reader="toy", samples=samples)


def test_readings_do_not_depend_on_the_devices(model, tmp_path, reader, monkeypatch):
    options = library.FitOptions("light")
    library.fit(model, tmp_path / "eight" / "a.npz", options, FEW, reader="toy")
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    library.fit(model, tmp_path / "one" / "a.npz", options, FEW, reader="toy")
    files = [next((tmp_path / name).glob("samples*")) for name in ("eight", "one")]
    a, b = (np.load(file)["readings"] for file in files)
    np.testing.assert_array_equal(a, b)


def test_pictures_of_the_file_are_read(model, pictures, tmp_path, reader):
    w = draw_w(pictures, range(60), truncation_psi=0.7)
    light = np.arange(60, dtype=np.uint8)
    drawn = np.broadcast_to(light[:, None, None, None], (60, 2, 2, 3))
    np.savez(tmp_path / "w.npz", w=w, pictures=drawn)
    draws = DrawOptions(w_file=tmp_path / "w.npz")
    options = library.FitOptions("light")
    samples = tmp_path / "s.npz"
    library.fit(
        model, tmp_path / "a.npz", options, draws, reader="toy", samples=samples
    )
    assert np.load(samples)["readings"][:, 0].tolist() == light.tolist()


def test_conditions(model, pictures, tmp_path):
    table, *_ = labelled(tmp_path, pictures, range(300))
    others = []
    for i in range(2):
        array = np.random.default_rng(i).standard_normal(8)
        np.save(tmp_path / f"{i}.npy", array)
        others.append(array)
    paths = [tmp_path / "0.npy", tmp_path / "1.npy"]
    options = library.FitOptions("yes", conditions=paths)
    found = library.fit(model, tmp_path / "a.npz", options, labels=table)
    unit = load_direction(tmp_path / "a.npz").unit
    assert np.abs(np.array(others) @ unit).max() < 1e-6
    assert found["conditions"] == ["0.npy", "1.npy"] and found["accuracy"] > 0.5
    # Afterwards: what was measured was measured of the whole.
    assert load_direction(tmp_path / "a.npz").provenance["measured"]
    condition(tmp_path / "a.npz", [paths[0]], tmp_path / "b.npz")
    assert "measured" not in load_direction(tmp_path / "b.npz").provenance
    # Of any file.
    np.save(tmp_path / "d.npy", np.ones(8))
    row = condition(tmp_path / "d.npy", paths, tmp_path / "left.npz")
    left = load_direction(tmp_path / "left.npz")
    assert np.abs(np.array(others) @ left.array).max() < 1e-5
    assert 0 < row["kept"] < 1 and row["norm"] < 8**0.5
    assert left.provenance["conditioned"]["on"] == ["0.npy", "1.npy"]
    np.save(tmp_path / "1.npy", np.ones((6, 8)))
    with pytest.raises(UserError, match="directions condition"):
        library.fit(model, tmp_path / "a.npz", options, labels=table)


def test_principal_components_of_a_model(model, pictures, tmp_path):
    draws = DrawOptions(num=500, truncation_psi=1.0)
    rows = principal(model, tmp_path / "d", num=3, draws=draws)
    w = draw_w(pictures, range(500), truncation_psi=1.0).astype(np.float64)
    _, values, vectors = np.linalg.svd(w - w.mean(0), full_matrices=False)
    for i, row in enumerate(rows):
        found = load_direction(tmp_path / "d" / f"pca-{i:02d}.npz")
        np.testing.assert_allclose(found.unit, fix_signs(vectors)[i], atol=1e-6)
        assert found.norm == pytest.approx(values[i] / 499**0.5, rel=1e-6)
        assert row["accuracy"] is None
    total = [row["provenance"]["explained"] for row in rows]
    assert total == sorted(total, reverse=True) and sum(total) < 1


def test_closed_form_of_a_model(model, pictures, tmp_path):
    draws = DrawOptions(num=50, truncation_psi=1.0)
    rows = closed_form(model, tmp_path, num=2, layers="0-1", draws=draws)
    blocks = pictures.model.variables["params"]["synthesis"]
    below = np.concatenate(
        [
            np.asarray(blocks[block][name]["affine"]["weight"]).T
            for block, name in (("b4", "conv1"), ("b8", "conv0"))
        ]
    )
    vectors = np.linalg.svd(below)[2]
    for i in range(2):
        unit = load_direction(tmp_path / f"sefa-{i:02d}.npz").unit
        np.testing.assert_allclose(unit, fix_signs(vectors)[i], atol=1e-5)
    assert rows[0]["provenance"]["layers"] == "0-1"
    with pytest.raises(UsageError, match="give a folder"):
        closed_form(model, tmp_path / "a.npz", draws=draws)


def test_public_arrays(tmp_path):
    rows = np.repeat(np.arange(1.0, 5)[None], 18, axis=0)
    np.save(tmp_path / "smile.npy", rows)
    np.save(tmp_path / "age.npy", rows * np.arange(1, 19)[:, None])
    files = [tmp_path / "smile.npy", tmp_path / "age.npy"]
    found = import_arrays(files, tmp_path / "d", licence="CC0")
    assert [row["shape"] for row in found] == [[4], [18, 4]]
    assert found[0]["norm"] == pytest.approx(30**0.5)
    assert found[0]["provenance"]["licence"] == "CC0"
    got = load_direction(tmp_path / "d" / "age.npz").array
    np.testing.assert_allclose(got, np.load(files[1]), rtol=1e-6)
    with pytest.raises(UserError, match="several files are called age"):
        import_arrays([files[1], "other/age.npy"], tmp_path / "e")
    np.save(tmp_path / "zero.npy", rows * 0)
    with pytest.raises(UserError, match="leads nowhere"):
        import_arrays([files[0], tmp_path / "zero.npy"], tmp_path / "e")
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("smile\n1", "no column seed or index: it has smile"),
        ("seed,age\n1,2", "no column smile: it has seed, age"),
        ("seed,smile\nx,1\n2,often\n3,1\n3,0\n4,\n-1,1\n5,nan", None),
        ("seed,smile\n1,\n2,", "no label of smile"),
        ("", "no column seed or index: it has none"),
        ("seed,smile\n1,1\n2,0", "1 positive and 1 negative"),
    ],
)
def test_tables_that_are_none(model, tmp_path, text, sentence):
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(UserError) as caught:
        library.fit(
            model, tmp_path / "a.npz", library.FitOptions("smile"), labels=table
        )
    if sentence is None:
        for word in (
            "row 2: seed 'x'",
            "row 3: smile 'often'",
            "3 a second time",
            "row 7: seed '-1'",
            "row 8: smile 'nan'",
        ):
            assert word in str(caught.value)
    else:
        assert sentence in str(caught.value)
    assert not (tmp_path / "a.npz").exists()


def test_refusals(model, tmp_path, reader):
    out, options = tmp_path / "a.npz", library.FitOptions("light")
    for given, sentence in (
        ({}, "either --labels"),
        ({"labels": "a.csv", "reader": "toy"}, "either --labels"),
        ({"labels": "a.csv", "samples": "s.npz"}, "--samples FILE.npz keeps"),
    ):
        with pytest.raises(UsageError, match=sentence):
            library.fit(model, out, options, **given)
    with pytest.raises(UserError, match="does not read age: choose from light, bright"):
        library.fit(model, out, library.FitOptions("age"), reader="toy")
    with pytest.raises(UsageError, match="seeds go up to"):
        draws = DrawOptions(seed=2**32 - 1, num=2)
        library.fit(model, out, options, draws, reader="toy")
    w = np.random.default_rng(0).standard_normal((20, 6, 8))
    np.savez(tmp_path / "w.npz", w_plus=w)
    with pytest.raises(UserError, match="differ from layer to layer"):
        draws = DrawOptions(w_file=tmp_path / "w.npz")
        library.fit(model, out, options, draws, reader="toy")
    assert not out.exists()


def test_damaged_samples(model, tmp_path, reader):
    samples = tmp_path / "s.npz"
    np.savez(samples, w=np.ones((3, 8)))
    options = library.FitOptions("light")
    with pytest.raises(UserError, match="lacks readings, names, kinds, document"):
        library.fit(
            model, tmp_path / "a.npz", options, FEW, reader="toy", samples=samples
        )


def test_a_row_for_each(tmp_path):
    array = np.ones((2, 3), np.float32) / 6**0.5
    write_direction(tmp_path / "a.npz", load_direction(_saved(tmp_path, array)))
    row = describe(tmp_path / "a.npz")
    assert row["shape"] == [2, 3] and row["accuracy"] is None
    assert json.loads(json.dumps(row)) == row


def _saved(folder, array):
    np.save(folder / "x.npy", array)
    return folder / "x.npy"
