"""Find the fastest safe configuration of JAX Phase 1 or 2: python -m tune.jax_phase12"""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any, Literal

from cluster import cli
from cluster.errors import UserError
from search_spaces import jax_phase12
from search_spaces.config import Config
from search_spaces.space import SearchSpace, require_axes
from trainables.workload import split_name
from trainables.workload_source import (
    framework_of,
    require_factory,
    source_of,
    top_level_spec,
)
from tune.parse import parse_options, slug
from tune.spec import SearchSpec, Task

HELD_OUT = 0.2
"""The share of the bars, the last of them, on which learning is judged."""

_WORKLOAD = "trainables.jax_phase12.workload:phase{phase}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JaxSpec(SearchSpec):
    """Find the fastest safe configuration of JAX training on this machine, and prove it.

    Trials are real PPO training, each in a process of its own. The result is a profile that
    training loads.
    """

    phase: Literal[1, 2] = 1
    """1: entries. 2: position management."""
    data: Path | None = None
    """CSV, Parquet or Feather of OHLCV bars; a synthetic market if left out."""
    timezone: str | None = None
    """Zone of the times in --data where they have none: America/New_York, +02:00. Default: UTC."""
    symbol: str | None = None
    """The instrument to trade where --data has several."""
    workload: str | None = None
    """Tune your own training loop instead: package.module:factory, or file.py:factory."""
    framework: Literal["auto", "jax", "torch"] = "auto"
    """Framework of the --workload, which decides the thread caps; auto: what its files import."""
    option: tuple[str, ...] = ()
    """Options for the workload's factory: name=value."""
    plan: str | None = None
    """Search nothing: say what would fit on a GPU that need not be here, as "RTX 4090"."""


def run(spec: JaxSpec) -> int:
    """Run one search; return its exit code."""

    def space_for(platform: str, num_cpus: int) -> tuple[SearchSpace, Config]:
        space = jax_phase12.space(platform=platform, num_cpus=num_cpus)
        if spec.workload is None:
            return space, dict(jax_phase12.PHASE12_BASELINE)
        # A person's own loop has exactly the given axes, and no default that people know.
        return SearchSpace(axes=()) if spec.space else space, {}

    # Lazy, so that --help does not wait for SciPy and Optuna.
    if spec.plan is not None:
        from tune.plan import command

        space, _ = space_for("cuda", 1)
        return command.run(spec.plan, spec, task_of(spec), space.override(spec.space, spec.require))
    from tune import session

    return session.run(spec, task_of(spec), space_for)


def task_of(spec: JaxSpec) -> Task:
    """Return the task of `spec`; read its data, so that a bad file fails before any trial.

    Raises:
        UserError: if options contradict each other, or name an axis that is none.
        WorkloadInputError: if the data is not usable.
    """
    options = parse_options("--option", spec.option)
    if spec.workload is not None:
        return _own_task(spec, spec.workload, options)
    require_axes(spec.space, jax_phase12.PHASE12_AXES, of="Phases 1 and 2 have")
    if options:
        raise UserError("--option is for --workload; Phase 1 and 2 take --data and --seed.")
    if spec.framework not in ("auto", "jax"):
        raise UserError("--framework is for --workload; Phase 1 and 2 are JAX.")
    # Lazy, so that --help does not wait for NumPy and Arrow.
    from trainables.market.features import build_market
    from trainables.market.options import MarketOptions
    from trainables.market.overview import describe_bars
    from trainables.market.sessions import find_sessions

    data = os.path.realpath(spec.data) if spec.data is not None else None
    chosen = MarketOptions(data=data, seed=spec.seed, timezone=spec.timezone, symbol=spec.symbol)
    bars = chosen.load_bars()
    build_market(bars)  # fails here, and not in every trial, if no episode fits
    sessions = find_sessions(bars.time)
    read = {name: value for name, value in chosen.as_mapping().items() if name != "synthetic_days"}
    return Task(
        name=f"jax-phase{spec.phase}",
        mode="jax",
        phase=spec.phase,
        workload=_WORKLOAD.format(phase=spec.phase),
        options=read,
        data={
            "source": bars.source,
            "synthetic": data is None,
            "bars": len(bars),
            "episodes": sessions.describe(),
            "sha256": bars.sha256(),
        },
        framework="jax",
        seed_option="training_seed",
        learning_options={"held_out": HELD_OUT},
        notes=describe_bars(bars, sessions) if data is not None else _of_synthetic(spec),
    )


def _own_task(spec: JaxSpec, workload: str, options: dict[str, Any]) -> Task:
    """Return the task of a person's own workload."""
    for name in ("data", "timezone", "symbol"):
        if getattr(spec, name) is not None:
            raise UserError(
                f"--{name} is for Phase 1 and 2; give your workload --option {name}=VALUE."
            )
    if spec.phase != JaxSpec.phase:
        raise UserError("--phase is for Phase 1 and 2, and --workload is neither; leave it out.")
    module, name = split_name(workload)
    if not module.endswith(".py") and top_level_spec(module) is None:
        raise UserError(f"--workload {workload}: no module {module}; run from its folder.")
    require_factory(workload)
    stem = Path(module).stem if module.endswith(".py") else module.rpartition(".")[2]
    mode = slug(f"{stem}-{name}")
    return Task(
        name=mode.replace("_", "-"),
        mode=mode,
        phase=None,
        workload=workload,
        options=({"seed": spec.seed} if spec.seed else {}) | options,
        data={},
        framework=framework_of(workload) if spec.framework == "auto" else spec.framework,
        source=source_of(workload, {}),
    )


def _of_synthetic(spec: JaxSpec) -> tuple[str, ...]:
    if spec.learning is None:
        return ()
    return (
        "The synthetic market is noise: the most that can be learned of it is not to trade. Give "
        "your own bars by --data.",
    )


def main() -> int:
    """Run the command line."""
    return cli.main(JaxSpec, run, prog="python -m tune.jax_phase12")


if __name__ == "__main__":
    sys.exit(main())
