import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_case import GoldenCase
from golden_draw import normal, relative_error, stylegan1_noise

from stylegan_jax.checkpoints.stylegan1 import (
    StyleGAN1Discriminator,
    StyleGAN1Generator,
)
from stylegan_jax.convert_torch.rules import stylegan1_tensorflow as rules
from stylegan_jax.convert_torch.rules.layout import to_jax, to_torch
from stylegan_jax.convert_torch.rules.stylegan2_tensorflow import settled
from stylegan_jax.errors import UserError

GENERATOR, DISCRIMINATOR = rules.LAYOUTS


def _convert(layout, state, static=None):
    facade = StyleGAN1Generator if layout is GENERATOR else StyleGAN1Discriminator
    hints = {"where": "net.pkl", "static_kwargs": static or {}}
    config = layout.config(state, hints)
    shapes = facade.shapes(config, where="net.pkl")
    return config, to_jax(state, layout.expand(config), shapes, where="net.pkl")


def _as_tensorflow(case):
    """A golden case as NVIDIA's program would have pickled it when it had grown."""
    state = case.state_dict("net")
    top = case.info["resolution"]
    named = {
        "lod": np.float32(0),
        "synthesis/lod": np.float32(0),
        "dlatent_avg": np.float32(0.1) * normal(case, "avg_latent", (512,)),
    }
    layers = {"conv0_up": "Conv0_up", "conv1": "Conv1", "conv": "Conv"}
    for key, tensor in state.items():
        if tensor.ndim == 2:
            tensor = tensor.T
        elif tensor.ndim == 4 and not key.endswith("const"):
            tensor = tensor.transpose(2, 3, 1, 0)
        part, *rest = key.split(".")
        if part == "g_mapping":
            named[f"mapping/Dense{rest[0][5:]}/{rest[1]}"] = tensor
        elif rest[0] == "torgb":
            named[f"synthesis/ToRGB_lod0/{rest[1]}"] = tensor
            named[f"synthesis/ToRGB_lod1/{rest[1]}"] = tensor  # a leftover
        elif rest[1] == "4x4" and len(rest) == 3:
            named[f"synthesis/4x4/Const/{rest[2]}"] = tensor
        elif rest[2] in layers and "kernel" not in rest:
            named[f"synthesis/{rest[1]}/{layers[rest[2]]}/{rest[3]}"] = tensor
        elif rest[2].startswith("epi"):
            first = "Const" if rest[1] == "4x4" else "Conv0_up"
            second = "Conv" if rest[1] == "4x4" else "Conv1"
            layer = first if rest[2] == "epi1" else second
            leaf = "Noise" if rest[3] == "top_epi" else "StyleMod"
            named[f"synthesis/{rest[1]}/{layer}/{leaf}/{rest[-1]}"] = tensor
    noise = stylegan1_noise(case)["synthesis"]
    for n in range(2 * (top.bit_length() - 2)):
        block = noise[f"b{4 << n // 2}"]
        maps = block["conv1" if n % 2 else "conv0" if n > 1 else "input"]
        named[f"synthesis/noise{n}"] = maps["noise_const"][None, None]
    return named


@pytest.fixture(scope="module")
def small():
    """The smaller case's settled tensors; tests change a copy."""
    state, left = settled(_as_tensorflow(GoldenCase("stylegan1_64")), where="G")
    assert sorted(left) == [f"synthesis/ToRGB_lod1/{x}" for x in ("bias", "weight")]
    return state


