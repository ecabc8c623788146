"""The whole of `convert` on tiny networks: strictness, targets, provenance."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from rosinality_states import rosinality_state
from torch_files import write_torch_legacy, write_torch_zip

from stylegan_jax.checkpoints.load import load
from stylegan_jax.checkpoints.model_file import flatten, read_metadata, read_model
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.convert_torch.exporting import nvlabs
from stylegan_jax.convert_torch.opening import open_checkpoint
from stylegan_jax.errors import UserError

TORCH_PARTS = ("g_ema", "g", "d")


@pytest.fixture(scope="module")
def states():
    return rosinality_state()


def small(states):
    """Copies that a test may change."""
    return dict(states[0]), dict(states[1])


def test_training_state_of_rosinality(tmp_path, states):
    g, d = small(states)
    tree = {"g": g, "g_ema": g, "d": d, "g_optim": {"state": {}}, "ada_aug_p": 0.0}
    write_torch_zip(tmp_path / "550000.pt", tree)
    result = convert(tmp_path / "550000.pt", tmp_path / "out")
    assert [p.name for p in result.written] == [
        f"{name}.safetensors" for name in TORCH_PARTS
    ]
    assert any("g_optim" in note for note in result.notes)
    assert any("w_avg was estimated" in note for note in result.notes)
    model = read_metadata(tmp_path / "out" / "g_ema.safetensors")
    assert model["provenance"]["estimated"]["w_avg"]["samples"] == 10_000
    assert model["provenance"]["source"]["file"] == "550000.pt"
    assert len(model["provenance"]["source"]["sha256"]) == 64


def test_estimated_mean_is_the_mean_of_the_networks_own_latents(tmp_path, states):
    g, _ = small(states)
    write_torch_zip(tmp_path / "g.pt", {"g_ema": g})
    for name in ("a", "b"):
        convert(tmp_path / "g.pt", tmp_path / f"{name}.safetensors")
    a, b = (tmp_path / f"{n}.safetensors" for n in "ab")
    assert a.read_bytes() == b.read_bytes()
    network = load(a)
    z = np.random.RandomState(7).randn(4000, 512).astype(np.float32)
    mean = np.asarray(network.mapping(z))[:, 0].mean(0)
    stored = np.asarray(network.variables["moving_stats"]["mapping"]["w_avg"])
    assert np.abs(mean - stored).max() < 0.1 * np.abs(mean).max()
    assert np.corrcoef(mean, stored)[0, 1] > 0.98


def test_single_file_gets_the_averaged_generator_and_not_the_raw_one(tmp_path, states):
    g, d = small(states)
    raw = {name: value + np.float32(1) for name, value in g.items()}
    raw |= {n: v for n, v in g.items() if n.endswith("kernel")}
    write_torch_legacy(tmp_path / "a.pt", {"g": raw, "d": d, "g_ema": g})
    result = convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    assert [p.name for p in result.parts] == ["g_ema"]
    const = read_model(tmp_path / "a.safetensors").variables["params"]["synthesis"]
    np.testing.assert_array_equal(
        const["b4"]["const"].transpose(2, 0, 1), g["input.input"][0]
    )


def test_half_precision_stays_as_it_was(tmp_path, states):
    g, _ = small(states)
    half = {n: v if "kernel" in n else v.astype(np.float16) for n, v in g.items()}
    write_torch_zip(tmp_path / "h.pt", {"g_ema": half})
    convert(tmp_path / "h.pt", tmp_path / "h.safetensors")
    stored = read_model(tmp_path / "h.safetensors").variables["params"]["mapping"]
    assert stored["fc0"]["weight"].dtype == np.float16
    np.testing.assert_array_equal(stored["fc0"]["weight"].T, half["style.1.weight"])


def test_parallel_prefix_is_taken_off(tmp_path, states):
    g, _ = small(states)
    write_torch_zip(
        tmp_path / "p.pt", {"g_ema": {f"module.{k}": v for k, v in g.items()}}
    )
    convert(tmp_path / "p.pt", tmp_path / "p.safetensors")
    assert load(tmp_path / "p.safetensors").image_shape == (16, 16, 3)


def test_an_export_that_does_not_come_back_is_not_written(
    tmp_path, golden_dir, monkeypatch
):
    convert(golden_dir / "nvlabs_tiny_skip_resnet.pkl", tmp_path / "a")

    def spoiled(parts, dst, export=nvlabs.export):
        """Writes other values than the networks have."""
        return export(
            [
                dataclasses.replace(
                    part, variables=jax.tree.map(lambda x: x + 1, part.variables)
                )
                for part in parts
            ],
            dst,
        )

    monkeypatch.setattr(nvlabs, "export", spoiled)
    with pytest.raises(UserError, match="differs by .*Nothing was written"):
        convert(tmp_path / "a", tmp_path / "b.pt", to="nvlabs", verify=True)
    assert not (tmp_path / "b.pt").exists()


@pytest.mark.parametrize("size", [8, 16])
def test_rosinality_and_back_is_bit_for_bit(tmp_path, size):
    g, d = rosinality_state(size)
    tree = {"g_ema": g, "d": d, "latent_avg": np.arange(512, dtype=np.float32)}
    write_torch_zip(tmp_path / "a.pt", tree)
    convert(tmp_path / "a.pt", tmp_path / "ours", verify=True)
    report = json.loads((tmp_path / "ours.parity.json").read_text())
    assert report["passed"] and report["source"]["file"] == "a.pt"
    result = convert(tmp_path / "ours", tmp_path / "b.pt", to="rosinality", verify=True)
    assert [part.name for part in result.report.parts] == ["g_ema", "d"]
    assert all(e == 0 for part in result.report.parts for e in part.groups.values())
    assert any(f"--size {size}" in note for note in result.notes)
    back = {p.name: p.state for p in open_checkpoint(tmp_path / "b.pt").source.parts}
    assert set(back) == {"g_ema", "d"}
    for name, want in (("g_ema", g | {"latent_avg": tree["latent_avg"]}), ("d", d)):
        assert set(back[name]) == set(want)
        for key, value in want.items():
            np.testing.assert_array_equal(back[name][key].array(), value, key)
            assert back[name][key].array().dtype == value.dtype


def test_the_way_through_three_formats_keeps_tensors_and_chain(tmp_path, golden_dir):
    src = golden_dir / "nvlabs_tiny_skip_resnet.pkl"
    convert(src, tmp_path / "a", licence="for tests")
    convert(tmp_path / "a", tmp_path / "nv.pt", to="nvlabs")
    convert(tmp_path / "nv.pt", tmp_path / "b")
    for name in TORCH_PARTS:
        a = read_model(tmp_path / "a" / f"{name}.safetensors")
        b = read_model(tmp_path / "b" / f"{name}.safetensors")
        assert a.config == b.config
        flat, again = flatten(a.variables), flatten(b.variables)
        assert set(flat) == set(again)
        assert all(flat[k].tobytes() == again[k].tobytes() for k in flat)
        assert b.metadata["licence"] == "for tests"
        parent = b.metadata["provenance"]["parent"]
        assert parent["provenance"]["source"]["file"] == src.name


def test_architectures_that_rosinality_lacks_are_refused(tmp_path, golden_dir):
    convert(golden_dir / "nvlabs_tiny_orig_skip.pkl", tmp_path / "a")
    with pytest.raises(UserError, match="architecture orig.*labels"):
        convert(tmp_path / "a", tmp_path / "b.pt", to="rosinality")
    assert not (tmp_path / "b.pt").exists()


def test_clamps_are_said_to_be_lost(tmp_path, states):
    g, _ = small(states)
    write_torch_zip(tmp_path / "a.pt", {"g_ema": g})
    convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    model = read_model(tmp_path / "a.safetensors")
    from stylegan_jax.checkpoints.model_file import save_model

    save_model(
        tmp_path / "c.safetensors",
        model.variables,
        family=model.family,
        config={**model.config, "conv_clamp": 256.0},
        provenance={},
        licence="x",
    )
    result = convert(tmp_path / "c.safetensors", tmp_path / "c.pt", to="rosinality")
    assert any("not clamped" in note for note in result.notes)


def test_our_own_file_needs_a_target(tmp_path, golden_dir):
    convert(golden_dir / "tf_tiny.pkl", tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="own already"):
        convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


def test_part_by_name(tmp_path, golden_dir):
    src = golden_dir / "tf_tiny.pkl"
    result = convert(src, tmp_path / "d.safetensors", part="d")
    assert result.parts[0].family == "stylegan2.discriminator"
    with pytest.raises(UserError, match="no part 'x'.*g_ema, g, d"):
        convert(src, tmp_path / "x.safetensors", part="x")


def test_existing_file_in_the_way_of_a_folder(tmp_path, golden_dir):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        convert(golden_dir / "tf_tiny.pkl", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_multiplier_of_the_mapping_is_told_from_its_spread(tmp_path):
    g, _ = rosinality_state(8, lr_mlp=0.1)
    write_torch_zip(tmp_path / "a.pt", {"g_ema": g})
    result = convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    assert result.parts[0].config["mapping_lr_multiplier"] == 0.1
    assert any("lr_mlp 0.1 was told" in note for note in result.notes)
    # Back in a file whose readers take 0.01, it has to be the same function.
    args = (tmp_path / "a.safetensors", tmp_path / "b.pt")
    result = convert(*args, to="rosinality", verify=True)
    assert result.report.parts[0].outputs["w as before"] < 1e-5
    convert(tmp_path / "b.pt", tmp_path / "b.safetensors")
    ours, theirs = load(tmp_path / "a.safetensors"), load(tmp_path / "b.safetensors")
    assert theirs.config["mapping_lr_multiplier"] == 0.01
    z = np.random.RandomState(0).randn(2, 512).astype(np.float32)
    w, again = np.asarray(ours.mapping(z)), np.asarray(theirs.mapping(z))
    assert np.linalg.norm(w - again) / np.linalg.norm(w) < 1e-5


def test_verify_sees_what_equal_tensors_do_not_show(tmp_path, golden_dir, monkeypatch):
    convert(golden_dir / "nvlabs_tiny_skip_resnet.pkl", tmp_path / "a", part="g_ema")

    def forgetful(config, kwargs=nvlabs.generator_kwargs):
        found = kwargs(config)
        found["mapping_kwargs"]["lr_multiplier"] = 0.02
        return found

    monkeypatch.setattr(nvlabs, "generator_kwargs", forgetful)
    with pytest.raises(UserError, match="w as before differs"):
        convert(tmp_path / "a", tmp_path / "b.pt", to="nvlabs", verify=True)
