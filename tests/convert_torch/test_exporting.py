"""Files for other programs: what they hold, and that they come back bit for bit."""

import argparse

import numpy as np
import pytest
from golden_case import GoldenCase
from torch_files import write_torch_legacy, write_torch_zip

from stylegan_jax.checkpoints.model_file import flatten, read_model
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.convert_torch.readers import read_checkpoint
from stylegan_jax.convert_torch.writers.torch_zip import save_torch
from stylegan_jax.errors import UserError


def same(a, b):
    """Whether two model files hold the same network."""
    a, b = read_model(a), read_model(b)
    flat, again = flatten(a.variables), flatten(b.variables)
    assert a.config == b.config and set(flat) == set(again)
    return all(flat[k].tobytes() == again[k].tobytes() for k in flat)


@pytest.fixture
def students(tmp_path):
    """A folder of pix2pixHD's generator, discriminator and encoder."""
    folder = tmp_path / "ours"
    for name, part in (("global", "g"), ("discriminator", "d"), ("encoder", "e")):
        state = GoldenCase(f"pix2pixhd_{name}").state_dict("net")
        write_torch_legacy(tmp_path / f"{part}.pth", state)
        convert(tmp_path / f"{part}.pth", folder / f"{part}.safetensors")
    return folder


def test_pix2pixhd_folder_and_back(tmp_path, students):
    result = convert(students, tmp_path / "theirs", to="pix2pixhd")
    names = {path.name for path in result.written}
    assert {f"latest_net_{letter}.pth" for letter in "GDE"} < names
    assert any("--ngf 16 --n_downsample_global 3" in note for note in result.notes)
    for letter in "GDE":
        src = tmp_path / "theirs" / f"latest_net_{letter}.pth"
        convert(src, tmp_path / "again" / f"{letter.lower()}.safetensors")
        file = f"{letter.lower()}.safetensors"
        assert same(students / file, tmp_path / "again" / file)
    state = read_checkpoint(tmp_path / "theirs" / "latest_net_G.pth").root
    want = GoldenCase("pix2pixhd_global").state_dict("net")
    assert set(state) == set(want)


def test_several_networks_do_not_fit_one_file(tmp_path, students):
    with pytest.raises(UserError, match="give a folder"):
        convert(students, tmp_path / "one.pth", to="pix2pixhd")
    assert not (tmp_path / "one.pth").exists()


@pytest.mark.parametrize("target", ["rosinality", "nvlabs", "psp"])
def test_a_target_without_such_a_network(tmp_path, students, target):
    with pytest.raises(UserError, match="there is no .*pix2pixhd.global"):
        convert(students, tmp_path / "x.pt", to=target)
    assert not (tmp_path / "x.pt").exists()


@pytest.mark.slow
def test_psp_and_back(tmp_path):
    case = GoldenCase("psp_full_64")
    opts = argparse.Namespace(
        output_size=64,
        encoder_type="GradualStyleEncoder",
        input_nc=3,
        label_nc=0,
        learn_in_w=False,
        start_from_latent_avg=True,
    )
    mean = np.arange(5120, dtype=np.float32).reshape(10, 512)
    tree = {"state_dict": case.state_dict("state_dict"), "opts": opts}
    write_torch_zip(tmp_path / "a.pt", {**tree, "latent_avg": mean})
    convert(tmp_path / "a.pt", tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", tmp_path / "b.pt", to="psp")
    convert(tmp_path / "b.pt", tmp_path / "b.safetensors")
    assert same(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    root = read_checkpoint(tmp_path / "b.pt").root
    assert set(root["state_dict"]) == set(tree["state_dict"])
    assert root["opts"]["output_size"] == 64
    np.testing.assert_array_equal(root["latent_avg"].array(), mean)
    # The decoder is a generator of its own.
    result = convert(tmp_path / "b.pt", tmp_path / "d.safetensors", part="decoder")
    assert result.parts[0].family == "stylegan2.generator"


def test_writer_holds_every_kind_of_value(tmp_path):
    tree = {
        "numbers": [1, -(2**40), 2.5, True, None],
        "nested": {"tuple": (1, "ä")},
        "half": np.ones((2, 3), np.float16),
        "scalar": np.float32(3),
        "long": np.arange(4),
        "empty": np.zeros((0, 2), np.float32),
        "strided": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }
    save_torch(tmp_path / "a.pt", tree)
    root = read_checkpoint(tmp_path / "a.pt").root
    assert root["numbers"] == tree["numbers"]
    assert root["nested"] == tree["nested"]
    for name in ("half", "scalar", "long", "empty", "strided"):
        array = root[name].array()
        np.testing.assert_array_equal(array, tree[name])
        assert array.dtype == np.asarray(tree[name]).dtype
    save_torch(tmp_path / "again" / "a.pt", tree)
    again = (tmp_path / "again" / "a.pt").read_bytes()
    assert (tmp_path / "a.pt").read_bytes() == again


def test_writer_refuses_what_pytorch_would_have_to_run(tmp_path):
    with pytest.raises(UserError, match="cannot write a object"):
        save_torch(tmp_path / "x.pt", {"a": object()})
    with pytest.raises(UserError, match="complex128"):
        save_torch(tmp_path / "x.pt", {"a": np.zeros(2, np.complex128)})
    assert not (tmp_path / "x.pt").exists()


def test_pytorch_loads_what_is_written(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    save_torch(tmp_path / "a.pt", {"w": np.arange(6, dtype=np.float32).reshape(2, 3)})
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)
    assert loaded["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
