import io
import json
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import save_model, sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.checkpoints.psp import PSPNetwork
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.data.augment.pair_source import degrade_by
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.models.psp import Encoder
from stylegan_jax.pipelines import stylize_psp
from stylegan_jax.pipelines import stylize_stylists as stylists
from stylegan_jax.pipelines.stylize import Options, stylize
from stylegan_jax.pipelines.stylize_inputs import Kind
from stylegan_jax.pipelines.stylize_records import JOURNAL
from tests.models.psp.tiny_psp import draw, tiny_psp


def save_psp(path, **fields):
    module, variables = tiny_psp(**fields)
    return save_network(path, "psp", module, variables)


def save_network(path, family, module, variables, provenance=()):
    save_model(
        path,
        variables,
        family=family,
        config=config_of(module),
        provenance=dict(provenance),
        licence="MIT",
    )
    return path


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Calls share models and programs: compiling is most of what these tests do."""
    models, works = {}, {}
    opened, pictures = stylists.model_from, stylists.PSPPictures

    def model_from(model, *, where):
        if where not in models:
            models[where] = opened(model, where=where)
        return models[where]

    def make(model, **options):
        key = (id(model), *options.values())
        if key not in works:
            works[key] = pictures(model, **options)
        return works[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stylists, "model_from", model_from)
        patch.setattr(stylists, "PSPPictures", make)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A model file, and seven pictures of the model's size and of others."""
    root = tmp_path_factory.mktemp("stylize")
    save_psp(root / "psp.safetensors")
    rng = np.random.default_rng(0)
    for i, size in enumerate((32, 32, 48, 20, 32, 32, 32)):
        name = f"sub/{i}.png" if i % 2 else f"{i}.png"
        save_png(root / "src" / name, rng.integers(0, 256, (size, size, 3), np.uint8))
    return root


@pytest.fixture(scope="module")
def network(root):
    """The model as `load` gives it."""
    return load(root / "psp.safetensors")


@pytest.fixture(scope="module")
def plain(root):
    """The outputs of all pictures, and what `stylize` returned."""
    done = stylize(root / "psp.safetensors", root / "src", root / "plain", save_w=True)
    return root / "plain", done


def pictures(folder):
    found = {}
    for path in sorted(folder.rglob("*.png")):
        found[path.relative_to(folder).as_posix()] = np.asarray(Image.open(path))
    return found


def as_bytes(x):
    return np.clip(np.round(np.asarray(x) * 127.5 + 127.5), 0, 255)


def floats(picture):
    return picture[None].astype(np.float32) / 127.5 - 1


def close(a, b, most=1):
    """Whether pictures agree up to a step of rounding."""
    np.testing.assert_allclose(a.astype(int), b.astype(int), atol=most)


def test_outputs_are_the_models(root, network, plain):
    folder, done = plain
    found = pictures(folder)
    assert set(found) == {*(f"{i}.png" for i in (0, 2, 4, 6)), *(
        f"sub/{i}.png" for i in (1, 3, 5)
    )}  # fmt: skip
    assert (done.pictures, done.stylized, done.kept, done.failed) == (7, 7, 0, {})
    x = np.concatenate(
        [floats(np.asarray(Image.open(root / "src" / f"{i}.png"))) for i in (0, 6)]
    )
    for name, y in zip(("0.png", "6.png"), np.asarray(network(x)), strict=True):
        close(found[name], as_bytes(y))
    assert not np.array_equal(found["0.png"], found["2.png"])


def test_the_record_says_with_what(root, plain):
    folder, _ = plain
    document = json.loads((folder / "stylize.json").read_text())
    assert document["model"]["sha256"] == sha256_of(root / "psp.safetensors")
    assert document["model"]["licence"] == "MIT"
    assert document["settings"]["input_range"] == [-1, 1]
    entry = document["pictures"]["sub/1.png"]
    assert entry["outputs"] == ["sub/1.png"] and "reason" not in entry
    assert not (folder / JOURNAL).exists()


def test_latents_come_with_their_names(network, plain):
    folder, done = plain
    assert done.latents == str(folder / "w.npz")
    with np.load(folder / "w.npz") as found:
        names, w_plus = found["names"].tolist(), found["w_plus"]
    assert names == sorted(pictures(folder))
    drawn = network.synthesis(w_plus[:2])
    x = as_bytes(drawn[0])
    close(pictures(folder)[names[0]], x)


