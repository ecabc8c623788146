import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stylegan_jax.bench import operator_cases, operators
from stylegan_jax.bench.machine import Peaks
from stylegan_jax.bench.operator_cases import FORWARD, GRADIENT, ORDERS, SECOND, Case
from stylegan_jax.bench.program_cost import cost_of
from stylegan_jax.bench.timing import Budget
from stylegan_jax.errors import UsageError
from stylegan_jax.ops.modulated_conv2d import arg_specs

PEAKS = Peaks({"float32": 1e9}, {"float32": 1e9}, copy=1e12, call=1e-12)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A network of two blocks: 32 channels at 4 px, 16 at 8 px."""
    monkeypatch.setitem(arg_specs.NETWORKS, "tiny", (8, 128))


def all_cases(platform="cpu", dtype="float32"):
    found = operator_cases.cases("tiny", batch=4, dtype=dtype, platform=platform)
    return {f"{case.name} {implementation}": case for implementation, case in found}


def test_every_operator_of_generator_and_discriminator_is_there():
    names = {name.removeprefix("tiny/").removesuffix(" xla") for name in all_cases()}
    assert names == {
        *("b4/conv1", "b4/torgb", "b8/conv0", "b8/conv1", "b8/torgb"),
        *("b4/bias_act", "b8/bias_act", "b8/upsample", "mapping/fc"),
        *("d/b8/fromrgb", "d/b8/conv0", "d/b8/conv1", "d/b8/skip"),
        *("d/b8/filter", "d/b8/downsample", "d/b4/mbstd", "d/b4/conv", "d/b4/fc"),
    }


@pytest.mark.parametrize(
    ("platform", "kernels"),
    [("cpu", []), ("rocm", []), ("tpu", ["pallas_tpu"]), ("cuda", ["pallas_gpu"])],
)
def test_kernels_are_those_of_the_platform(platform, kernels):
    by = {name.split()[1] for name in all_cases(platform)}
    assert by == {"xla", *kernels}


@pytest.mark.parametrize("name", ["b8/conv0", "d/b8/conv1", "d/b8/skip", "d/b4/fc"])
@pytest.mark.parametrize("order", ORDERS)
def test_counted_arithmetic_is_what_xla_counts(name, order):
    case = all_cases()[f"tiny/{name} xla"]
    arguments = case.make()
    v = jnp.ones(jax.eval_shape(case.function, *arguments).shape)
    program = jax.jit(case.program(order)).lower(v, *arguments).compile()
    counted = case.flops * case.passes(order)
    # XLA adds what is done per element, which is much in networks so narrow, and
    # leaves out what it shares between passes.
    assert 0.7 * counted < cost_of(program).flops < 4 * counted


def test_every_operator_is_differentiable_twice():
    for name, case in all_cases(dtype="bfloat16").items():
        arguments = case.make()
        shape = jax.eval_shape(case.function, *arguments)
        v = jax.ShapeDtypeStruct(shape.shape, shape.dtype)
        y, gradients = jax.eval_shape(case.program(GRADIENT), v, *arguments)
        assert y.shape == shape.shape, name
        assert [g.shape for g in gradients] == [a.shape for a in arguments], name
        second = jax.eval_shape(case.program(SECOND), v, *arguments)
        assert len(second) == len(arguments) + case.curved, name


PRODUCT = Case(
    "product",
    lambda x, w: x @ w,
    lambda: (jnp.arange(6.0).reshape(2, 3), jnp.ones((3, 4))),
    48.0,
)


def test_the_programs_compute_the_derivatives_that_they_are_called():
    x, w = PRODUCT.make()
    v = jnp.full((2, 4), 2.0)
    np.testing.assert_allclose(PRODUCT.program(FORWARD)(v, x, w), x @ w)
    y, (dx, dw) = PRODUCT.program(GRADIENT)(v, x, w)
    np.testing.assert_allclose(y, x @ w)
    np.testing.assert_allclose(dx, v @ w.T)
    np.testing.assert_allclose(dw, x.T @ v)
    # |v w^T|^2: 2 v w^T w in v, and 2 (v w^T)^T v in w.
    dv, dw = PRODUCT.program(SECOND)(v, x, w)
    np.testing.assert_allclose(dv, 2 * v @ w.T @ w)
    np.testing.assert_allclose(dw, 2 * (v @ w.T).T @ v)


@pytest.mark.parametrize(
    ("bends", "order", "passes", "moved"),
    [
        (False, FORWARD, 1, 100 + 10 + 50),
        # v, x and the weights in, their gradients out.
        (False, GRADIENT, 3, 160 + (50 + 100 + 10) + (100 + 10)),
        (True, GRADIENT, 3, 160 + (50 + 100 + 10 + 50) + (100 + 10)),
        (False, SECOND, 3, (50 + 10 + 100) + (100 + 50 + 10) + (50 + 10)),
        (True, SECOND, 4, 160 + (160 + 50) + (160 + 50) + (50 + 10)),
    ],
)
def test_passes_and_bytes_of_an_order(bends, order, passes, moved):
    case = Case("c", jnp.multiply, lambda: (), 1.0, bends=bends)
    assert case.passes(order) == passes
    assert case.bytes(order, x=100, rest=10, y=50) == moved


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(arg_specs.NETWORKS, "tiny", (8, 128))
        return operators.bench_operators(
            "tiny", batch=4, only="*/b8/bias_act", budget=Budget(1), peaks=PEAKS
        )


def test_rows_have_shares_and_what_is_far_below_is_listed(report):
    assert [row["order"] for row in report["rows"]] == list(ORDERS)
    for row in report["rows"]:
        assert row["seconds"]["repeats"] == 1 and row["bound"] == "arithmetic"
        wanted = row["share_of_matmul"] < operators.LEAST_OF_MATMUL
        assert row["below"] == wanted == (row["name"] in report["figures"]["below"])
    text = "\n".join(operators.describe(report))
    assert "\nb8/bias_act  xla   forward" in text
    assert max(map(len, text.split("\n"))) <= 100


def test_an_implementation_that_declines_says_why(monkeypatch):
    def declines(*arguments):
        raise NotImplementedError("no such chip")

    case = Case("tiny/x", declines, PRODUCT.make, 1.0)
    monkeypatch.setattr(operators, "cases", lambda *a, **k: [("pallas_tpu", case)])
    found = operators.bench_operators(
        "tiny", orders=[FORWARD], budget=Budget(1), peaks=PEAKS
    )
    assert found["rows"][0]["declined"] == "no such chip"
    assert "  tiny/x pallas_tpu forward: no such chip" in operators.describe(found)


def test_kernels_are_compared_with_xla(monkeypatch):
    pair = [("xla", PRODUCT), ("pallas_gpu", PRODUCT)]
    monkeypatch.setattr(operators, "cases", lambda *a, **k: pair)
    found = operators.bench_operators(
        "tiny", orders=[FORWARD], budget=Budget(1), peaks=PEAKS
    )
    assert any(
        line.startswith("  product forward pallas_gpu: ") and line.endswith("x")
        for line in operators.describe(found)
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"network": "ffhq9"}, "--network ffhq9 is unknown: choose ffhq1024"),
        ({"only": "*/b3/*"}, "no operator is called \\*/b3/\\*: the names look like"),
        ({"orders": ["third"]}, "--orders has third: choose from forward"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        operators.bench_operators(**{"network": "tiny", **options}, peaks=PEAKS)


def test_no_order_is_a_mistake():
    with pytest.raises(UsageError, match="--orders is empty"):
        operators.bench_operators("tiny", orders=(), peaks=PEAKS)
