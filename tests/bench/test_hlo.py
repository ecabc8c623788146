import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from stylegan_jax.bench import hlo

ADD = """
%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}
"""


def module(body, *computations):
    entry = "ENTRY %main (p: f32[8,4]) -> f32[8,4] {\n" + body + "\n}\n"
    return hlo.parse("HloModule m, is_scheduled=true\n\n" + "\n".join(
        [ADD, *computations, entry]
    ))  # fmt: skip


P = "  %p = f32[8,4]{1,0} parameter(0)\n"


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("f32[2,3]{1,0}", 24),
        ("bf16[128,96]{0,1:T(8,128)(2,1)S(1)}", 24576),
        ("(f32[2]{0}, /*index=1*/u8[0]{0}, pred[])", 9),
        ("f8e4m3fn[4]", 4),
        ("s4[3]", 2),
        ("c64[2]", 16),
        ("token[]", 0),
        ("f32[]", 4),
    ],
)
def test_bytes_of_a_shape(shape, size):
    assert hlo.bytes_of(shape) == size


def test_an_unknown_type_is_refused():
    with pytest.raises(ValueError, match="float"):
        hlo.bytes_of("float[2]")


def test_text_without_an_entry_is_refused():
    with pytest.raises(ValueError, match="ENTRY"):
        hlo.parse("HloModule m\n")


def test_operands_of_collectives_are_counted_once():
    m = module(
        P
        + "  %b = bf16[6]{0} constant({...})\n"
        + "  %r = (f32[8,4]{1,0}, bf16[6]{0}) all-reduce(%p, %b), channel_id=1, "
        "replica_groups={{0,1}}, to_apply=%add\n"
        + "  %g = f32[8,4]{1,0} get-tuple-element(%r), index=0\n"
        + "  %s = f32[8,4]{1,0} all-reduce-start(%g), to_apply=%add\n"
        + "  %d = f32[8,4]{1,0} all-reduce-done(%s)\n"
        + "  %t = (f32[8,4]{1,0}, f32[16,4]{1,0}) all-gather-start(%d), dimensions={0}"
        "\n  %u = f32[16,4]{1,0} all-gather-done(%t)\n"
        + "  ROOT %x = f32[4,4]{1,0} reduce-scatter(%d), to_apply=%add\n"
    )
    found = hlo.collectives(m)
    assert found.bytes == {
        "all-reduce": 128 + 12 + 128,
        "all-gather": 128,
        "reduce-scatter": 128,
    }
    assert found.sum == 524 and found.unknown_loops == 0


BODY = """
%body (t: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %t = (s32[], f32[8,4]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %x = f32[8,4]{1,0} get-tuple-element(%t), index=1
  %f = f32[8,4]{1,0} fusion(%x), kind=kCustom, calls=%inside
  ROOT %o = (s32[], f32[8,4]{1,0}) tuple(%i, %f)
}
"""
INSIDE = """
%inside (q: f32[8,4]) -> f32[8,4] {
  %q = f32[8,4]{1,0} parameter(0)
  ROOT %r = f32[8,4]{1,0} all-reduce(%q), to_apply=%add
}
"""


def condition(root):
    return f"""
%cond (t: (s32[], f32[8,4])) -> pred[] {{
  %t = (s32[], f32[8,4]{{1,0}}) parameter(0)
  %n = s32[]{{:T(128)}} constant(5)
  %i = s32[] get-tuple-element(%t), index=0
  ROOT %c = pred[] {root}
}}
"""


LOOP = (
    P
    + "  %z = s32[] constant(0)\n  %v = (s32[], f32[8,4]{1,0}) tuple(%z, %p)\n"
    + "  %w = (s32[], f32[8,4]{1,0}) while(%v), condition=%cond, body=%body"
)
UP_TO = "compare(%i, %n), direction=LT"


@pytest.mark.parametrize(
    ("note", "root", "rounds", "unknown"),
    [
        (', backend_config={"known_trip_count":{"n":"3"}}', UP_TO, 3, 0),
        ("", UP_TO, 5, 0),
        ("", "compare(%i, %n), direction=NE", 1, 1),
        ("", "compare(%n, %i), direction=LT", 1, 1),
    ],
)
def test_a_loop_counts_as_often_as_it_runs(note, root, rounds, unknown):
    end = "\n  ROOT %g = f32[8,4]{1,0} get-tuple-element(%w), index=1"
    m = module(LOOP + note + end, INSIDE, BODY, condition(root))
    found = hlo.collectives(m)
    assert found.bytes == {"all-reduce": 128 * rounds}
    assert found.unknown_loops == unknown
    assert hlo.moved(m).bytes["fusion"] == 256 * rounds