def test_any_batch_and_number_of_devices_gives_the_same(
    root, plain, tmp_path, monkeypatch
):
    whole = pictures(plain[0])
    model, src = root / "psp.safetensors", root / "src"
    stylize(model, src, tmp_path / "a", Options(), batch=2)
    assert len(jax.local_devices()) > 1
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    stylize(model, src, tmp_path / "b", Options(), batch=3, num=4)
    for folder, number in (("a", 7), ("b", 4)):
        found = pictures(tmp_path / folder)
        assert len(found) == number
        for name, picture in found.items():
            np.testing.assert_array_equal(picture, whole[name])


def test_larger_tiles_drop_no_tail(root, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(stylize_psp, "CPU_TILE", 2)
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:2])
    stylize(root / "psp.safetensors", root / "src", tmp_path / "a")
    found, whole = pictures(tmp_path / "a"), pictures(plain[0])
    assert set(found) == set(whole)
    for name in found:
        close(found[name], whole[name])


def test_a_run_goes_on_where_it_stopped(root, tmp_path):
    model, src, dst = root / "psp.safetensors", root / "src", tmp_path / "out"

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stylize(model, src, dst, batch=1, save_w=True, progress=stop)
    assert len(pictures(dst)) == 2 and (dst / JOURNAL).exists()
    with open(dst / JOURNAL, "a") as journal:
        journal.write('["4.png", {"outp')  # killed while it wrote
    done = stylize(model, src, dst, save_w=True)
    assert (done.kept, done.stylized) == (2, 7)
    with np.load(dst / "w.npz") as found:
        assert len(found["names"]) == len(found["w_plus"]) == 7
    (dst / "2.png").unlink()
    again = stylize(model, src, dst)
    assert (again.kept, again.stylized) == (6, 7) and (dst / "2.png").is_file()


def test_other_options_need_overwrite(root, tmp_path):
    model, src, dst = root / "psp.safetensors", root / "src", tmp_path / "out"
    stylize(model, src, dst, num=2, save_w=True)
    with pytest.raises(UserError, match=r"truncation_psi 1.0 \(now 0.5\)"):
        stylize(model, src, dst, Options(truncation_psi=0.5), num=2)
    stylize(model, src, dst, Options(factors=(2,)), num=1, overwrite=True)
    assert set(pictures(dst)) == {"0_x2.png"} and not (dst / "w.npz").exists()
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        stylize(model, src, tmp_path / "else", overwrite=True)
    with pytest.raises(UserError, match="lies inside"):
        stylize(model, src, src / "out")


def test_what_was_seen_stands_beside_its_outputs(root, plain, tmp_path):
    options = Options(couple=True, resize_output=24)
    done = stylize(
        root / "psp.safetensors", root / "src", tmp_path / "a", options, sheet=True
    )
    found = pictures(tmp_path / "a")
    sheet = found.pop("sheet.png")
    assert {picture.shape for picture in found.values()} == {(24, 48, 3)}
    image = Image.open(root / "src" / "0.png").resize(
        (24, 24), Image.Resampling.LANCZOS
    )
    close(found["0.png"][:, :24], np.asarray(image))
    assert done.sheet == str(tmp_path / "a" / "sheet.png") and sheet.ndim == 3
    small = Image.fromarray(pictures(plain[0])["0.png"])
    small = small.resize((24, 24), Image.Resampling.LANCZOS)
    close(found["0.png"][:, 24:], np.asarray(small))


