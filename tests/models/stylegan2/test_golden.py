"""Outputs, penalties and gradient norms of the original PyTorch programs.

Tolerances are those that the two programs can hold in float32 on a CPU: relative error
1e-4 for outputs, 1e-3 for penalties and gradient norms.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.losses.regularisers import path_lengths, r1_penalty
from stylegan_jax.models.stylegan2 import Discriminator, Generator, truncate
from tests.golden_case import GoldenCase
from tests.models.stylegan2 import torch_layouts


def nhwc(x):
    return jnp.asarray(np.transpose(x, (0, 2, 3, 1)))


def close(ours, theirs, tolerance):
    theirs = np.asarray(theirs, np.float64)
    ours = np.asarray(ours, np.float64).reshape(theirs.shape)
    error = np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)
    assert error < tolerance, f"relative error {error:.2e}"


def same_tree(module, variables, *inputs):
    """The mapping leaves nothing out and adds nothing."""
    made = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    shapes = jax.tree.map(lambda x: x.shape, dict(made))
    assert shapes == jax.tree.map(lambda x: x.shape, variables)


class Networks:
    """One case's networks; everything jitted once."""

    def __init__(self, name):
        self.case = case = GoldenCase(name)
        self.g = Generator(num_blocks=5)
        self.d = Discriminator(num_blocks=5)
        if name == "nvlabs_64":
            g = torch_layouts.nvlabs(case.state_dict("G_ema"))
            d = torch_layouts.nvlabs(case.state_dict("D"))
        else:
            latent_avg = case.input("latent_avg")
            g = torch_layouts.rosinality_generator(
                case.state_dict("generator"), latent_avg
            )
            d = torch_layouts.rosinality_discriminator(
                case.state_dict("discriminator"), 64
            )
        self.g_variables, self.d_variables = g, d
        self.real = nhwc(case.input("real"))
        self.pl_noise = nhwc(case.input("pl_noise")) * 64.0
        self.z = jnp.asarray(case.input("z" if name == "nvlabs_64" else "z1"))

    @property
    def w(self):
        return jax.jit(lambda v, z: self.g.apply(v, z, method="w"))(
            self.g_variables, self.z
        )

    def broadcast(self, w):
        return jnp.repeat(w[:, None], self.g.num_ws, 1)

    def images(self, w_plus, noise_mode="const"):
        synthesis = jax.jit(
            lambda v, w: self.g.apply(v, w, noise_mode=noise_mode, method="synthesis")
        )
        return synthesis(self.g_variables, w_plus)

    def logits(self, x):
        return jax.jit(self.d.apply)(self.d_variables, x)

    def r1(self, d_params):
        def logits(x):
            return self.d.apply({"params": d_params}, x)

        return r1_penalty(logits, self.real)[0]

    def lengths(self, g_params, w_plus):
        variables = {**self.g_variables, "params": g_params}

        def synthesis(w):
            return self.g.apply(variables, w, noise_mode="const", method="synthesis")

        return path_lengths(synthesis, w_plus, self.pl_noise)


@pytest.fixture(scope="module")
def nv():
    return Networks("nvlabs_64")


@pytest.fixture(scope="module")
def ros():
    return Networks("rosinality_64_m2")


@pytest.mark.parametrize("name", ["nv", "ros"])
def test_trees_match(name, request):
    nets = request.getfixturevalue(name)
    same_tree(nets.g, nets.g_variables, nets.z)
    same_tree(nets.d, nets.d_variables, nets.real)


def test_nvlabs_outputs(nv):
    expected = nv.case.expected
    w_plus = nv.broadcast(nv.w)
    close(nv.w, expected["w"], 1e-4)
    w_avg = nv.g_variables["moving_stats"]["mapping"]["w_avg"]
    close(truncate(w_plus, w_avg, 0.5, 4), expected["w_psi05_cut4"], 1e-4)
    images = nv.images(w_plus)
    close(images, nhwc(expected["image"]), 1e-4)
    close(nv.images(w_plus, "none"), nhwc(expected["image_none"]), 1e-4)
    close(nv.logits(images), expected["d_fake"], 1e-4)
    close(nv.logits(nv.real), expected["d_real"], 1e-4)


def test_nvlabs_penalties(nv):
    expected = nv.case.expected
    close(jax.jit(nv.r1)(nv.d_variables["params"]), expected["r1_per_image"], 1e-3)
    lengths = jax.jit(nv.lengths)(nv.g_variables["params"], nv.broadcast(nv.w))
    close(lengths, expected["path_lengths"], 1e-3)


def test_rosinality_outputs(ros):
    expected = ros.case.expected
    close(ros.w, expected["w"], 1e-4)
    w_plus = ros.broadcast(ros.w)
    images = ros.images(w_plus)
    close(images, nhwc(expected["image"]), 1e-4)
    w_avg = ros.case.input("latent_avg")
    close(ros.images(truncate(w_plus, w_avg, 0.7)), nhwc(expected["image_psi07"]), 1e-4)
    z2 = jnp.asarray(ros.case.input("z2"))
    w2 = ros.broadcast(ros.g.apply(ros.g_variables, z2, method="w"))
    mixed = jnp.concatenate([w_plus[:, :4], w2[:, 4:]], 1)
    close(ros.images(mixed), nhwc(expected["image_mix4"]), 1e-4)
    close(
        ros.images(jnp.asarray(ros.case.input("wplus"))),
        nhwc(expected["image_wplus"]),
        1e-4,
    )
    close(ros.logits(images), expected["d_fake"], 1e-4)
    close(ros.logits(ros.real), expected["d_real"], 1e-4)


def test_rosinality_r1_and_its_gradient(ros):
    expected = ros.case.expected

    def mean_r1(params):
        penalties = ros.r1(params)
        return jnp.mean(penalties), penalties

    gradients, penalties = jax.jit(jax.grad(mean_r1, has_aux=True))(
        ros.d_variables["params"]
    )
    close(penalties, expected["r1_per_image"], 1e-3)
    norm = jnp.linalg.norm(gradients["b64"]["fromrgb"]["weight"])
    close(norm, expected["r1_grad_first_conv_norm"], 1e-3)


def test_rosinality_path_lengths_and_their_gradient(ros):
    expected = ros.case.expected
    w_plus = ros.broadcast(ros.w)

    def mean_square(params):
        lengths = ros.lengths(params, w_plus)
        return jnp.mean(jnp.square(lengths)), lengths

    gradients, lengths = jax.jit(jax.grad(mean_square, has_aux=True))(
        ros.g_variables["params"]
    )
    close(lengths, expected["path_lengths"], 1e-3)
    block = gradients["synthesis"]["b4"]
    for key, name in (("conv1", "conv1_weight"), ("const", "input")):
        leaf = block[key]["weight"] if key == "conv1" else block[key]
        close(jnp.linalg.norm(leaf), expected[f"pl_grad_{name}_norm"], 1e-3)
