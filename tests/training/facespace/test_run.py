"""The trainer through the one loop: what a run leaves, resumes, and on 8 devices."""

from __future__ import annotations

import shutil

import jax
import numpy as np
import pytest
from facespace_files import save_generator
from training_runs import run, same_bits, stats

from stylegan_jax import load
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.training.compile import make_init, root_key
from stylegan_jax.training.trainers import build_run


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("facespace") / "run"
    return run(tiny(), workdir), workdir


def test_leaves_sheets_figures_and_one_model(whole, four_faces):
    outcome, workdir = whole
    assert outcome.nimg == 24  # three phases of two epochs of four photos
    names = {p.name for p in (workdir / "samples").iterdir()}
    assert names == {"faces-init.png", "faces-000000.png"}
    last = stats(workdir)[-1]
    wanted = {"loss/pyramid", "loss/pixel", "loss/propagation", "val/l2_ratio"}
    assert wanted <= set(last) and last["nonfinite"] == 0
    model = load(workdir)
    assert model.names == ("0.png", "1.png", "2.png", "3.png")
    assert (model.kind, model.space) == ("one_hot", "w_plus")
    assert model.metadata["licence"].startswith("CC0; and unstated")
    assert model.provenance["nimg"] == 24
    assert model.photos.shape == (4, 16, 16, 3)
    assert sorted(map(tuple, model.codes)) == sorted(map(tuple, np.eye(4)))


def test_all_begin_at_the_mean_face(tiny, tmp_path):
    made = build_run(tiny(), tmp_path, progress=False)
    state = made.adopt(make_init(made)(root_key(made, 0)))
    w_avg = np.asarray(made.start.w_avg)
    w_plus = np.asarray(made.model_of(state).latents(np.eye(4)))
    np.testing.assert_allclose(w_plus, np.broadcast_to(w_avg, w_plus.shape), atol=1e-6)
    np.testing.assert_array_equal(
        state.leaves.w, np.broadcast_to(w_avg, state.leaves.w.shape)
    )


def test_it_learns(whole):
    ratios = [line["val/l2_ratio"] for line in stats(whole[1]) if "val/l2" in line]
    assert ratios[0] == pytest.approx(1)
    assert ratios[-1] > 1.02


def test_the_generator_stays_as_it_is(whole, generator_file):
    own, given = load(whole[1]).generator, load(generator_file)
    same_bits(dict(own.variables), dict(given.variables))


def test_stopped_anywhere_the_rest_equals_the_whole_bit_for_bit(
    whole, tiny, tmp_path, monkeypatch
):
    from stylegan_jax.training import loop

    # Stops in the middle of the second phase, as a signal would.
    monkeypatch.setattr(
        loop.StopSignal, "agreed", lambda self, step: step == 3, raising=True
    )
    assert run(tiny(), tmp_path).nimg == 12
    monkeypatch.undo()
    same_bits(run(tiny(), tmp_path).state, whole[0].state)
    name = "models/facespace-000000.safetensors"
    assert (tmp_path / name).read_bytes() == (whole[1] / name).read_bytes()


def test_names_and_their_order_change_the_codes_and_nothing_else(
    whole, tiny, four_faces, tmp_path
):
    faces = tmp_path / "faces"
    faces.mkdir()
    new = {"0.png": "d", "1.png": "b", "2.png": "c", "3.png": "a"}
    for name, other in new.items():
        shutil.copy(four_faces / name, faces / f"{other}.png")
    other = run(tiny(f"data.path={faces}"), tmp_path / "run")
    same_bits(other.state, whole[0].state)
    one, two = load(whole[1]), load(tmp_path / "run")
    same_bits(dict(one.encoder.variables), dict(two.encoder.variables))
    places = [two.names.index(f"{new[name]}.png") for name in one.names]
    np.testing.assert_array_equal(two.codes[places], one.codes)
    np.testing.assert_array_equal(two.photos[places], one.photos)
    shares = np.random.default_rng(0).dirichlet(np.ones(4), 3)
    back = np.empty_like(shares)
    back[:, places] = shares
    np.testing.assert_array_equal(
        one.images(one.vectors(shares)), two.images(two.vectors(back))
    )


def test_goes_on_with_what_it_was_begun_with_alone(whole, tiny, four_faces, tmp_path):
    def refused(word, sentence):
        with pytest.raises(UserError, match=sentence):
            run(tiny(word), whole[1])

    refused("model.space=w", "begun with a space of one_hot w_plus 4")
    refused("train.epochs=3", "begun with train.epochs=2 and cycles=2")
    refused("loss.feature=vgg", "weights get vgg16 or|weights get vgg16;")
    faces = tmp_path / "faces"
    faces.mkdir()
    for i in range(3):
        shutil.copy(four_faces / f"{i}.png", faces)
    refused(f"data.path={faces}", "begun with these pictures in")


