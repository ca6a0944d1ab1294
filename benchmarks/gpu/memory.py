"""Part 3: device bytes predicted, and the allocator's peak, up to the card's limit and beyond."""

from collections.abc import Callable

from benchmarks.gpu.bench import Bench, name_of, outcome_row, sizes
from benchmarks.gpu.recording import Row
from cluster.node import thread_env
from search_spaces.config import Config
from trainables.measurement import OutcomeKind

MEMORY = "memory"
PHASES = {
    "phase 1": "trainables.jax_phase12.workload:phase1",
    "phase 2": "trainables.jax_phase12.workload:phase2",
}
_CONFIGS = (
    sizes(512, 32, 2048),
    sizes(2048, 128, 32768),
    sizes(8192, 32, 262144),
    sizes(8192, 256, 131072),
    sizes(32768, 64, 1048576),
    sizes(65536, 128, 1048576),
)
_NEAR_THE_LIMIT = (
    sizes(65536, 256, 4194304),
    sizes(131072, 256, 8388608),
    sizes(65536, 256, 16777216),
    sizes(131072, 256, 33554432),
)
_REHEARSED = (sizes(8, 4, 32),)
_SIDE_BY_SIDE_S, _ALONE_S = 60.0, 60.0


def measure(bench: Bench) -> None:
    """Measure what is missing of the part."""
    configs = _REHEARSED if bench.rehearses else _CONFIGS
    jobs = [
        _job(bench, phase, config)
        for config in configs
        for phase in list(PHASES)[: 1 if bench.rehearses else None]
        if not bench.has(MEMORY, f"{phase}, {name_of(config)}")
    ]
    if jobs:
        bench.require_time(_SIDE_BY_SIDE_S)
        bench.side_by_side(jobs)
    for config in _REHEARSED[:1] if bench.rehearses else _NEAR_THE_LIMIT:
        key = f"alone, {name_of(config)}"
        if not bench.has(MEMORY, key):
            bench.require_time(_ALONE_S)
            bench.add(MEMORY, key, _alone(bench, config))


def _alone(bench: Bench, config: Config) -> Row:
    """Return what a trial says that has the card and all CPUs, and no budget: where is the cliff?

    It compiles for itself. XLA lays a program out for the pool of the process that compiles it, so
    one that was compiled in a share of the card would be another.
    """
    cap = thread_env.GPU_CAP
    request = bench.request(PHASES["phase 1"], config, cpus=bench.cpus(cap=cap))
    environment = bench.environment(cap=cap)
    outcome, log = bench.run(request, environment=environment, name="alone")
    row = outcome_row(outcome)
    if outcome.kind is not OutcomeKind.COMPLETED:
        row["log"] = log
    return row


def _job(bench: Bench, phase: str, config: Config) -> Callable[[int], None]:
    def run(slot: int) -> None:
        bench.require_time(_SIDE_BY_SIDE_S)  # others ran before it
        request = bench.request(PHASES[phase], config, slot=slot)
        environment = bench.environment(share=0.8 / bench.num_side_by_side)
        outcome, _ = bench.run(request, environment=environment, name=f"memory-{slot}")
        bench.add(MEMORY, f"{phase}, {name_of(config)}", outcome_row(outcome))

    return run
