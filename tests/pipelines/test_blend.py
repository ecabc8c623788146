import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from tiny_models import leaves, save_tiny, tiny_discriminator, tiny_generator

from stylegan_jax import load
from stylegan_jax.checkpoints.load import FAMILIES
from stylegan_jax.checkpoints.model_file import flatten, read_model, save_model
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.errors import UsageError, UserError
from stylegan_jax.pipelines.blend import (
    Ingredient,
    Recipe,
    blend_models,
    parse_ingredient,
    read_curve,
)
from stylegan_jax.pipelines.blend_grid import blend_grid, snapshots_of
from stylegan_jax.pipelines.blend_table import mapping_words, table


def shifted(variables, by):
    if isinstance(variables, dict):
        return {k: shifted(v, by) for k, v in variables.items()}
    return np.asarray(variables) + np.float32(by)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    module, variables = tiny_generator()
    return (
        save_tiny(folder / "base.safetensors", module, variables, licence="CC-BY"),
        save_tiny(
            folder / "style.safetensors",
            module,
            shifted(variables, 0.25),
            provenance={"made_by": "hand"},
        ),
    )


def same(path, other, but=()):
    """Whether two model files hold the same bits; ``but`` begins exempt names."""
    one, two = (flatten(read_model(p).variables) for p in (path, other))
    assert set(one) == set(two)
    names = [n for n in one if not n.startswith(tuple(but))] if but else list(one)
    return all(
        one[n].dtype == two[n].dtype and one[n].tobytes() == two[n].tobytes()
        for n in names
    )


def test_the_file_opens_and_remembers_its_parents(files, tmp_path):
    base, style = files
    found = blend_models(base, style, tmp_path / "b.safetensors", recipe=Recipe(16))
    metadata = load(tmp_path / "b.safetensors").metadata
    parents = metadata["provenance"]["parents"]
    assert [p["file"] for p in parents] == ["base.safetensors", "style.safetensors"]
    assert [p["sha256"] for p in parents] == [
        hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    ]
    assert parents[1]["provenance"] == {"made_by": "hand"}
    assert (
        metadata["licence"] == "base.safetensors: CC-BY; style.safetensors: Apache-2.0"
    )
    assert metadata["provenance"]["recipe"]["resolution"] == 16
    assert found["warnings"] == []
    (row,) = (r for r in found["map"] if r["name"] == "b16/conv0")
    assert row["resolution"] == 16 and row["layer"] == "conv0"
    assert row["parts"] == {"conv": [1.0], "affine": [1.0], "noise": [1.0]}
    assert 0 < row["distance"][0] < 1
    assert mapping_words(found["map"]) == "from BASE"
    said = table(found)
    assert "mapping and w_avg: from BASE" in said and "conv affine noise" in said
    json.dumps(found)


def test_ends_are_bit_for_bit_the_parents(files, tmp_path):
    base, style = files
    for recipe, same_as in (
        (Recipe(4, alpha=0.0, mapping="style"), base),
        (Recipe(16, alpha=0.0), base),
        (Recipe(4, alpha=1.0, mapping="style"), style),
    ):
        out = tmp_path / "b.safetensors"
        blend_models(base, style, out, recipe=recipe)
        assert same(out, same_as)


def test_pictures_change_with_the_swapped_layers(files, tmp_path):
    base, style = files
    out = tmp_path / "b.safetensors"
    blend_models(base, style, out, recipe=Recipe(16, parts=("torgb",)))
    ours, blended = load(base), load(out)
    changed = {
        name
        for name, leaf in leaves(blended.variables).items()
        if leaf.tobytes() != leaves(ours.variables)[name].tobytes()
    }
    assert changed == {f"params/synthesis/b16/torgb/{n}" for n in ("weight", "bias")}
    assert not np.array_equal(ours.images([0]), blended.images([0]))


def test_float16_files_stay_so(files, tmp_path):
    module, variables = tiny_generator()
    half = tmp_path / "half.safetensors"
    sixteen = {k: v for k, v in shifted(variables, 0.5).items()}
    save_tiny(half, module, _as(sixteen, np.float16))
    out = tmp_path / "b.safetensors"
    blend_models(files[0], half, out, recipe=Recipe(4, mapping="style"))
    assert same(out, half)