@pytest.mark.slow  # programs of their own
@pytest.mark.parametrize(
    "words",
    [
        ("model.space=w",),
        ("model.kind=code", "model.code_dim=1"),
        ("loss.propagation_weight=0", "loss.blend_weight=1", "loss.pull_weight=1"),
        ("train.batch=2", "train.pixel_phase=true"),
    ],
    ids=["w", "code", "blend", "pixel phase"],
)
def test_other_kinds_run(tiny, tmp_path, words):
    config = tiny("train.cycles=0", *words)
    outcome = run(config, tmp_path)
    model = load(tmp_path)
    assert outcome.nimg == {"train.batch=2": 12}.get(words[0], 8)
    if "model.kind=code" in words:
        assert model.codes.shape == (4, 2) and (model.codes[:, 1] == 1).all()
        assert len(set(model.codes[:, 0])) == 4
    if "model.space=w" in words:
        assert model.encoder.module.num_ws == 1
    if "loss.blend_weight=1" in words:
        assert (outcome.state.leaves.count == 0).all()
        assert {"loss/blend", "loss/pull"} <= set(stats(tmp_path)[-1])


@pytest.mark.slow  # a program of its own
def test_landmarks_are_the_input(tiny, tmp_path):
    import json

    rng = np.random.default_rng(0)
    points = {f"{i}.png": [rng.uniform(0, 15, (68, 2)).tolist()] for i in range(4)}
    file = tmp_path / "points.json"
    file.write_text(json.dumps(points))
    words = ("model.kind=landmarks", f"data.landmarks={file}", "train.cycles=0")
    run(tiny(*words), tmp_path / "run")
    model = load(tmp_path / "run")
    given = np.array([points[name][0] for name in model.names])
    v = model.pose_vectors(given, (16, 16))
    np.testing.assert_allclose(model.codes, v, rtol=1e-5, atol=1e-6)


@pytest.mark.slow  # a program of its own
def test_a_stylegan1_generator_and_a_single_photo(tiny, four_faces, tmp_path):
    generator = save_generator(tmp_path / "g.safetensors", "stylegan1")
    faces = tmp_path / "faces"
    faces.mkdir()
    shutil.copy(four_faces / "0.png", faces)
    words = (f"init.model={generator}", f"data.path={faces}", "train.cycles=0")
    assert run(tiny(*words), tmp_path / "run").nimg == 2
    model = load(tmp_path / "run")
    assert model.names == ("0.png",)
    assert model.images(model.codes).shape == (1, 16, 16, 3)


@pytest.mark.slow  # a program of its own, over eight devices
def test_eight_devices_learn_what_one_learns(tiny, tmp_path, tmp_path_factory):
    from stylegan_jax.data import toy

    faces = tmp_path / "faces"
    toy.write_toy(faces, style="photo", num=8, size=16, seed=9)
    words = (
        f"data.path={faces}",
        "train.batch=8",
        "train.epochs=1",
        "train.cycles=0",
        "loss.blend_weight=1",
    )
    one = run(tiny(*words), tmp_path / "one")
    eight = run(tiny(*words), tmp_path / "eight", jax.devices()[:8])
    a, b = (
        jax.device_get((o.state.opt, o.state.leaves.mu, o.state.leaves.count))
        for o in (one, eight)
    )
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    figures = [stats(tmp_path / n)[-1]["loss/facespace"] for n in ("one", "eight")]
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)


def test_what_is_no_generator_is_refused(tiny, whole, tmp_path):
    with pytest.raises(UserError, match="is a facespace and no generator"):
        run(tiny(f"init.model={whole[1]}"), tmp_path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("model.kind=code", "model.code_dim=11"), "code_dim=11 must be from 1 to 10"),
        (("model.features=8,x",), "model.features=8,x must be whole numbers"),
        (("train.total_kimg=3",), "follows from the phases: set train.epochs"),
        (
            ("loss.feature_weight=0", "loss.pixel_weight=0"),
            "are both 0: nothing compares",
        ),
        (("model.kind=z", "train.epochs=0"), "model.kind='z' .*train.epochs=0|epochs"),
        (("init.model=None",), "There is no generator to fit photos in"),
        (("data.path=None",), "There are no photos to fit"),
    ],
)
def test_configurations_that_cannot_be(tiny, tmp_path, words, sentence):
    with pytest.raises(UsageError, match=sentence):
        run(tiny(*words), tmp_path)


def test_without_vgg_it_says_so_and_compares_a_pyramid(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "empty"))
    made = build_run(tiny("loss.feature=auto"), tmp_path, progress=False)
    assert made.config.loss.feature == "pyramid"
    assert "without VGG16's weights" in made.notes[-1]
    assert set(made.hyper.weights) == {"pyramid", "pixel", "propagation"}
