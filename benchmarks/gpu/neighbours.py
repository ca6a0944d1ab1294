"""Part 9: trials of Phase 1 beside neighbours on the card and on the host, and which signs tell.

Each kind of neighbour runs in turn, so that a drift of the machine is in all of them alike.
"""

import contextlib
import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.gpu.bench import Bench, beside, outcome_row, sizes
from benchmarks.gpu.memory import PHASES
from benchmarks.gpu.recording import Row
from benchmarks.gpu.search import BASELINE
from trainables.sampling import Sampling

BESIDE = "neighbours"
NOBODY = "nobody"

_ON_THE_CARD = """
import jax
matrix = jax.numpy.ones((4096, 4096))
work = jax.jit({work})
work(matrix).block_until_ready()
print("runs", flush=True)
while True:
    work(matrix).block_until_ready()
"""
_ACROSS_PCIE = """
import jax, numpy
array = numpy.ones(2**26, dtype=numpy.float32)
jax.device_put(array).block_until_ready()
print("runs", flush=True)
while True:
    numpy.asarray(jax.device_put(array))
"""
_ON_CPUS = """
import os, sys
os.sched_setaffinity(0, {int(cpu) for cpu in sys.argv[1:]})
for _ in sys.argv[2:]:
    if os.fork() == 0:
        break
print("runs", flush=True)
parent = os.getppid()
while os.getppid() == parent:
    pass
"""
_IN_MEMORY = """
import numpy
array = numpy.zeros(2**26)
print("runs", flush=True)
while True:
    array += 1.0
"""

_PROGRAMS: Mapping[str, str] = {
    NOBODY: "",
    "products on the card": _ON_THE_CARD.format(work="lambda m: m @ m"),
    "sweeps of the card's memory": _ON_THE_CARD.format(work="lambda m: m + 1.0"),
    "copies to the card and back": _ACROSS_PCIE,
    "busy loops on the trial's CPUs": _ON_CPUS,
    "a sweep of the host's memory": _IN_MEMORY,
}
_REHEARSED = (NOBODY, "busy loops on the trial's CPUs")
_REPEATS = 3
_ONE_S = 25.0
_SHARE = 0.2
"""The share of the card's memory that a neighbour may take."""

_SIGNS = ("others_cpus", "num_gpu_shared_blocks", "gpu_utilization", "gpu_power_w")
_SPEEDS = ("compute", "memory", "handoff")


def measure(bench: Bench) -> None:
    """Measure what is missing of the part."""
    kinds = _REHEARSED if bench.rehearses else tuple(_PROGRAMS)
    repeats = 1 if bench.rehearses else _REPEATS
    keys = [(kind, f"{kind}, {n}") for n in range(repeats) for kind in kinds]
    missing = [(kind, key) for kind, key in keys if not bench.has(BESIDE, key)]
    config = sizes(8, 4, 32) if bench.rehearses else BASELINE
    if missing:
        bench.compile([(PHASES["phase 1"], config)])
    for kind, key in missing:
        bench.require_time(_ONE_S)
        request = bench.request(PHASES["phase 1"], config, sampling=Sampling())
        with _neighbour(bench, _PROGRAMS[kind]) as runs:
            if not runs:
                bench.cannot(BESIDE, f"{kind}: the neighbour died as it started.")
                continue
            environment = bench.environment(cached=True, share=1.0 - 2 * _SHARE)
            outcome, _ = bench.run(request, environment=environment, name="beside")
        bench.add(BESIDE, key, outcome_row(outcome))


def figures(rows: Mapping[str, Row]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each kind: its number of trials, their speed and signs against those
    beside nobody.
    """
    measured: dict[str, list[Row]] = {}
    for key, one in rows.items():
        if one.get("measurement"):
            measured.setdefault(key.rpartition(", ")[0], []).append(one["measurement"])
    quiet = measured.get(NOBODY, [])
    for kind, own in measured.items():
        ratio = _median(own, "steps_per_second") / (_median(quiet, "steps_per_second") or 1.0)
        speeds = [_level(own, name) / (_level(quiet, name) or 1.0) for name in _SPEEDS]
        yield (
            kind,
            f"{len(own)}",
            f"{ratio:.2f} x",
            f"{sum(one['num_disturbed_blocks'] > 0 for one in own)}",
            *(_sign(own, name) for name in _SIGNS),
            *(f"{speed:.2f} x" if speed else "-" for speed in speeds),
        )


def _neighbour(bench: Bench, program: str) -> contextlib.AbstractContextManager[bool]:
    if not program:
        return contextlib.nullcontext(enter_result=True)
    words = [*map(str, bench.cpus())] if program == _ON_CPUS else []
    return beside(bench, program, *words, share=_SHARE)


def _sign(measured: Sequence[Row], name: str) -> str:
    known = any(one.get(name) is not None for one in measured)
    return f"{_median(measured, name):.3g}" if known else "-"


def _median(measured: Sequence[Row], name: str) -> float:
    known = [one[name] for one in measured if one.get(name) is not None]
    return statistics.median(known) if known else 0.0


def _level(measured: Sequence[Row], name: str) -> float:
    """Return the median of a canary's speed, 0.0 where it is not known."""
    speeds = [one["machine_speed"] for one in measured if one.get("machine_speed")]
    known = [speed[name]["mean"] for speed in speeds if speed.get(name)]
    return statistics.median(known) if known else 0.0
