import json

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_students import save_student

from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.errors import UserError
from stylegan_jax.pipelines import stylize_pix2pixhd as library
from stylegan_jax.pipelines.stylize import Options, stylize
from stylegan_jax.pipelines.stylize_inputs import Kind

RNG = np.random.default_rng(0)
SHAPES = {"a": (16, 16), "b": (16, 32), "sub/c": (24, 24)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A student of 16 pixels, one for two people, and three pictures."""
    root = tmp_path_factory.mktemp("students")
    save_student(root / "net.safetensors")
    save_student(root / "two.safetensors", input_channels=6)
    for name, shape in SHAPES.items():
        save_png(root / "src" / f"{name}.png", RNG.integers(0, 256, (*shape, 3), "u1"))
    return root


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Calls share programs: compiling is most of what these tests do."""
    made, original = {}, library.StudentPictures.__init__

    def init(self, *args, **options):
        original(self, *args, **options)
        key = (self.model.module, self.kind.size, self.kind.classes)
        self._tiles = made.setdefault(key, self._tiles)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library.StudentPictures, "__init__", init)
        yield


@pytest.fixture(scope="module")
def plain(root):
    done = stylize(root / "net.safetensors", root / "src", root / "plain")
    return root / "plain", done


def opened(path):
    return np.asarray(Image.open(path))


def close(a, b):
    """Whether pictures agree up to a step of rounding."""
    np.testing.assert_allclose(a.astype(int), np.asarray(b).astype(int), atol=1)


def drawn(network, picture):
    y = network(picture[None].astype(np.float32) / 127.5 - 1)[0]
    return np.clip(np.round(np.asarray(y) * 127.5 + 127.5), 0, 255)


def test_outputs_are_the_networks_of_central_squares(root, plain):
    folder, done = plain
    assert (done.stylized, done.failed, done.latents) == (3, {}, None)
    network = load(root / "net.safetensors")
    close(opened(folder / "a.png"), drawn(network, opened(root / "src/a.png")))
    wide = opened(root / "src/b.png")[:, 8:24]
    close(opened(folder / "b.png"), drawn(network, wide))
    assert opened(folder / "sub/c.png").shape == (16, 16, 3)
    document = json.loads((folder / "stylize.json").read_text())
    assert document["settings"]["image_shape"] == [16, 16, 3]


def test_any_batch_and_number_of_devices_gives_the_same(
    root, plain, tmp_path, monkeypatch
):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    stylize(root / "net.safetensors", root / "src", tmp_path / "out", batch=2)
    for name in SHAPES:
        one = (tmp_path / "out" / f"{name}.png").read_bytes()
        assert one == (plain[0] / f"{name}.png").read_bytes()


def test_run_again_it_does_what_is_missing(root, tmp_path):
    words = (root / "net.safetensors", root / "src", tmp_path / "out")
    stylize(*words, num=2)
    done = stylize(*words, sheet=True)
    assert (done.kept, done.stylized) == (2, 3)
    assert (tmp_path / "out/sheet.png").exists()


def test_whole_pictures_keep_their_aspect(root, tmp_path):
    options = Options(keep_aspect=True, couple=True)
    out = tmp_path / "out"
    stylize(root / "net.safetensors", root / "src", out, options, sheet=True)
    assert opened(out / "b.png").shape == (8, 32, 3)
    assert opened(out / "a.png").shape == (16, 32, 3)
    kind = Kind(16, 3, shape_of_others="keep")
    seen = kind.read((root / "src/b.png").read_bytes(), "b.png")
    np.testing.assert_array_equal(seen[3], seen[5])  # mirrored at the border
    close(opened(out / "b.png")[:, :16], seen[4:12])
    network = load(root / "net.safetensors")
    close(opened(out / "b.png")[:, 16:], drawn(network, seen)[4:12])


def test_another_size(root, tmp_path):
    options = Options(size=24)
    stylize(root / "net.safetensors", root / "src/a.png", tmp_path / "out", options)
    assert opened(tmp_path / "out/a.png").shape == (24, 24, 3)


def test_two_people(root, tmp_path):
    for name in ("a", "sub/c"):
        picture = RNG.integers(0, 256, (16, 16, 3), "u1")
        save_png(tmp_path / "others" / f"{name}.png", picture)
    options = Options(second=tmp_path / "others", couple=True)
    words = (root / "two.safetensors", root / "src")
    done = stylize(*words, tmp_path / "out", options, sheet=True)
    assert set(done.failed) == {"b.png"} and "no partner" in done.failed["b.png"]
    shown = opened(tmp_path / "out/a.png")
    first, second = opened(root / "src/a.png"), opened(tmp_path / "others/a.png")
    np.testing.assert_array_equal(shown[:, :32], np.concatenate([first, second], 1))
    both = np.concatenate([first, second], 2)
    close(shown[:, 32:], drawn(load(root / "two.safetensors"), both))
    one = Options(second=tmp_path / "others/a.png", couple=True)
    stylize(*words, tmp_path / "one", one, num=1)
    np.testing.assert_array_equal(opened(tmp_path / "one/a.png"), shown)