def test_of_a_conditional_the_larger_branch_counts():
    none = INSIDE.replace("%inside", "%none").replace("all-reduce", "negate")
    m = module(
        P
        + "  %k = s32[] constant(0)\n  ROOT %c = f32[8,4]{1,0} conditional(%k, %p, %p)"
        ", branch_computations={%inside, %none}",
        INSIDE,
        none,
    )
    assert hlo.collectives(m).bytes == {"all-reduce": 128}


def test_an_asynchronous_call_counts_at_its_start():
    m = module(
        P + "  %s = ((f32[8,4]{1,0}), f32[8,4]{1,0}, u32[]) async-start(%p), "
        "calls=%inside\n" + "  ROOT %d = f32[8,4]{1,0} async-done(%s)",
        INSIDE,
    )
    assert hlo.collectives(m).bytes == {"all-reduce": 128}


def test_a_fusion_moves_its_operands_and_result_or_the_slices_it_takes():
    cut = """
%cut (q: f32[8,4], r: f32[8,4]) -> f32[2,4] {
  %q = f32[8,4]{1,0} parameter(0)
  %r = f32[8,4]{1,0} parameter(1)
  %s = f32[2,4]{1,0} slice(%q), slice={[0:2], [0:4]}
  %n = f32[8,4]{1,0} negate(%r)
  %t = f32[2,4]{1,0} slice(%n), slice={[0:2], [0:4]}
  ROOT %a = f32[2,4]{1,0} add(%s, %t)
}
"""
    m = module(
        P + "  ROOT %f = f32[2,4]{1,0} fusion(%p, %p), kind=kLoop, calls=%cut", cut
    )
    assert hlo.moved(m).sum == 32 + 128 + 32


def test_an_update_in_place_moves_the_update():
    m = module(
        P
        + "  %u = f32[1,4]{1,0} constant({...})\n  %z = s32[] constant(0)\n"
        + "  ROOT %d = f32[8,4]{1,0} dynamic-update-slice(%p, %u, %z, %z)"
    )
    assert hlo.moved(m).sum == 16 + 16 + 8


def test_what_stays_on_the_chip_does_not_move():
    m = module(
        P
        + "  %c = (f32[8,4]{1,0:T(8,128)S(1)}, f32[8,4]{1,0}, u32[]) copy-start(%p)\n"
        + "  %d = f32[8,4]{1,0:T(8,128)S(1)} copy-done(%c)\n"
        + "  %n = f32[8,4]{1,0:T(8,128)S(1)} negate(%d)\n"
        + "  ROOT %o = f32[8,4]{1,0} copy(%n)"
    )
    assert hlo.moved(m).bytes == {"copy": 128 + 4 + 128, "negate": 0} or (
        hlo.moved(m).bytes == {"copy": 128 + 4 + 128}
    )


def test_kernels_are_left_to_their_own_estimates():
    m = module(
        P + '  ROOT %k = f32[8,4]{1,0} custom-call(%p), custom_call_target="'
        'tpu_custom_call", backend_config={"custom_call_config": {}}'
    )
    assert hlo.moved(m).sum == 0


def test_collectives_of_a_compiled_program_are_its_gradients():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def step(w, x):
        def loss(w):
            return jnp.mean(jnp.tanh(x @ w["a"]) @ w["b"])

        varying = jax.tree.map(lambda v: jax.lax.pcast(v, "data", to="varying"), w)
        return jax.lax.pmean(jax.grad(loss)(varying), "data")

    w = {"a": jnp.zeros((16, 32)), "b": jnp.zeros((32, 4))}
    spec = PartitionSpec("data")
    x = jax.device_put(jnp.zeros((16, 16)), NamedSharding(mesh, spec))
    mapped = jax.shard_map(
        step, mesh=mesh, in_specs=(PartitionSpec(), spec), out_specs=PartitionSpec()
    )
    compiled = jax.jit(mapped).lower(w, x).compile()
    found = hlo.collectives(hlo.parse(compiled.as_text()))
    assert found.bytes == {"all-reduce": 4 * (16 * 32 + 32 * 4)}


def test_bytes_moved_are_what_xla_counts():
    def f(x, w):
        y = jax.lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.sum(jnp.tanh(y), (1, 2)) @ w[0, 0].T

    x, w = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4, 16))
    compiled = jax.jit(f).lower(x, w).compile()
    found = hlo.moved(hlo.parse(compiled.as_text()))
    assert found.sum == pytest.approx(compiled.cost_analysis()["bytes accessed"], 0.02)
