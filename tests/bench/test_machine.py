import json

import jax
import jax.numpy as jnp
import pytest

from stylegan_jax.bench.machine import (
    Peaks,
    Sizes,
    check_precision,
    default_sizes,
    describe_machine,
    measure_peaks,
)
from stylegan_jax.bench.program_cost import cost_of, or_counted, peak_memory, with_plain
from stylegan_jax.bench.roofline import roofline
from stylegan_jax.bench.timing import Budget
from stylegan_jax.errors import UsageError
from stylegan_jax.ops import bilinear_convs

PEAKS = Peaks({"float32": 100.0}, {"float32": 80.0}, copy=10.0, call=0.001)


def test_peaks_are_measured_for_every_precision():
    sizes = Sizes(((64, 64, 64), (128, 64, 32)), ((1, 8, 4),), 2**16)
    peaks = measure_peaks(("float32", "bfloat16"), sizes=sizes, budget=Budget(1))
    assert peaks.matmul.keys() == peaks.convolution.keys() == {"float32", "bfloat16"}
    assert peaks.counted.keys() == peaks.matmul.keys()
    figures = [*peaks.matmul.values(), *peaks.convolution.values()]
    figures += peaks.counted.values()
    assert min(*figures, peaks.copy, peaks.call) > 0
    assert peaks.arithmetic("float32") >= peaks.matmul["float32"]


def test_an_unknown_precision_is_refused():
    with pytest.raises(UsageError, match="--dtype float8 is unknown: choose float32"):
        check_precision("float8")


def test_the_copied_array_is_larger_than_any_cache():
    assert default_sizes().copy_bytes >= 2**28


def test_the_machine_is_named_in_json():
    machine = describe_machine()
    assert json.loads(json.dumps(machine)) == machine
    assert machine["platform"] == "cpu" and machine["devices"] == 8
    assert machine["versions"]["jax"] == jax.__version__


def test_costs_of_a_known_program():
    a, b = jnp.ones((32, 64)), jnp.ones((64, 16))
    cost = cost_of(jax.jit(jnp.matmul).lower(a, b).compile())
    assert cost.flops == pytest.approx(2 * 32 * 64 * 16, rel=0.01)
    assert cost.flops_source == "XLA"
    assert cost.bytes == pytest.approx(4 * (32 * 64 + 64 * 16 + 32 * 16), rel=0.01)
    assert cost.memory >= 4 * (32 * 64 + 64 * 16 + 32 * 16)
    assert cost.times(3).flops == 3 * cost.flops
    assert peak_memory([cost]) == {
        "bytes": cost.memory,
        "source": "the compiler, for the largest program",
    }


class Uncounted:
    """A compiler that tells sizes and no operations."""

    def cost_analysis(self):
        return None

    def memory_analysis(self):
        return None


def test_what_the_compiler_does_not_count_is_counted_and_said():
    cost = cost_of(Uncounted())
    assert (cost.flops, cost.flops_source, cost.bytes) == (None, "none", None)
    assert cost.times(2).flops is None
    a, b = jnp.ones((32, 64)), jnp.ones((64, 16))
    found = or_counted(cost, lambda: jax.jit(jnp.matmul).trace(a, b))
    assert (found.flops, found.flops_source) == (2 * 32 * 64 * 16, "counted")
    assert or_counted(found, lambda: None) is found


def test_winograds_convolution_counts_as_plain_too():
    x, w = jnp.ones((1, 64, 64, 256)), jnp.ones((3, 3, 256, 256))
    traced = jax.jit(bilinear_convs.same).trace(x, w)
    cost = with_plain(or_counted(cost_of(Uncounted()), lambda: traced), traced)
    assert cost.plain > 2.5 * cost.flops
    inside = 2 * 256**2 * (3 * 64 - 2) ** 2
    assert cost.plain == pytest.approx(inside, rel=1e-6)


def test_shares_refer_to_the_machine():
    found = roofline(2.0, 50.0, 10.0, PEAKS, "float32")
    assert found["flops_per_second"] == 25 and found["share_of_matmul"] == 0.25
    assert found["bytes_per_second"] == 5 and found["share_of_copy"] == 0.5


@pytest.mark.parametrize(
    ("flops", "moved", "bound"),
    [(100.0, 1.0, "arithmetic"), (1.0, 10.0, "memory"), (0.01, 0.001, "call")],
)
def test_what_takes_longest_at_best_binds(flops, moved, bound):
    assert roofline(5.0, flops, moved, PEAKS, "float32")["bound"] == bound


def test_unknown_figures_stay_unknown():
    found = roofline(1.0, None, None, PEAKS, "float32")
    assert found["share_of_matmul"] is found["share_of_copy"] is None
