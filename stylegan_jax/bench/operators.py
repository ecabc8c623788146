"""`bench ops`: time, arithmetic and traffic of every operator of a network."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from stylegan_jax.bench import report as reports
from stylegan_jax.bench.machine import (
    PRECISIONS,
    Peaks,
    lowering_platform,
    measure_peaks,
)
from stylegan_jax.bench.operator_cases import ORDERS, Case, cases
from stylegan_jax.bench.report import Report, Say
from stylegan_jax.bench.roofline import ARITHMETIC, CALL, MEMORY, roofline
from stylegan_jax.bench.timing import SHORT, Budget, measure
from stylegan_jax.errors import UsageError

# Shares of the machine's best below which an operator is listed.
LEAST_OF_MATMUL, LEAST_OF_COPY = 0.25, 0.40


def bench_operators(
    network: str = "ffhq256",
    *,
    batch: int = 8,
    dtype: str = "float32",
    only: str | None = None,
    orders: Sequence[str] = ORDERS,
    budget: Budget = SHORT,
    peaks: Peaks | None = None,
    say: Say = reports.silent,
    progress: Callable[[int, int], Any] = lambda done, total: None,
) -> Report:
    """Measures operators alone, forwards and in their derivatives.

    Args:
        network: a name of ``ops.modulated_conv2d.arg_specs``, such as ffhq256.
        batch: images.
        dtype: of `machine.PRECISIONS`.
        only: a pattern such as ``*/b64/*`` that names must match; None for all.
        orders: of `operator_cases.ORDERS`.
        budget: repeats of each program.
        peaks: what the machine can do; None measures it.
        say: called with a line of text as the work goes on.
        progress: called with (done, total) programs.

    Raises:
        UsageError: nothing matches the pattern, or a network or an order is unknown.
    """
    if not orders:
        raise UsageError(f"--orders is empty: choose from {', '.join(ORDERS)}.")
    if unknown := set(orders) - {*ORDERS}:
        raise UsageError(
            f"--orders has {', '.join(sorted(unknown))}: choose from "
            f"{', '.join(ORDERS)}."
        )
    chosen = _chosen(network, batch, dtype, only)
    if peaks is None:
        say("measuring what the machine can do")
        peaks = measure_peaks(tuple(dict.fromkeys((dtype, "float32"))))
    rows = []
    total = len(chosen) * len(orders)
    for implementation, case in chosen:
        for order in orders:
            row = _row(case, implementation, order, dtype, budget, peaks)
            rows.append(row)
            progress(len(rows), total)
    settings = {
        "network": network,
        "batch": batch,
        "dtype": dtype,
        "only": only,
        "orders": list(orders),
    }
    figures = {
        "least_of_matmul": LEAST_OF_MATMUL,
        "least_of_copy": LEAST_OF_COPY,
        "below": [row["name"] for row in rows if row.get("below")],
    }
    return reports.make_report("ops", settings, peaks, figures, rows)


def _chosen(
    network: str, batch: int, dtype: str, only: str | None
) -> list[tuple[str, Case]]:
    storage = PRECISIONS[dtype][0].__name__
    platform = lowering_platform()
    found = list(cases(network, batch=batch, dtype=storage, platform=platform))
    names = dict.fromkeys(case.name for _, case in found)
    if only is not None:
        found = [pair for pair in found if fnmatch.fnmatchcase(pair[1].name, only)]
    if not found:
        raise UsageError(
            f"no operator is called {only}: the names look like "
            f"{', '.join(list(names)[:3])}."
        )
    return found


def _row(
    case: Case,
    implementation: str,
    order: str,
    dtype: str,
    budget: Budget,
    peaks: Peaks,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": f"{case.name} {implementation} {order}",
        "operator": case.name,
        "implementation": implementation,
        "order": order,
        "seconds": None,
    }
    arguments = case.make()
    precision = dtype if arguments[0].dtype == PRECISIONS[dtype][0] else "float32"
    try:
        with jax.default_matmul_precision(PRECISIONS[precision][1]):
            shape = jax.eval_shape(case.function, *arguments)
            v = jax.random.normal(jax.random.key(0), shape.shape, shape.dtype)
            call = _in_place(case.program(order), v, *arguments)
    except NotImplementedError as reason:
        return {**row, "declined": str(reason)}
    timing = measure(call, budget)
    x, *rest = (a.nbytes for a in arguments)
    found = roofline(
        timing.median,
        case.flops * case.passes(order),
        case.bytes(order, x, sum(rest), v.nbytes),
        peaks,
        precision,
    )
    below = (
        found["bound"] == ARITHMETIC and found["share_of_matmul"] < LEAST_OF_MATMUL
    ) or (found["bound"] == MEMORY and found["share_of_copy"] < LEAST_OF_COPY)
    return {**row, "seconds": timing.to_json(), **found, "below": below}


def _in_place(function: Callable[..., Any], *arguments: jax.Array) -> Callable[[], Any]:
    """Compiles a call whose results take the place of its last ones.

    Within a network an operator's result lies in scratch that is there already. A
    fresh array's pages have to be cleared first, which takes a CPU longer than a pass.
    """
    shapes = jax.eval_shape(function, *arguments)
    held = [jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)]
    program = (
        jax.jit(lambda _, *args: function(*args), donate_argnums=0, keep_unused=True)
        .lower(held[0], *arguments)
        .compile()
    )

    def call() -> Any:
        held[0] = program(held[0], *arguments)
        return held[0]

    return call


def describe(report: Report) -> list[str]:
    """Writes a report for people."""
    settings = report["settings"]
    timed = [row for row in report["rows"] if row["seconds"]]
    lines = [
        *reports.heading(report),
        f"{settings['network']}, batch {settings['batch']}, {settings['dtype']}",
        "gradient: forward and all first derivatives; second: derivatives of |dx|^2",
        "",
        *reports.table(timed, COLUMNS),
    ]
    lines += (
        ["", *_faster(timed)] if len({r["implementation"] for r in timed}) > 1 else []
    )
    declined = [row for row in report["rows"] if "declined" in row]
    if declined:
        lines += ["", "declined:"]
        lines += [f"  {row['name']}: {row['declined']}" for row in declined]
    below = sorted(
        (row for row in timed if row["below"]), key=lambda r: -r["seconds"]["median"]
    )
    lines += [
        "",
        f"below {LEAST_OF_MATMUL:.0%} of matmul where arithmetic binds, or "
        f"{LEAST_OF_COPY:.0%} of copy where memory binds: {len(below)} of {len(timed)}",
    ]
    lines += [f"  {row['name']}: {_why(row)}" for row in below]
    small = sum(row["bound"] == CALL for row in timed)
    if small:
        lines.append(
            f"{small} so small that calling takes longer than the machine would "
            "compute: not judged"
        )
    return lines


def _why(row: Mapping[str, Any]) -> str:
    arithmetic = row["bound"] == ARITHMETIC
    share = row["share_of_matmul"] if arithmetic else row["share_of_copy"]
    of = "matmul" if arithmetic else "copy"
    return (
        f"{reports.share_text(share)} of {of}, "
        f"{reports.seconds_text(row['seconds']['median'])}"
    )


def _faster(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many times as fast the kernels are as XLA."""
    medians = {
        (row["operator"], row["order"], row["implementation"]): row["seconds"]["median"]
        for row in rows
    }
    lines = ["kernels against xla (above 1: the kernel is faster)"]
    for (operator, order, implementation), median in medians.items():
        xla = medians.get((operator, order, "xla"))
        if implementation != "xla" and xla is not None:
            lines.append(f"  {operator} {order} {implementation}: {xla / median:.2f}x")
    return lines


COLUMNS: tuple[reports.Column, ...] = (
    # The network stands in the heading.
    ("operator", lambda row: row["operator"].partition("/")[2] or row["operator"]),
    ("by", lambda row: row["implementation"].partition("_")[0]),
    ("order", lambda row: row["order"]),
    reports.TIME,
    reports.SPREAD,
    ("GFLOP/s", lambda row: reports.number_text(row["flops_per_second"], 1e9)),
    ("matmul", lambda row: reports.share_text(row["share_of_matmul"])),
    ("GB/s", lambda row: reports.number_text(row["bytes_per_second"], 1e9)),
    ("copy", lambda row: reports.share_text(row["share_of_copy"])),
    ("bound", lambda row: row["bound"] + (" !" if row["below"] else "")),
)