def test_factors_and_mixed_layers(root, network, tmp_path):
    file, src = root / "psp.safetensors", root / "src"
    options = Options(
        couple=True, factors=(1, 4), mix_layers="2-4", mix_seeds="3,5", mix_alpha=0.5
    )
    stylize(file, src / "0.png", tmp_path / "a", options, save_w=True, sheet=True)
    found = pictures(tmp_path / "a")
    assert set(found) == {"0_x1.png", "0_x4.png", "sheet.png"}
    assert found["0_x1.png"].shape == (16, 48, 3)
    model = network
    clean = floats(np.asarray(Image.open(src / "0.png")))
    for factor in (1, 4):
        x = np.asarray(degrade_by(clean, factor))
        # Pictures have 8 bits.
        x = (np.round(x * 127.5 + 127.5) / 127.5 - 1).astype(np.float32)
        w_plus = model.encode(x)
        for i, seed in enumerate((3, 5)):
            other = model.decoder.mapping(model.decoder.latents([seed]))
            mixed = model.inject(w_plus, [2, 3, 4], other, 0.5)
            y = np.asarray(model.synthesis(mixed))[0]
            y = as_bytes(y)
            row = found[f"0_x{factor}.png"]
            close(row[:, 16 * (i + 1) : 16 * (i + 2)], y, most=2)
    with np.load(tmp_path / "a" / "w.npz") as latents:
        assert latents["names"].tolist() == ["0_x1.png", "0_x4.png"]


def test_latents_of_a_file_are_mixed(root, plain, tmp_path):
    folder, _ = plain
    options = Options(mix_layers="0-5", mix_w=folder / "w.npz")
    stylize(root / "psp.safetensors", root / "src/4.png", tmp_path / "a", options)
    row = pictures(tmp_path / "a")["4.png"]
    # All layers are replaced: the outputs of the file's pictures, in its order.
    whole = pictures(folder)
    close(row, np.concatenate([whole[name] for name in sorted(whole)], axis=1))


def test_psi_moves_towards_the_mean(root, network, tmp_path):
    file, src = root / "psp.safetensors", root / "src"
    stylize(file, src, tmp_path / "a", Options(truncation_psi=0.0), num=2)
    one, two = pictures(tmp_path / "a").values()
    np.testing.assert_array_equal(one, two)
    mean = np.asarray(network.variables["moving_stats"]["latent_avg"])
    x = network.synthesis(np.stack([mean, mean]))[0]
    close(one, as_bytes(x))


def test_pictures_that_cannot_be_used_are_told(root, tmp_path):
    src = tmp_path / "src.zip"
    wide = io.BytesIO()
    Image.new("RGB", (40, 32)).save(wide, "PNG")
    with zipfile.ZipFile(src, "w") as archive:
        archive.writestr("wide.png", wide.getvalue())
        archive.writestr("broken.png", b"")
        archive.writestr("good.png", (root / "src" / "0.png").read_bytes())
    done = stylize(root / "psp.safetensors", src, tmp_path / "out")
    assert (done.pictures, done.stylized) == (3, 1)
    assert done.failed["wide.png"].startswith("is 32x40 and not square")
    assert "empty file" in done.failed["broken.png"]
    entries = json.loads((tmp_path / "out/stylize.json").read_text())["pictures"]
    assert entries["wide.png"]["reason"] == done.failed["wide.png"]
    assert set(pictures(tmp_path / "out")) == {"good.png"}


