import csv
import json

import jax
import numpy as np
import pytest
from tiny_models import save_tiny, tiny_generator

from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import save_model, sha256_of
from stylegan_jax.checkpoints.pictures import save_png
from stylegan_jax.checkpoints.structure import config_of
from stylegan_jax.data.mixture import hold_out
from stylegan_jax.data.training_pairs import open_training_pairs
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines import evaluate_pair_models as models
from stylegan_jax.pipelines import evaluate_pairs as library
from stylegan_jax.pipelines.evaluate import evaluate
from stylegan_jax.pipelines.folder_pairs import Options, pair_folders
from tests.models.psp.tiny_psp import tiny_psp

NUM = 10


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A pSp, a generator and ten pairs of random pictures."""
    root = tmp_path_factory.mktemp("eval")
    module, variables = tiny_psp()
    file = root / "psp.safetensors"
    save_model(
        file,
        variables,
        family="psp",
        config=config_of(module),
        provenance={"kimg": 3},
        licence="MIT",
    )
    save_tiny(root / "g.safetensors", *tiny_generator())
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (NUM, 16, 16, 3), np.uint8)
    b = rng.integers(0, 256, (NUM, 16, 16, 3), np.uint8)
    for i in range(NUM):
        save_png(root / "a" / f"{i}.png", a[i])
        save_png(root / "b" / f"{i}.png", b[i])
    pair_folders(root / "a", root / "b", root / "pairs", Options(resolution=16))
    return root


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """Calls share what is compiled, which is most of what these tests do."""
    made = {}
    original = models.PSPPictures

    def make(model):
        key = model.module
        if key not in made:
            made[key] = original(model)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "PSPPictures", make)
        yield


@pytest.fixture(scope="module")
def result(root):
    return evaluate(root / "psp.safetensors", root / "pairs")


@pytest.fixture(scope="module")
def each(root):
    """Mean squared differences: of each output and its target, and of the mean's."""
    work = models.PSPPictures(load(root / "psp.safetensors"))
    pairs = open_training_pairs(root / "pairs", source_size=32)
    x = np.stack([pairs[i]["source"] for i in range(NUM)])
    y = np.stack([pairs[i]["target"] for i in range(NUM)])
    mean = np.asarray(work.model.variables["moving_stats"]["latent_avg"])
    return [
        np.mean(((drawn.astype(np.float64) - y) / 127.5) ** 2, (1, 2, 3))
        for drawn in (work.draw(work.encode(x)), work.draw(mean[None]))
    ]


def test_figures_are_means_over_pairs(result, each):
    found, base = each
    metrics = result["metrics"]
    assert metrics["l2"] == pytest.approx(found.mean(), rel=1e-5)
    assert metrics["l2_std"] == pytest.approx(found.std(), rel=1e-5)
    assert metrics["l2_mean_latent"] == pytest.approx(base.mean(), rel=1e-5)
    ratio = metrics["l2_mean_latent"] / metrics["l2"]
    assert metrics["l2_ratio"] == pytest.approx(ratio)


def test_they_come_with_their_provenance(root, result):
    assert json.loads(json.dumps(result)) == result
    assert result["model_sha256"] == sha256_of(root / "psp.safetensors")
    assert result["model_provenance"] == {"kimg": 3}
    pairs = open_training_pairs(root / "pairs", source_size=32, target_size=16)
    assert result["data_fingerprint"] == pairs.fingerprint
    assert (result["num"], result["size"], result["networks"]) == (NUM, [16, 16], {})
    assert (result["held_out"], result["dtype"]) == (0.0, "float32")


