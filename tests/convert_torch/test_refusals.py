"""What `convert` refuses, in a sentence, with nothing written."""

import os

import numpy as np
import pytest
from rosinality_states import FIR, rosinality_state
from torch_files import write_torch_zip

from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.convert_torch.describe import describe, table
from stylegan_jax.convert_torch.readers import read_checkpoint
from stylegan_jax.convert_torch.writers.torch_zip import save_torch
from stylegan_jax.errors import UserError

TORCH_PARTS = ("g_ema", "g", "d")


@pytest.fixture(scope="module")
def states():
    return rosinality_state()


def plain(tree):
    """What a reader returned with arrays for tensors."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items()}
    return tree.array() if hasattr(tree, "array") else tree


def small(states):
    """Copies that a test may change."""
    return dict(states[0]), dict(states[1])


def test_every_fault_is_listed_and_nothing_written(tmp_path, states):
    g, d = small(states)
    del g["convs.0.activate.bias"]
    g["surprise.weight"] = np.zeros(3, np.float32)
    g["to_rgbs.0.bias"] = np.zeros((1, 4, 1, 1), np.float32)
    g["convs.2.conv.blur.kernel"] = np.ones((4, 4), np.float32)
    write_torch_zip(tmp_path / "bad.pt", {"g_ema": g, "d": d})
    with pytest.raises(UserError) as error:
        convert(tmp_path / "bad.pt", tmp_path / "out")
    text = str(error.value)
    assert "missing: convs.0.activate.bias" in text
    assert "unexpected: surprise.weight" in text
    assert "to_rgbs.0.bias [1, 4, 1, 1] instead of [1, 3, 1, 1]" in text
    assert "convs.2.conv.blur.kernel" in text
    assert not (tmp_path / "out").exists()


def test_another_resolution_than_stated_is_refused(tmp_path, states):
    import argparse

    g, d = small(states)
    tree = {"g_ema": g, "d": d, "args": argparse.Namespace(size=256)}
    write_torch_zip(tmp_path / "bad.pt", tree)
    with pytest.raises(UserError, match="256 pixels and its tensors make 16x16"):
        convert(tmp_path / "bad.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nvidia_files_that_state_another_resolution(tmp_path, golden_dir):
    convert(golden_dir / "nvlabs_tiny_skip_resnet.pkl", tmp_path / "a")
    convert(tmp_path / "a", tmp_path / "b.pt", to="nvlabs")
    tree = plain(read_checkpoint(tmp_path / "b.pt").root)
    tree["G_ema"]["init_kwargs"]["img_resolution"] = 64
    save_torch(tmp_path / "c.pt", tree)
    with pytest.raises(UserError, match="64 pixels and its tensors make 32x32"):
        convert(tmp_path / "c.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


REFUSED = {
    "lucidrains": ({"GAN": {"S.net.0.weight": np.zeros(2, np.float32)}}, "lucidrains"),
    "stylegan3": (
        {"G_ema": {"synthesis.L0_36_512.weight": np.zeros(2, np.float32)}},
        "StyleGAN3",
    ),
    "unknown": ({"layer.weight": np.zeros(2, np.float32)}, "nothing.*layer.weight"),
    "numbers": ([1, 2, 3], "list"),
    "swagan": (
        {
            "input.input": np.zeros((1, 4, 4, 4), np.float32),
            "conv1.conv.modulation.weight": np.zeros((4, 4), np.float32),
            "style.1.weight": np.zeros((4, 4), np.float32),
        },
        "swagan",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_networks_are_named_and_refused(tmp_path, name):
    tree, words = REFUSED[name]
    write_torch_zip(tmp_path / "x.pt", tree)
    with pytest.raises(UserError, match=words):
        convert(tmp_path / "x.pt", tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_numbers_that_are_none_are_listed(tmp_path, states):
    g, _ = small(states)
    g["style.1.bias"] = np.full(512, np.nan, np.float32)
    write_torch_zip(tmp_path / "a.pt", {"g_ema": g})
    with pytest.raises(UserError, match="NaN or infinity in them: style.1.bias"):
        convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    g["style.1.bias"] = np.zeros(512, np.int64)
    write_torch_zip(tmp_path / "a.pt", {"g_ema": g})
    with pytest.raises(UserError, match="style.1.bias int64 instead of float"):
        convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_a_source_is_not_written_over(tmp_path, golden_dir):
    model = tmp_path / "a.safetensors"
    convert(golden_dir / "tf_tiny.pkl", model)
    before = model.read_bytes()
    with pytest.raises(UserError, match="is the source itself"):
        convert(model, model, to="nvlabs")
    with pytest.raises(UserError, match="ends in .pt"):
        convert(model, tmp_path / "b.safetensors", to="nvlabs")
    assert model.read_bytes() == before


def test_networks_of_two_sources_do_not_mix_in_a_folder(tmp_path, golden_dir, states):
    g, _ = small(states)
    write_torch_zip(tmp_path / "g.pt", {"g_ema": g})
    convert(golden_dir / "tf_tiny.pkl", tmp_path / "out")
    with pytest.raises(UserError, match="something else .d.safetensors, g.safetensors"):
        convert(tmp_path / "g.pt", tmp_path / "out")
    convert(golden_dir / "tf_tiny.pkl", tmp_path / "out")  # the same again is fine


def test_a_write_that_fails_leaves_nothing(tmp_path, golden_dir, monkeypatch):
    from stylegan_jax.convert_torch.converted import Converted

    def save(self, path, save=Converted.save):
        if self.name == "d":
            raise OSError(28, "No space left on device")
        save(self, path)

    monkeypatch.setattr(Converted, "save", save)
    with pytest.raises(UserError, match="No space left"):
        convert(golden_dir / "tf_tiny.pkl", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_foreign_files(tmp_path, states):
    g, _ = small(states)
    (tmp_path / "in").mkdir()
    write_torch_zip(tmp_path / "in" / "latest_net_G.pth", g)
    with pytest.raises(UserError, match="one checkpoint file at a time .latest_net_G"):
        convert(tmp_path / "in", tmp_path / "out")


def test_small_files_cannot_ask_for_much_memory(tmp_path):
    one = np.zeros((1, 1, 1, 1), np.float32)
    g = {"synthesis.b4.const": np.zeros((1, 4, 4), np.float32)}
    g["mapping.fc0.weight"] = np.eye(1, dtype=np.float32)
    g["mapping.fc0.bias"] = g["mapping.w_avg"] = np.zeros(1, np.float32)
    for r in (4 << k for k in range(16)):
        block = f"synthesis.b{r}"
        g[f"{block}.resample_filter"] = FIR
        for conv in ("conv1",) if r == 4 else ("conv0", "conv1"):
            g |= {
                f"{block}.{conv}.weight": np.zeros((1, 1, 3, 3), np.float32),
                f"{block}.{conv}.bias": np.zeros(1, np.float32),
                f"{block}.{conv}.affine.weight": one[0, 0],
                f"{block}.{conv}.affine.bias": one[0, 0, 0].copy(),
                f"{block}.{conv}.noise_strength": np.zeros((), np.float32),
                f"{block}.{conv}.resample_filter": FIR,
            }
        g[f"{block}.torgb.weight"] = one
        g[f"{block}.torgb.bias"] = g[f"{block}.torgb.affine.bias"] = one[0, 0, 0]
        g[f"{block}.torgb.affine.weight"] = one[0, 0]
    write_torch_zip(tmp_path / "a.pt", {"G_ema": g})
    with pytest.raises(UserError, match="asks for .* numbers of them"):
        convert(tmp_path / "a.pt", tmp_path / "a.safetensors")


DOCUMENTS = {
    "deep": "[" * 100_000,
    "no object": '{"parts": {"g_ema": 3}}',
    "odd licence": '{"parts": {"g_ema": {"licence": 5, "provenance": "x"}}}',
    "not ours": "hello",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_of_another_kind_is_not_ours(tmp_path, states, name):
    g, _ = small(states)
    tree = {"g_ema": g, "stylegan_jax": DOCUMENTS[name]}
    write_torch_zip(tmp_path / "a.pt", tree)
    result = convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    assert result.parts[0].licence.startswith("not stated")
    assert describe(tmp_path / "a.pt")["licence"].startswith("not stated")


def test_inspect_shows_the_licence_that_came_along(tmp_path, states):
    g, d = small(states)
    write_torch_zip(tmp_path / "a.pt", {"g_ema": g, "d": d})
    convert(tmp_path / "a.pt", tmp_path / "a", licence="CC0")
    convert(tmp_path / "a", tmp_path / "b.pt", to="rosinality")
    assert describe(tmp_path / "b.pt")["licence"] == "CC0"


def test_names_cannot_forge_lines(tmp_path, states):
    g, _ = small(states)
    tree = {"g_ema": g, "evil\x1b[31m\nlicence: MIT": 1}
    write_torch_zip(tmp_path / "a.pt", tree)
    text = table(describe(tmp_path / "a.pt"))
    assert "\x1b" not in text and "\nlicence: MIT" not in text
    g["bad\nerror: x"] = np.zeros(2, np.float32)
    write_torch_zip(tmp_path / "a.pt", {"g_ema": g})
    with pytest.raises(UserError) as error:
        convert(tmp_path / "a.pt", tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no regular file"):
        convert(tmp_path / "pipe", tmp_path / "out")


def test_a_damaged_part_of_a_folder_is_not_left_out(tmp_path, golden_dir):
    convert(golden_dir / "nvlabs_tiny_skip_resnet.pkl", tmp_path / "a")
    damaged = tmp_path / "a" / "d.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(UserError, match="d.safetensors is cut short"):
        convert(tmp_path / "a", tmp_path / "b.pt", to="nvlabs")
    assert not (tmp_path / "b.pt").exists()


def test_a_lone_file_in_a_folder_is_one_network(tmp_path, golden_dir):
    convert(golden_dir / "tf_tiny.pkl", tmp_path / "a" / "critic.safetensors", part="d")
    result = convert(tmp_path / "a", tmp_path / "b.pt", to="nvlabs")
    assert [part.name for part in result.parts] == ["d"]