def test_converted_models(golden_dir, tmp_path):
    convert(golden_dir / "nvada_tiny.pkl", tmp_path / "parts")
    base, style = (tmp_path / "parts" / f"{n}.safetensors" for n in ("g", "g_ema"))
    assert not same(base, style)
    out = tmp_path / "b.safetensors"
    found = blend_models(base, style, out, recipe=Recipe(8, alpha=0.0))
    assert same(out, base)
    # Both came out of one file, which their documents say.
    source = hashlib.sha256((golden_dir / "nvada_tiny.pkl").read_bytes()).hexdigest()
    assert found["lineage"][str(style)]["common_ancestor"] == source
    blend_models(base, style, out, recipe=Recipe(4, mapping="style"))
    assert same(out, style)
    assert load(out).images([0]).tobytes() == load(style).images([0]).tobytes()


def test_stylegan_of_2018(tmp_path):
    config = {
        "num_blocks": 3, "z_dim": 8, "w_dim": 8, "mapping_layers": 2,
        "mapping_features": 8, "channel_base": 64, "channel_max": 8,
    }  # fmt: skip
    family = "stylegan1.generator"
    shapes = FAMILIES[family].shapes(config, where="the test")
    paths = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        tree = {}
        for name, leaf in shapes.items():
            *parents, last = name.split("/")
            inner = tree
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[last] = rng.standard_normal(leaf.shape).astype(np.float32)
        paths.append(tmp_path / f"{seed}.safetensors")
        save_model(
            paths[-1], tree, family=family, config=config, provenance={}, licence="x"
        )
    out = tmp_path / "b.safetensors"
    blend_models(*paths, out, recipe=Recipe(16))
    assert same(out, paths[0], but=["params/synthesis/b16", "noise/synthesis/b16",
                                    "params/synthesis/torgb"])  # fmt: skip
    one, two = (flatten(read_model(p).variables) for p in (out, paths[1]))
    name = "params/synthesis/torgb/weight"
    assert one[name].tobytes() == two[name].tobytes()
    blend_models(*paths, out, recipe=Recipe(4, mapping="style"))
    assert same(out, paths[1])
    assert load(out).images([0]).shape == (1, 16, 16, 3)


def _as(tree, dtype):
    if isinstance(tree, dict):
        return {k: _as(v, dtype) for k, v in tree.items()}
    return np.asarray(tree).astype(dtype)


def test_architectures_must_agree(files, tmp_path):
    other = save_tiny(
        tmp_path / "o.safetensors", *tiny_generator(mapping_layers=3, conv_clamp=256.0)
    )
    with pytest.raises(UserError, match=r"mapping_layers 2 and 3; .*conv_clamp None"):
        blend_models(files[0], other, tmp_path / "b.safetensors")
    d = save_tiny(tmp_path / "d.safetensors", *tiny_discriminator())
    with pytest.raises(UserError, match="discriminator, which does not blend"):
        blend_models(files[0], d, tmp_path / "b.safetensors")
    larger = save_tiny(tmp_path / "l.safetensors", *tiny_generator(num_blocks=4))
    with pytest.raises(UserError, match="differ in num_blocks 3 and 4"):
        blend_models(files[0], larger, tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_strangers_are_told_in_one_sentence(files, tmp_path):
    module, variables = tiny_generator()
    rng = np.random.default_rng(5)
    strange = {
        k: _drawn(v, rng) for k, v in variables.items()
    }  # independent of the first
    other = save_tiny(tmp_path / "s.safetensors", module, strange)
    found = blend_models(files[0], other, tmp_path / "b.safetensors", recipe=Recipe(8))
    (sentence,) = found["warnings"]
    assert "share no parent as far as their weights tell" in sentence
    # Unless their documents tell of one.
    sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
    child = {"parents": [{"sha256": sha256}]}
    save_tiny(other, module, strange, provenance=child)
    found = blend_models(files[0], other, tmp_path / "b.safetensors", recipe=Recipe(8))
    assert found["warnings"] == []
    assert found["lineage"][str(other)]["common_ancestor"] == sha256


def _drawn(tree, rng):
    if isinstance(tree, dict):
        return {k: _drawn(v, rng) for k, v in tree.items()}
    return rng.standard_normal(np.shape(tree)).astype(np.float32)


def test_a_third_model_and_its_curve(files, tmp_path):
    base, style = files
    module, variables = tiny_generator()
    third = save_tiny(tmp_path / "t.safetensors", module, shifted(variables, -1))
    curve = tmp_path / "c.json"
    curve.write_text(json.dumps({"b4": 1, "b8": 0, "b16": 0}))
    out = tmp_path / "b.safetensors"
    blend_models(
        base, style, out, recipe=Recipe(16), others=[Ingredient(str(third), curve)]
    )
    got, want = flatten(read_model(out).variables), flatten(read_model(third).variables)
    name = "params/synthesis/b4/conv1/weight"
    assert got[name].tobytes() == want[name].tobytes()
    provenance = load(out).metadata["provenance"]
    assert provenance["with"] == [{"curve": {"b4": 1, "b8": 0, "b16": 0}}]
    # The mapping is STYLE's whole; the other's curve does not claim it too.
    words = {"recipe": Recipe(16, mapping="style")}
    found = blend_models(base, style, out, **words, others=[Ingredient(third, curve)])
    assert mapping_words(found["map"]) == "from STYLE"
    with pytest.raises(UserError, match="sum to more than 1"):
        blend_models(
            base, style, out, recipe=Recipe(16), others=[Ingredient(str(third), 0.5)]
        )


def test_words_of_a_third_model(tmp_path):
    assert parse_ingredient("a:b.safetensors:.5") == Ingredient("a:b.safetensors", 0.5)
    assert str(parse_ingredient("m:c.json").share) == "c.json"
    for text in ("m", "m:", ":1"):
        with pytest.raises(UsageError, match="is no MODEL:SHARE_OR_CURVE"):
            parse_ingredient(text)
    with pytest.raises(UsageError, match="from 0 to 1, got 2.0"):
        parse_ingredient("m:2")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ('{"b4": 1, "b4": 0}', "names b4 more than once"),
        ("[" * 100_000, "is no JSON"),
        (" " * (2**20 + 1), "too large for a curve"),
    ],
)
def test_curve_files_that_are_none(tmp_path, text, sentence):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_curve(tmp_path / "c.json")
    with pytest.raises(UsageError, match="cannot read the curve"):
        read_curve(tmp_path / "absent.json")