@pytest.mark.parametrize("size", [64, 256])
def test_the_golden_cases_in_tensorflows_names(size):
    case = GoldenCase(f"stylegan1_{size}")
    state, _ = settled(_as_tensorflow(case), where="G")
    assert rules.is_generator(state) and not rules.is_discriminator(state)
    config, variables = _convert(GENERATOR, state, {"fused_scale": "auto"})
    assert config["stored_noise"] and config["norm_eps"] == 1e-8
    assert config["channel_base"] == 2 * case.info["fmap_base"]
    again = to_torch(variables, GENERATOR.expand(config), where="G")
    assert set(again) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(again[name], tensor, err_msg=name)

    # The case was made with the port's eps.
    module = StyleGAN1Generator.MODULE(**{**config, "norm_eps": 1e-5})
    network = StyleGAN1Generator(module, variables)
    w_plus = network.mapping(normal(case, "z", (3, 512)), None, 0.7, 4)
    x, step = np.asarray(network.synthesis(w_plus)).transpose(0, 3, 1, 2), size // 64
    x = x[:, :, step // 2 :: step, step // 2 :: step]
    assert relative_error(x, case.expected["image_psi07_cut4"]) < 1e-4


@pytest.mark.parametrize(
    ("static", "field", "value"),
    [
        ({"fused_scale": "auto"}, "fused_resolution", 128),
        ({"fused_scale": True}, "fused_resolution", 0),
        ({"fused_scale": False}, "fused_resolution", 2**20),
        ({"blur_filter": [1, 3, 1]}, "resample_filter", (0.2, 0.6, 0.2)),
        ({"blur_filter": None}, "resample_filter", (1.0,)),
        ({"mapping_lrmul": 0.1}, "mapping_lr_multiplier", 0.1),
        ({"truncation_psi": 0.5}, "num_blocks", 5),
    ],
)
def test_what_the_arguments_alone_tell(small, static, field, value):
    config = GENERATOR.config(small, {"static_kwargs": static})
    assert config[field] == pytest.approx(value)


@pytest.mark.parametrize(
    ("static", "sentence"),
    [
        (
            {"use_pixel_norm": True, "nonlinearity": "relu"},
            "nonlinearity='relu', use_pixel_norm=True, which this converter does not",
        ),
        ({"use_wscale": np.ones(2)}, "use_wscale=array"),
        ({"fused_scale": [1]}, r"fused_scale=\[1\], which means nothing"),
        ({"blur_filter": [1, 1]}, r"blur_filter=\[1, 1\]"),
        ({"blur_filter": "soft"}, "blur_filter='soft'"),
        ({"mapping_lrmul": "x"}, "mapping_lrmul='x', which is no such number"),
    ],
)
def test_other_arguments_are_refused(small, static, sentence):
    with pytest.raises(UserError, match=sentence):
        GENERATOR.config(small, {"where": "net.pkl", "static_kwargs": static})


def test_a_network_that_still_grows_is_refused():
    with pytest.raises(UserError, match="still grew"):
        settled({"synthesis/lod": np.float32(1.5)}, where="G")


def test_conditional_generators_are_refused(small):
    state = {**small, "mapping/LabelConcat/weight": np.zeros((3, 512))}
    with pytest.raises(UserError, match="is a conditional network"):
        _convert(GENERATOR, state)


def test_every_tensor_that_does_not_fit_is_named(small):
    state = dict(small)
    del state["synthesis/8x8/Conv1/Noise/weight"]
    state["synthesis/surplus"] = np.zeros(1, np.float32)
    state["synthesis/noise3"] = np.zeros((1, 1, 8, 4), np.float32)
    with pytest.raises(UserError) as caught:
        _convert(GENERATOR, state)
    text = str(caught.value)
    assert "missing: synthesis/8x8/Conv1/Noise/weight" in text
    assert "unexpected: synthesis/surplus" in text
    assert "synthesis/noise3 [1, 1, 8, 4] instead of [1, 1, 8, 8]" in text


def _discriminator_state(labels=0, fmap_base=32, fmap_max=16, resolution=16):
    """Tensors as NVIDIA's D_basic names and shapes them, drawn."""
    rng = np.random.default_rng(0)

    def width(stage):
        return min(fmap_base >> stage, fmap_max)

    top = resolution.bit_length() - 1
    shapes = {f"{resolution}x{resolution}/FromRGB": (1, 1, 3, width(top - 1))}
    for res in range(top, 2, -1):
        block = f"{1 << res}x{1 << res}"
        shapes[f"{block}/Conv0"] = (3, 3, width(res - 1), width(res - 1))
        shapes[f"{block}/Conv1_down"] = (3, 3, width(res - 1), width(res - 2))
    shapes["4x4/Conv"] = (3, 3, width(1) + 1, width(1))
    shapes["4x4/Dense0"] = (16 * width(1), width(0))
    shapes["4x4/Dense1"] = (width(0), max(labels, 1))
    state = {}
    for name, shape in shapes.items():
        state[f"{name}/weight"] = rng.standard_normal(shape, dtype=np.float32)
        state[f"{name}/bias"] = rng.standard_normal(shape[-1], dtype=np.float32)
    return state


def _scores_as_described(state, x, c=None):
    """D_basic written out step by step, channels first, halving kept apart."""

    def conv(name, x):
        w = state[f"{name}/weight"]
        gain = np.sqrt(2 / np.prod(w.shape[:3]))
        numbers = ("NCHW", "HWIO", "NCHW")
        return jax.lax.conv_general_dilated(
            x, w * np.float32(gain), (1, 1), "SAME", dimension_numbers=numbers
        )

    def act(name, y):
        b = state[f"{name}/bias"].reshape((1, -1) + (1,) * (y.ndim - 2))
        return jnp.where(y + b > 0, y + b, 0.2 * (y + b))

    def blur(x):
        taps = jnp.outer(jnp.array([1.0, 2, 1]), jnp.array([1.0, 2, 1])) / 16
        kernel = jnp.tile(taps[:, :, None, None], (1, 1, 1, x.shape[1]))
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (1, 1),
            "SAME",
            dimension_numbers=("NCHW", "HWIO", "NCHW"),
            feature_group_count=x.shape[1],
        )

    size = x.shape[2]
    x = act(f"{size}x{size}/FromRGB", conv(f"{size}x{size}/FromRGB", x))
    while size > 4:
        block = f"{size}x{size}"
        x = act(f"{block}/Conv0", conv(f"{block}/Conv0", x))
        y = conv(f"{block}/Conv1_down", blur(x))
        n, channels = y.shape[:2]
        size //= 2
        y = y.reshape(n, channels, size, 2, size, 2).mean((3, 5))
        x = act(f"{block}/Conv1_down", y)
    # One group of all four pictures.
    spread = jnp.sqrt(jnp.var(x, 0) + 1e-8).mean()
    x = jnp.concatenate([x, jnp.full((len(x), 1, 4, 4), spread)], 1)
    x = act("4x4/Conv", conv("4x4/Conv", x)).reshape(len(x), -1)
    w = state["4x4/Dense0/weight"]
    x = act("4x4/Dense0", x @ (w * np.float32(np.sqrt(2 / len(w)))))
    w = state["4x4/Dense1/weight"]
    y = x @ (w / np.float32(np.sqrt(len(w)))) + state["4x4/Dense1/bias"]
    return y[:, 0] if c is None else (y * c).sum(1)