def test_any_batch_gives_the_same(root, result, monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    done = []
    again = evaluate(
        root / "psp.safetensors", root / "pairs", batch=3, progress=done.append
    )
    assert again == result and done == [3, 3, 3, 1]


def test_only_what_training_never_saw(root, each, tmp_path):
    file = tmp_path / "each.csv"
    options = {"held_out": 0.3, "per_pair": file}
    found = evaluate(root / "psp.safetensors", root / "pairs", pair_options=options)
    whole = open_training_pairs(root / "pairs", source_size=32)
    _, held = hold_out([(whole, 1.0)], 0.3)
    assert found["num"] == len(held[0][0]) == 3
    assert found["data_fingerprint"] == held[0][0].fingerprint
    with open(file, newline="") as stream:
        rows = list(csv.DictReader(stream))
    places = [held[0][0].entry(i)["index"] for i in range(3)]
    assert [row["name"] for row in rows] == [f"{place:08d}" for place in places]
    np.testing.assert_allclose(
        [float(r["l2"]) for r in rows], each[0][places], rtol=1e-5
    )


def test_pictures_may_be_their_own_targets(root):
    file = root / "psp.safetensors"
    own = {"reconstruct": True}
    plain = evaluate(file, root / "a", pair_options={**own, "held_out": 0.2})
    assert plain["num"] == 2 and plain["reconstruct"]
    pair_folders(
        root / "a", root / "a", root / "same", Options(resolution=16, reconstruct=True)
    )
    with pytest.raises(UserError, match="equal, pixel for pixel"):
        evaluate(file, root / "same")
    same = evaluate(file, root / "same", pair_options={**own, "held_out": 0.2})
    assert same["metrics"] == plain["metrics"]
    coarse = evaluate(file, root / "same", pair_options={**own, "factor": 4})
    assert coarse["factor"] == 4 and coarse["metrics"] != same["metrics"]


class FakeNetwork:
    """Stands for LPIPS and for an identity network, whose weights take megabytes."""

    def __call__(self, x, y):
        return abs(x - y).mean((1, 2, 3))

    def aligned(self, x):
        return {"embedding": x.mean((1, 2))}


def test_networks_are_named_in_the_record(root, tmp_path, monkeypatch):
    opened = []

    def path(name):
        opened.append(name)
        return root / "psp.safetensors"

    monkeypatch.setattr(library, "weights_path", path)
    monkeypatch.setattr(library, "load", lambda file: FakeNetwork())
    each = tmp_path / "each.jsonl"
    found = evaluate(
        root / "psp.safetensors",
        root / "pairs",
        metrics=["identity", "lpips"],
        num=4,
        pair_options={
            "networks": {"identity": "arcface_mobilefacenet"},
            "per_pair": each,
        },
    )
    assert opened == ["lpips_alex", "arcface_mobilefacenet"]
    assert found["networks"]["identity"] == {
        "name": "arcface_mobilefacenet",
        "sha256": sha256_of(root / "psp.safetensors"),
    }
    lines = [json.loads(line) for line in each.read_text().splitlines()]
    assert len(lines) == 4 and set(lines[0]) == {"pair", "name", "lpips", "identity"}
    mean = np.mean([line["lpips"] for line in lines])
    assert found["metrics"]["lpips"] == pytest.approx(mean)
    assert "l2" not in found["metrics"] and "l2_ratio" not in found["metrics"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"metrics": ["swd"]}, "unknown metrics 'swd' on pairs: choose from l1"),
        ({"metrics": []}, "choose from l1"),
        ({"metrics": ["lpips"]}, "the weights lpips_alex are not in the cache"),
        ({"pair_options": {"held_out": 1.5}}, "share held out"),
        ({"pair_options": {"held_out": 0.01}}, "is none or all of them"),
        ({"pair_options": {"factor": 0}}, "from 1 to 256, got 0"),
        ({"pair_options": {"per_pair": "x.txt"}}, "csv or .jsonl"),
        ({"pair_options": {"networks": {"lpips": "vgg"}}}, "unknown network 'vgg'"),
        ({"seed": 1, "truncation_psi": 0.5}, "on pairs, and seed, psi are for a"),
    ],
    ids=str,
)
def test_refusals(root, arguments, said, monkeypatch, tmp_path):
    monkeypatch.setenv("STYLEGAN_JAX_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=said):
        evaluate(root / "psp.safetensors", root / "pairs", **arguments)


def test_pairs_are_for_a_psp(root):
    with pytest.raises(UsageError, match="is a generator, and held_out are for models"):
        evaluate(root / "g.safetensors", root / "a", pair_options={"held_out": 0.1})
    with pytest.raises(UserError, match="no set of pairs .* with --reconstruct"):
        evaluate(root / "psp.safetensors", root / "a")
