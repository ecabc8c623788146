"""Golden cases in the files that their original programs would have written."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from golden_case import FOLDER, GoldenCase
from golden_draw import relative_error
from torch_files import write_torch_legacy, write_torch_zip

from stylegan_jax.convert_torch.converted import Converted
from stylegan_jax.convert_torch.rules.layout import as_array, to_torch


def pickle_of(case: GoldenCase) -> Path:
    """The case's own pickle, as its program left it."""
    return FOLDER / case.info["file"]


def write_rosinality(case: GoldenCase, folder: Path) -> Path:
    """A training state: networks, mean latent, optimiser, arguments."""
    moments = {"step": 7, "exp_avg": np.zeros((2, 2), np.float32)}
    groups = [{"lr": 0.002, "betas": (0.0, 0.99), "params": [0]}]
    tree = {
        "g_ema": case.state_dict("generator"),
        "d": case.state_dict("discriminator"),
        "g_optim": {"state": {0: moments}, "param_groups": groups},
        "args": argparse.Namespace(
            size=case.info["size"],
            latent=case.info["style_dim"],
            n_mlp=case.info["n_mlp"],
            channel_multiplier=case.info["channel_multiplier"],
            path="data.lmdb",
        ),
        "latent_avg": case.input("latent_avg"),
    }
    return _written(write_torch_zip, folder / "010000.pt", tree)


def write_nvlabs(case: GoldenCase, folder: Path) -> Path:
    """State dicts of NVIDIA's networks beside the arguments that make them."""
    tree = {
        part: {
            "init_kwargs": case.info["init_kwargs"][part],
            "state_dict": case.state_dict(part),
        }
        for part in case.parts
    }
    return _written(write_torch_zip, folder / "nvlabs.pt", tree)


def write_zip(folder: Path, tree: Mapping[str, Any]) -> Path:
    """A zip file of PyTorch."""
    return _written(write_torch_zip, folder / "net.pt", tree)


def write_legacy(folder: Path, tree: Mapping[str, Any]) -> Path:
    """A file as PyTorch wrote it before version 1.6."""
    return _written(write_torch_legacy, folder / "net.pth", tree)


def nhwc(x: np.ndarray) -> np.ndarray:
    """NCHW to NHWC."""
    return np.transpose(x, (0, 2, 3, 1))


def nchw(x: Any) -> np.ndarray:
    """NHWC to NCHW."""
    return np.transpose(np.asarray(x), (0, 3, 1, 2))


def assert_close(
    outputs: Mapping[str, Any], expected: Mapping[str, np.ndarray], tolerance: float
) -> None:
    """Every output's relative error is below the tolerance; all others are named.

    Args:
        outputs: by name; of the expected shape but for axes of length one.
        expected: what the original program gave, by name; it may hold more.
        tolerance: of ‖a−b‖ / ‖b‖.
    """
    errors = {
        name: relative_error(np.reshape(value, expected[name].shape), expected[name])
        for name, value in outputs.items()
    }
    wrong = {k: f"{v:.1e}" for k, v in errors.items() if not v < tolerance}
    assert errors and not wrong, wrong


def assert_comes_back(parts: Sequence[Converted]) -> None:
    """Laid out as in their file again, the tensors are the file's, bit for bit.

    Filters are made anew from their taps and a 1 is taken off biases again, so those
    may differ in their last bit. What the network does not use is not compared.
    """
    for part in parts:
        assert part.source is not None and part.expansion is not None
        back = to_torch(part.variables, part.expansion, where=part.name)
        again = {e.source for e in part.expansion.entries if "+1" in e.axes.text}
        again |= {buffer.source for buffer in part.expansion.buffers}
        assert not set(part.source.state) - set(back) - set(part.source.ignored)
        for name in set(part.source.state) & set(back):
            want, have = as_array(part.source.state[name]), back[name]
            assert (have.dtype, have.shape) == (want.dtype, want.shape), name
            rtol = 1e-6 if name in again else 0
            np.testing.assert_allclose(have, want, rtol, atol=rtol / 10, err_msg=name)


def _written(write: Any, path: Path, tree: Mapping[str, Any]) -> Path:
    write(path, tree)
    return path