def test_label_maps_become_planes_and_edges():
    labels = np.array([[0, 0, 2], [0, 0, 2], [1, 1, 1]], np.uint8)[None, :, :, None]
    x = np.asarray(library.student_input(labels, Kind(3, 1, classes=3), 4))
    assert x.shape == (1, 3, 3, 4)
    np.testing.assert_array_equal(x[0, :, :, :3].argmax(2), labels[0, :, :, 0])
    assert x[0, :, :, 3].tolist() == [[0, 1, 1], [1, 1, 1], [1, 1, 1]]


def test_label_maps(root, tmp_path):
    maps = {"source": "labels", "source_labels": 3, "resolution": 16}
    file = save_student(tmp_path / "m.safetensors", maps, input_channels=4)
    labels = RNG.integers(0, 3, (16, 16, 1), "u1")
    save_png(tmp_path / "maps/a.png", labels)
    save_png(tmp_path / "maps/b.png", labels + 1)
    done = stylize(file, tmp_path / "maps", tmp_path / "out")
    assert list(done.failed) == ["b.png"] and "has class 3" in done.failed["b.png"]
    kind = Kind(16, 1, classes=3)
    y = load(file)(library.student_input(labels[None], kind, 4))[0]
    close(opened(tmp_path / "out/a.png"), np.round(np.asarray(y) * 127.5 + 127.5))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"truncation_psi": 0.7, "iterations": 2},
            "a pix2pixHD model knows no psi, iterations: leave them out.",
        ),
        ({"size": 15}, "multiples of 2 from 4 on, got 15: give 16"),
        ({"second": "none.png"}, "none.png does not exist"),
        ({"classes": 9}, "takes 3 channels, which 9 classes are not"),
        ({"keep_aspect": True, "second": "a.png"}, "two pictures have one shape"),
    ],
    ids=str,
)
def test_refusals(root, options, said, tmp_path):
    with pytest.raises(UserError, match=said):
        stylize(
            root / "net.safetensors", root / "src", tmp_path / "out", Options(**options)
        )


def test_what_a_file_must_tell(root, tmp_path):
    src, out = root / "src", tmp_path / "out"
    with pytest.raises(UserError, match="at which side it was trained: say it with"):
        stylize(save_student(tmp_path / "n.safetensors", ()), src, out)
    odd = save_student(tmp_path / "o.safetensors", input_channels=5)
    with pytest.raises(UserError, match="takes 5 channels and its file does not tell"):
        stylize(odd, src, out)
    with pytest.raises(UserError, match="takes two pictures at a time: give the sec"):
        stylize(root / "two.safetensors", src, out)
    with pytest.raises(UserError, match="one picture at a time: leave second"):
        stylize(root / "net.safetensors", src, out, Options(second=src / "a.png"))
    with pytest.raises(UserError, match="without latents: leave save-w out"):
        stylize(root / "net.safetensors", src, out, save_w=True)


def trained(**values):
    """What the trainer writes into a model's file about its input."""
    return {
        "made_by": "stylegan-jax train",
        "resolution": 16,
        "source": "labels" if values.get("source_labels") else "pictures",
        "source_labels": 0,
        "second": False,
        "instances": False,
        "sides": {"source": "a", "target": "b", "second": None},
        **values,
    }


@pytest.mark.parametrize(
    ("values", "channels", "seen"),
    [
        ({"source_labels": 3}, 3, ((16, 16, 1), 3)),
        ({"source_labels": 6}, 6, ((16, 16, 1), 6)),
        ({}, 3, ((16, 16, 3), 0)),
        ({"second": True}, 6, ((16, 16, 6), 0)),
    ],
)
def test_the_file_counts_before_the_channels(tmp_path, values, channels, seen):
    file = tmp_path / "net.safetensors"
    model = load(save_student(file, trained(**values), input_channels=channels))
    kind = library.kind_of(model)
    assert (kind.shape, kind.classes) == seen
    if kind.classes:
        with pytest.raises(UserError, match="label maps of . classes, as its file"):
            library.kind_of(model, classes=2)
    else:
        with pytest.raises(UserError, match="takes pictures, as its file tells, got 3"):
            library.kind_of(model, classes=3)


def test_maps_of_instances_are_refused(tmp_path):
    told = trained(source_labels=3, instances=True)
    file = save_student(tmp_path / "net.safetensors", told, input_channels=4)
    with pytest.raises(UserError, match="maps of instances, which can only be given"):
        library.StudentPictures(load(file))
