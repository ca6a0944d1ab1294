"""Find the fastest safe configuration of PyTorch Phase 3: python -m tune.pytorch_phase3"""

import dataclasses
import math
import os
import sys
from pathlib import Path
from typing import ClassVar, Literal

from cluster import cli
from cluster.errors import UserError
from search_spaces import pytorch_phase3
from search_spaces.config import Config
from search_spaces.space import SearchSpace, require_axes
from trainables.pytorch_phase3.rollout import rollout_samples
from tune.parse import require_at_least
from tune.search.effort import EffortPlan
from tune.spec import SearchSpec, Task

_WORKLOAD = "trainables.pytorch_phase3.workload:phase3"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase3Spec(SearchSpec):
    """Find the fastest safe configuration of hybrid RL + LLM training, and prove it.

    Trials are real masked PPO whose policy is advised by a language model, each in a process of its
    own. The result is a profile that training loads.
    """

    NORMAL: ClassVar[EffortPlan] = EffortPlan(finalists=2, soak_updates=10_000)
    MAX_SEED: ClassVar[int] = 2**32 - 1  # NumPy's own, which Stable-Baselines3 seeds

    llm: str = "embedded"
    """Folder, GGUF file or hub id (owner/name); embedded: SmolLM2-135M; none: RL alone."""
    llm_dtype: Literal["auto", "float32", "bfloat16", "float16", "8bit", "4bit"] = "auto"
    """auto: float32 on a CPU, bfloat16 on a GPU (float16 before Ampere). 8bit and 4bit need
    bitsandbytes."""
    query_interval: int = 120
    """Bars between two questions; each rollout begins with one."""
    cache_size: int = 4096
    """Market contexts whose advice is kept."""
    async_queries: bool = False
    """Trade on while the model answers; the advice is then stale, and says how stale."""
    env_workers: int = 0
    """Subprocesses for the environments; 0 keeps them in the trial's own, mostly the fastest."""
    data: Path | None = None
    """CSV, Parquet or Feather of OHLCV bars; a synthetic market if left out."""
    timezone: str | None = None
    """Zone of the times in --data where they have none: America/New_York, +02:00. Default: UTC."""
    symbol: str | None = None
    """The instrument to trade where --data has several."""
    timesteps_reduction: float = 0.05
    """0.05, 0.1 or 0.15: share of the production run that confirms the winner, as its soak."""
    production_timesteps: int = 1_000_000
    """Environment steps of the production run."""
    finalists: int | None = None
    """Leaders (1, 2, 2) that are re-measured in fresh processes, beside the baseline."""
    soak_updates: int | None = None
    """At most so many updates (2500, 10000, 20000) in the soak; 0 leaves it out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.timesteps_reduction not in pytorch_phase3.TIMESTEPS_REDUCTIONS:
            raise UserError(
                f"--timesteps-reduction is one of {pytorch_phase3.TIMESTEPS_REDUCTIONS}, "
                f"got {self.timesteps_reduction}."
            )
        require_at_least("--production-timesteps", self.production_timesteps, 1)
        require_at_least("--env-workers", self.env_workers, 0)


def run(spec: Phase3Spec) -> int:
    """Run one search; return its exit code."""
    from tune import session  # lazy, so that --help does not wait for SciPy and Optuna

    task = task_of(spec)
    updates = min(spec.effort_plan.soak_updates, confirming_updates(spec))
    return session.run(dataclasses.replace(spec, soak_updates=updates), task, space_of)


def confirming_updates(spec: Phase3Spec) -> int:
    """Return the number of updates that train `timesteps_reduction` of the production run.

    The reduction is a fidelity, not an axis: more of it makes no configuration faster, but its
    proof stronger. Over the default space all updates have the same number of steps.
    """
    num_steps = spec.timesteps_reduction * spec.production_timesteps
    return math.ceil(num_steps / rollout_samples(pytorch_phase3.PHASE3_BASELINE))


def space_of(platform: str, num_cpus: int) -> tuple[SearchSpace, Config]:
    """Return the default space and baseline, which are the same on every machine."""
    return pytorch_phase3.SPACE, dict(pytorch_phase3.PHASE3_BASELINE)


def task_of(spec: Phase3Spec) -> Task:
    """Return the task of `spec`; find its data and model, so that a lack fails before any trial.

    Raises:
        UserError: if --space names an axis that is none.
        WorkloadInputError: if the data or the language model is not usable.
    """
    require_axes(spec.space, pytorch_phase3.SPACE.names, of="Phase 3 has")
    # Lazy, so that --help does not wait for NumPy and Arrow.
    from trainables.market.overview import describe_bars
    from trainables.market.sessions import find_sessions
    from trainables.pytorch_phase3 import sources
    from trainables.pytorch_phase3.options import Phase3Options

    source = sources.resolve(spec.llm)
    options = Phase3Options(
        data=os.path.realpath(spec.data) if spec.data is not None else None,
        seed=spec.seed,
        timezone=spec.timezone,
        symbol=spec.symbol,
        llm=_absolute(spec.llm),
        llm_dtype=spec.llm_dtype,
        query_interval=spec.query_interval,
        cache_size=spec.cache_size,
        async_queries=spec.async_queries,
        env_workers=spec.env_workers,
        timesteps_reduction=spec.timesteps_reduction,
    )
    bars = options.load_bars()
    return Task(
        name="pytorch-phase3",
        mode="pytorch",
        phase=3,
        workload=_WORKLOAD,
        options=options.as_mapping(),
        data={
            "source": bars.source,
            "synthetic": spec.data is None,
            "bars": len(bars),
            "sha256": bars.sha256(),
            "llm": "none" if source is None else source.name,
        },
        framework="torch",
        num_subprocesses=spec.env_workers,
        seed_option="training_seed",
        confirming_updates=confirming_updates(spec),
        notes=describe_bars(bars, find_sessions(bars.time)) if spec.data is not None else (),
    )


def _absolute(llm: str) -> str:
    """Return an existing path as an absolute one, because trials run elsewhere; else the name."""
    path = Path(llm).expanduser()
    return str(path.resolve()) if path.exists() else llm


def main() -> int:
    """Run the command line."""
    return cli.main(Phase3Spec, run, prog="python -m tune.pytorch_phase3")


if __name__ == "__main__":
    sys.exit(main())
