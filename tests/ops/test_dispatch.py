import logging

import jax
import jax.numpy as jnp
import pytest

from stylegan_jax.ops import dispatch
from stylegan_jax.ops.dispatch import Choice

FUNCTIONS = {"plain": lambda x: x + 1, "fast": lambda x: x * 10}


def choices(**implementations):
    return {p: Choice(name, f"of {p}") for p, name in implementations.items()}


def test_runs_what_was_chosen_for_the_platform():
    elsewhere = choices(tpu="fast", default="plain")
    here = choices(cpu="fast", default="plain")
    assert dispatch.run("op", elsewhere, FUNCTIONS, jnp.ones(())) == 2
    assert dispatch.run("op", here, FUNCTIONS, jnp.ones(())) == 10


def test_follows_the_platform_that_a_program_is_lowered_for():
    chosen = choices(cuda="fast", default="plain")

    def text(platform):
        run = jax.jit(lambda x: dispatch.run("op", chosen, FUNCTIONS, x))
        traced = run.trace(jnp.ones((3,)))
        return traced.lower(lowering_platforms=(platform,)).as_text()

    assert "stablehlo.multiply" in text("cuda")
    assert "stablehlo.multiply" not in text("cpu")
    assert "stablehlo.add" in text("cpu")


def test_one_choice_for_all_needs_no_branch():
    chosen = choices(tpu="plain", cuda="plain", default="plain")
    jaxpr = jax.make_jaxpr(lambda x: dispatch.run("op", chosen, FUNCTIONS, x))(1.0)
    assert "cond" not in str(jaxpr)


def test_says_why(caplog):
    with caplog.at_level(logging.DEBUG, "stylegan_jax.ops.dispatch"):
        dispatch.run("op", choices(tpu="fast", default="plain"), FUNCTIONS, 1.0)
    assert caplog.messages == [
        "op on tpu: fast, of tpu",
        "op on default: plain, of default",
    ]


def test_kernels_can_be_left_out():
    with dispatch.without_kernels():
        assert not dispatch.kernels_allowed()
    assert dispatch.kernels_allowed()


def test_refuses_an_unknown_name():
    dispatch.check_name("op", FUNCTIONS, None)
    dispatch.check_name("op", FUNCTIONS, "fast")
    with pytest.raises(ValueError) as error:
        dispatch.check_name("op", FUNCTIONS, "cuda")
    assert str(error.value) == (
        "op has no implementation 'cuda', choose from plain, fast."
    )
