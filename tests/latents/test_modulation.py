import jax
import numpy as np
import pytest
from rosinality_states import rosinality_state
from tiny_models import tiny_generator
from torch_files import write_torch_zip

from stylegan_jax.checkpoints.load import load
from stylegan_jax.convert_torch.conversion import convert
from stylegan_jax.errors import UserError
from stylegan_jax.latents.directions import closed_form_directions
from stylegan_jax.latents.modulation import chosen_weights, modulation_weights
from stylegan_jax.models import mobilestylegan


def test_layers_of_stylegan2():
    module, variables = tiny_generator()
    weights = modulation_weights(variables)
    assert list(weights) == [0, 1, 2, 3, 4]  # the sixth latent is torgb's alone
    blocks = variables["params"]["synthesis"]
    for layer, (block, name) in enumerate(
        [("b4", "conv1"), ("b8", "conv0"), ("b8", "conv1"), ("b16", "conv0")]
    ):
        want = blocks[block][name]["affine"]["weight"]
        np.testing.assert_array_equal(weights[layer], want)
    chosen = chosen_weights(variables, [1, 2, module.num_ws - 1])
    assert len(chosen) == 2 and chosen[0] is weights[1]
    with pytest.raises(UserError, match="choose from 0, 1, 2, 3, 4"):
        chosen_weights(variables, [module.num_ws - 1])


def test_layers_of_mobilestylegan():
    module = mobilestylegan.Generator(num_blocks=4, z_dim=4, w_dim=6, channel_max=8)
    z = jax.ShapeDtypeStruct((1, 4), np.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), z)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape), dict(variables))
    weights = modulation_weights(variables)
    assert list(weights) == list(range(module.num_ws - 1))  # the last is the colours'
    blocks = variables["params"]["synthesis"]
    for layer, dense in (
        (0, blocks["b4"]["style"]),
        (1, blocks["b8"]["up"]),
        (2, blocks["b8"]["conv0"]["style"]),
        (6, blocks["b16"]["conv1"]["style"]),
    ):
        assert weights[layer] is dense["affine"]["kernel"]


def test_other_networks():
    with pytest.raises(UserError, match="no affine layers"):
        modulation_weights({"params": {"conv": {"kernel": np.zeros((3, 3))}}})


def test_a_converted_model_has_the_closed_form_of_its_source(tmp_path):
    state, _ = rosinality_state(8)
    tree = {"g_ema": state, "latent_avg": np.zeros(512, np.float32)}
    write_torch_zip(tmp_path / "g.pt", tree)
    convert(tmp_path / "g.pt", tmp_path / "g.safetensors")
    variables = load(tmp_path / "g.safetensors").variables
    names = [
        name
        for name in state
        if name.endswith("modulation.weight") and "to_rgb" not in name
    ]
    below = np.concatenate([state[name] for name in names]).astype(np.float64)
    units, values = closed_form_directions(chosen_weights(variables, None), 8)
    want, vectors = np.linalg.eigh(below.T @ below)
    np.testing.assert_allclose(values, want[::-1][:8], rtol=1e-5)
    cosines = np.sum(units * vectors[:, ::-1][:, :8].T, axis=1)
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)