def test_exif_is_honoured(root, tmp_path):
    picture = np.asarray(Image.open(root / "src" / "0.png"))
    turned = Image.fromarray(np.rot90(picture).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise makes it upright
    (tmp_path / "src").mkdir()
    turned.save(tmp_path / "src" / "t.png", exif=exif)
    options = Options(couple=True, resize_output=32)
    stylize(root / "psp.safetensors", tmp_path / "src", tmp_path / "out", options)
    np.testing.assert_array_equal(pictures(tmp_path / "out")["t.png"][:, :32], picture)


@pytest.mark.slow
def test_class_maps(tmp_path):
    file = save_psp(tmp_path / "seg.safetensors", input_nc=5)
    rng = np.random.default_rng(1)
    maps = rng.integers(0, 5, (2, 32, 32), np.uint8)
    save_png(tmp_path / "src" / "a.png", maps[0])
    palette = Image.fromarray(maps[1])
    palette.putpalette([255, 0, 0] * 256)
    palette.save(tmp_path / "src" / "b.png")
    save_png(tmp_path / "src" / "c.png", np.full((32, 32), 5, np.uint8))
    save_png(tmp_path / "src" / "d.png", np.zeros((32, 32, 3), np.uint8))
    done = stylize(file, tmp_path / "src", tmp_path / "out", Options(couple=True))
    assert "has class 5, and this model knows 0 to 4" in done.failed["c.png"]
    assert "RGB" in done.failed["d.png"] and done.stylized == 2
    model = load(file)
    for name, classes in zip("ab", maps, strict=True):
        x = np.asarray(model(np.eye(5, dtype=np.float32)[classes][None]))[0]
        row = pictures(tmp_path / "out")[f"{name}.png"]
        close(row[:, 16:], as_bytes(x))
    with pytest.raises(UsageError, match="takes class maps"):
        stylize(file, tmp_path / "src", tmp_path / "x", Options(factors=(2,)))


@pytest.mark.parametrize("converted", [False, True], ids=["own", "converted"])
def test_grey_is_scaled_as_the_model_was_trained(converted):
    metadata = {"provenance": {"made_by": "convert"}} if converted else {}
    model = PSPNetwork(*tiny_psp(input_nc=1), metadata=metadata)
    work = stylize_psp.PSPPictures(model)
    assert work.kind == Kind(32, 1) and work.unit_range is converted
    grey = np.array([0, 51, 255], np.uint8)[:, None, None, None]
    x = stylize_psp.model_input(grey, work.kind, unit_range=work.unit_range)
    expected = [0, 0.2, 1] if converted else [-1, -0.6, 1]
    np.testing.assert_allclose(np.ravel(x), expected, atol=1e-6)
    assert not stylize_psp.has_unit_range(
        PSPNetwork(*tiny_psp(), metadata=metadata)
    )  # pictures are scaled in the original program too


@pytest.mark.slow  # programs of its own
def test_several_passes(tmp_path, root):
    file = save_psp(tmp_path / "re.safetensors", iterations=2)
    model = load(file)
    x = floats(np.asarray(Image.open(root / "src" / "0.png")))
    options = Options(iterations=3)
    stylize(file, root / "src" / "0.png", tmp_path / "out", options, save_w=True)
    with np.load(tmp_path / "out" / "w.npz") as found:
        w_plus = found["w_plus"]
    wanted = model.encode(x, iterations=3)
    np.testing.assert_allclose(w_plus, wanted, rtol=1e-3, atol=1e-3)
    with pytest.raises(UsageError, match="1 to 10 passes, got 11"):
        stylize(file, root / "src", tmp_path / "x", Options(iterations=11))
    with pytest.raises(UsageError, match="trained to encode in one pass"):
        stylize(
            root / "psp.safetensors",
            root / "src",
            tmp_path / "x",
            Options(iterations=2),
        )


def test_models_that_take_no_pictures(root, tmp_path):
    generator = save_tiny(tmp_path / "g.safetensors", *tiny_generator())
    with pytest.raises(UserError, match="takes none; give a pSp"):
        stylize(generator, root / "src", tmp_path / "out")
    module = Encoder(num_layers=18, width=4, input_size=32, num_ws=6, w_dim=8)
    encoder = save_network(
        tmp_path / "e.safetensors", "psp.encoder", module, draw(module, (32, 32, 3))
    )
    with pytest.raises(UserError, match="has no decoder: give the whole pSp"):
        stylize(encoder, root / "src", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(mix_seeds="1"), "say which layers"),
        (Options(mix_layers="1"), "give --mix-seeds"),
        (Options(mix_layers="1", mix_seeds="1", mix_w="w.npz"), "not with both"),
        (Options(mix_alpha=0.5), "is of other latents"),
        (Options(mix_layers="9", mix_seeds="1"), "has the layers 0 to 5"),
        (Options(mix_layers="1", mix_seeds="0-64"), "at most 64"),
        (Options(mix_layers="1", mix_w="none.npz"), "none.npz"),
        (Options(truncation_psi=float("nan")), "psi is a number"),
        (Options(noise_mode="random"), "unknown noise"),
        (Options(resize_output=0), "pixels a side"),
        (Options(factors=(0,)), "factors are"),
        (Options(factors=(2, 2)), "factors are"),
        (Options(size=64, keep_aspect=True), "a pSp knows no size, keep-aspect"),
    ],
    ids=str,
)
def test_options_that_make_no_sense(root, tmp_path, options, said):
    with pytest.raises(UserError, match=said):
        stylize(root / "psp.safetensors", root / "src", tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
