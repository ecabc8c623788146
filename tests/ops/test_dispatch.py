import pytest

from stylegan_jax.ops import dispatch


def declines(reason):
    def function(*args, **kwargs):
        raise NotImplementedError(reason)

    return function


def echo(name):
    return lambda *args, **kwargs: (name, args, kwargs)


def test_takes_the_first_that_accepts():
    table = {"fast": declines("odd size"), "plain": echo("plain"), "last": echo("last")}
    assert dispatch.call("op", table, None, 1, k=2) == ("plain", (1,), {"k": 2})


def test_takes_the_named_one_though_a_better_one_would_serve():
    table = {"fast": echo("fast"), "plain": echo("plain")}
    assert dispatch.call("op", table, "plain", 1)[0] == "plain"


def test_a_named_one_that_declines_is_not_replaced():
    table = {"fast": declines("odd size"), "plain": echo("plain")}
    with pytest.raises(NotImplementedError, match="odd size"):
        dispatch.call("op", table, "fast")


def test_tells_why_every_one_declined():
    table = {"fast": declines("odd size"), "plain": declines("no float16")}
    with pytest.raises(NotImplementedError) as error:
        dispatch.call("op", table, None)
    assert "fast: odd size" in str(error.value)
    assert "plain: no float16" in str(error.value)


def test_an_error_is_not_taken_for_declining():
    def broken():
        raise ValueError("wrong shape")

    with pytest.raises(ValueError, match="wrong shape"):
        dispatch.call("op", {"broken": broken, "plain": echo("plain")}, None)


def test_refuses_an_unknown_name():
    with pytest.raises(ValueError) as error:
        dispatch.call("op", {"fast": echo("a"), "plain": echo("b")}, "cuda")
    assert str(error.value) == (
        "op has no implementation 'cuda', choose from fast, plain."
    )