@pytest.mark.parametrize("labels", [0, 3])
@pytest.mark.parametrize("fmap_base", [32, 1024])
def test_discriminators_convert_and_compute_the_same(labels, fmap_base):
    state = _discriminator_state(labels, fmap_base)
    assert rules.is_discriminator(state) and not rules.is_generator(state)
    config, variables = _convert(DISCRIMINATOR, state)
    assert config["c_dim"] == labels and config["num_blocks"] == 3
    again = to_torch(variables, DISCRIMINATOR.expand(config), where="D")
    assert set(again) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(again[name], tensor, err_msg=name)
    network = StyleGAN1Discriminator(StyleGAN1Discriminator.MODULE(**config), variables)
    x = np.random.default_rng(1).standard_normal((4, 3, 16, 16), dtype=np.float32)
    c = np.eye(3, dtype=np.float32)[[0, 2, 1, 1]] if labels else None
    got = network(x.transpose(0, 2, 3, 1), c)
    assert relative_error(got, jax.jit(_scores_as_described)(state, x, c)) < 1e-4


def test_a_grown_discriminator_is_settled_first():
    state = _discriminator_state()
    grown = {"lod": np.float32(0), "FromRGB_lod1/bias": np.zeros(16, np.float32)}
    for name, tensor in state.items():
        grown[name.replace("16x16/FromRGB", "FromRGB_lod0")] = tensor
    kept, left = settled(grown, where="D")
    assert set(kept) == set(state) and left == ["FromRGB_lod1/bias"]


def test_a_discriminator_of_one_label_is_refused():
    state = _discriminator_state()
    with pytest.raises(UserError, match="scores a single label"):
        _convert(DISCRIMINATOR, state, {"label_size": 1})


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_no_missing_tensor_is_a_crash(name, small):
    layout = GENERATOR if name == "generator" else DISCRIMINATOR
    state = small if name == "generator" else _discriminator_state()
    # Those that the config is told from; the others are listed by the conversion.
    told = ("Const/const", "/Conv1/weight", "Dense0/weight", "ToRGB/weight")
    told += ("FromRGB/weight", "4x4/Conv/weight", "Dense1/weight", "/Conv0/weight")
    tried = 0
    for key in state:
        if key.endswith(told):
            less = {k: v for k, v in state.items() if k != key}
            with pytest.raises(UserError):
                _convert(layout, less)
            tried += 1
    assert tried > 4
