"""``stylegan-jax train``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from stylegan_jax.cli.options import CONFIG, OVERRIDES

_EPILOG = """\b
Example: stylegan-jax train --config stylegan2_auto --workdir runs/a \\
           --config.data.path=photos/ --config.data.resolution=256
To try it: stylegan-jax train --config stylegan2_auto:smoke --workdir runs/smoke
"""


@click.command(
    epilog=_EPILOG,
    context_settings=OVERRIDES,
)
@CONFIG
@click.option(
    "--workdir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The run's folder. With a run in it, the run goes on.",
)
@click.option("--seed", type=int, help="Short for --config.train.seed=N.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the resolved configuration and the memory it needs; train nothing.",
)
@click.option("--json", "as_json", is_flag=True, help="The dry run as one JSON object.")
@click.option("--quiet", is_flag=True, help="No lines and no bar.")
@click.pass_context
def train(
    ctx: click.Context,
    name: str,
    workdir: Path,
    seed: int | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Train a model, or go on with a run.

    Any value of the configuration is set with --config.SECTION.KEY=VALUE. Pictures of
    any size are checked, resized and kept in the run's folder; run the same command
    again to go on where it stopped.
    """
    from stylegan_jax.errors import UsageError
    from stylegan_jax.training import spmd
    from stylegan_jax.training.experiment import load_config

    overrides = list(ctx.args)
    if seed is not None:
        overrides.append(f"--config.train.seed={seed}")
    config = load_config(name, overrides)
    spmd.join_processes()
    if dry_run:
        return _dry_run(config, workdir, as_json)
    if as_json:
        raise UsageError("--json goes with --dry-run; figures are in stats.jsonl.")
    return _train(config, workdir, quiet)


def _train(config, workdir: Path, quiet: bool) -> int:
    import jax

    from stylegan_jax.training.loop import train as run_training

    outcome = run_training(config, workdir, show_progress=not quiet)
    if outcome.signal is not None:
        click.echo(
            f"stopped at {outcome.nimg / 1000:.2f} kimg, everything is saved: run the "
            "same command to go on",
            err=True,
        )
        return 128 + outcome.signal
    if not quiet and jax.process_index() == 0:
        click.echo(f"trained to {outcome.nimg / 1000:.2f} kimg: {workdir}", err=True)
    return 0


def _dry_run(config, workdir: Path, as_json: bool) -> int:
    from stylegan_jax.training.compile import memory_limit
    from stylegan_jax.training.experiment import to_plain
    from stylegan_jax.training.trainers import build_run

    run = build_run(config, workdir, progress=True)
    stages = [_stage_plan(stage) for stage in run.stages()]
    plan = {
        "config": to_plain(run.config),
        # Of several stages the one that needs most; all of them are in "stages".
        **max(stages, key=lambda plan: max(plan["bytes_per_device"].values())),
        "device_bytes": memory_limit(),
    }
    if len(stages) > 1:
        plan["stages"] = stages
    if as_json:
        click.echo(json.dumps(plan, default=str))
    else:
        click.echo(json.dumps(plan["config"], indent=1, default=str))
        for stage in stages:
            _print_plan(stage)
        limit = plan["device_bytes"]
        size = "not known for this device"
        has = size if limit is None else f"{limit / 2**20:.0f} MiB"
        click.echo(f"memory of a device: {has} (figures are per device)")
    return 0


def _stage_plan(run) -> dict:
    """What the programs of a run, or of one of its stages, need."""
    from stylegan_jax.training.compile import compile_programs

    if run.stage:
        click.echo(run.stage, err=True)
    programs = compile_programs(run, lambda text: click.echo(text, err=True))
    run = programs.run
    return {
        **({"stage": run.stage} if run.stage else {}),
        "batch": run.batch,
        "devices": run.mesh.size,
        "parts": run.accumulate,
        "images_at_a_time": run.images_at_a_time,
        "bytes_per_device": dict(programs.needs),
        "flops_per_device": dict(programs.flops),
        "intervals": {name: interval for name, interval, _ in programs.phases},
    }


def _print_plan(plan: dict) -> None:
    if "stage" in plan:
        click.echo(plan["stage"])
    click.echo(
        f"batch {plan['batch']} = {plan['devices']} device(s) x {plan['parts']} "
        f"part(s) x {plan['images_at_a_time']} images"
    )
    click.echo(f"{'phase':<8} {'every':>5} {'memory, MiB':>12} {'GFLOP':>10}")
    for phase, interval in plan["intervals"].items():
        need = plan["bytes_per_device"][phase] / 2**20
        flops = plan["flops_per_device"][phase] / 1e9
        click.echo(f"{phase:<8} {interval:>5} {need:>12.0f} {flops:>10.1f}")