def test_refusals(files, tmp_path):
    base, style = files
    for out, sentence in (
        ("b.pt", "ending in .safetensors"),
        (style, "is one of the models"),
    ):
        with pytest.raises(UserError, match=sentence):
            blend_models(base, style, tmp_path / out, recipe=Recipe(8))
    with pytest.raises(UsageError, match="leave --resolution and --width"):
        Recipe(8, curve=tmp_path / "c.json").shares([])
    with pytest.raises(UsageError, match="comes from base or style"):
        Recipe(mapping="both").shares([])


def run_of(folder, number):
    module, variables = tiny_generator()
    for kimg in range(number):
        save_tiny(
            folder / "models" / f"g_ema-{kimg:06d}.safetensors",
            module,
            shifted(variables, 0.1 * kimg),
        )
    return folder


def test_snapshots_of_a_run_are_chosen_evenly(tmp_path, files):
    run = run_of(tmp_path / "run", 5)
    names = [p.stem[-1] for p in snapshots_of(run, 3)]
    assert names == ["0", "2", "4"]
    assert [p.stem[-1] for p in snapshots_of(run, 1)] == ["4"]
    assert len(snapshots_of(run, 99)) == 5
    assert snapshots_of(run / "models", 3) == snapshots_of(run, 3)
    assert snapshots_of(files[0], 3) == [files[0]]


def test_a_sheet_of_resolution_alpha_and_snapshot(tmp_path, files):
    run = run_of(tmp_path / "run", 2)
    done = []
    found = blend_grid(
        files[0],
        run,
        tmp_path / "g.png",
        alphas=[0.5, 1],
        seeds=[3, 4],
        cell=32,
        progress=done.append,
    )
    assert found["resolutions"] == [8, 16] and len(found["snapshots"]) == 2
    # The first snapshot has BASE's numbers, but not its licence: it is another file.
    assert found["notes"] == []
    assert found["pictures"] == sum(done) == 2 * (1 + 2 * (2 * 2 + 1))
    with Image.open(tmp_path / "g.png") as image:
        sheet = np.asarray(image)
    # BASE is drawn as it is; 16 px pictures are doubled to fit 32.
    want = load(files[0]).images([3], truncation_psi=0.7)[0].repeat(2, 0).repeat(2, 1)
    windows = np.lib.stride_tricks.sliding_window_view(sheet, want.shape)[
        ..., 0, :, :, :
    ]
    hits = (windows[:, :, ::8, ::8] == want[::8, ::8]).all((2, 3, 4)).sum()
    assert hits >= 4  # in both tables, in both alphas


def test_sheets_that_cannot_be(tmp_path, files):
    with pytest.raises(UsageError, match=r"ending in \.png"):
        blend_grid(*files, tmp_path / "folder")
    with pytest.raises(UsageError, match="give --resolutions"):
        blend_grid(*files, tmp_path / "g.png", recipe=Recipe(8))
    with pytest.raises(UserError, match="too large"):
        blend_grid(
            *files,
            tmp_path / "g.png",
            cell=1024,
            seeds=range(64),
            alphas=[0.2, 0.4, 0.6],
        )
