"""Parts 5 and 8: ours beside the reference, launches and time, the runtime's levers, and polling.

The children of a part compile side by side and then measure one after the other, alone.
"""

import contextlib
import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.bench import Bench, name_of, next_line, sizes
from benchmarks.gpu.search import BASELINE
from cluster.node.xla_flags import unknown_xla_flags
from search_spaces.config import Config
from tune.search import levers

SPEEDS, LEVERS, COMPILING, POLLING = "speed", "levers", "compiling", "polling"

_SHAPES = (
    BASELINE,
    sizes(2048, 32, 16384),
    sizes(2048, 128, 32768),
    sizes(8192, 128, 131072),
    sizes(16384, 64, 131072),
    sizes(32768, 32, 262144),
)
_CARTPOLE = (sizes(2048, 128, 32768), sizes(16384, 64, 131072))
_LEVER_SHAPES = (BASELINE, sizes(8192, 128, 131072))
_REHEARSED = (sizes(16, 4, 32),)
_BATCH_S, _POLLING_S, _ONE_CPU_S, _SOME_CPUS_S = 80.0, 50.0, 70.0, 40.0
"""A little more than an H100 took: for a batch, for polling, and for one child by its CPUs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Lever:
    """One lever of the runtime: what it changes in a child's request, and in its environment."""

    request: Mapping[str, str] = dataclasses.field(default_factory=dict)
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


def _flag(flag: str) -> _Lever:
    return _Lever(variables={"XLA_FLAGS": flag})


_LEVERS = {
    "as it is": _Lever(),
    **{one.name: _Lever(variables=one.variables) for one in levers.GPU},
    "no command buffers": _flag("--xla_gpu_enable_command_buffer="),
    "no autotuning": _flag("--xla_gpu_autotune_level=0"),
    "products in highest": _Lever(request={"matmul_precision": "highest"}),
    "products in tensorfloat32": _Lever(request={"matmul_precision": "tensorfloat32"}),
    "no preallocation": _Lever(variables={"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}),
    "CUDA's allocator": _Lever(variables={"XLA_PYTHON_CLIENT_ALLOCATOR": "cuda_async"}),
}
_REHEARSED_LEVERS = ("latency hiding",)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """One child: the row it makes, its request and what its environment has besides a trial's."""

    key: str
    request: dict[str, Any]
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


def measure(bench: Bench) -> None:
    """Measure ours beside the reference."""
    if importlib.util.find_spec("optax") is None:
        bench.cannot(SPEEDS, "the reference: optax is not installed here.")
        return
    shapes = _REHEARSED if bench.rehearses else _SHAPES
    cartpole = () if bench.rehearses else _CARTPOLE
    if cartpole and importlib.util.find_spec("gymnax") is None:
        bench.cannot(SPEEDS, "CartPole: gymnax is not installed here.")
        cartpole = ()
    pairs = [("Phase 1", one) for one in shapes] + [("CartPole", one) for one in cartpole]
    jobs = [
        _Job(key=f"{env}, {name_of(config)}", request=_request(bench, env, config))
        for env, config in pairs
    ]
    _run(bench, SPEEDS, jobs)


def measure_levers(bench: Bench) -> None:
    """Measure what each lever of the runtime does to our loop."""
    jobs = []
    for config in _REHEARSED if bench.rehearses else _LEVER_SHAPES:
        request = _request(bench, "Phase 1", config, loops=["ours"])
        for name in _REHEARSED_LEVERS if bench.rehearses else _LEVERS:
            lever = _LEVERS[name]
            unknown = unknown_xla_flags(lever.variables.get("XLA_FLAGS", ""))
            if unknown:
                bench.cannot(LEVERS, f"{name}: this jaxlib has no {unknown[0]}.")
                continue
            key = f"Phase 1, {name_of(config)}: {name}"
            jobs.append(
                _Job(key=key, request={**request, **lever.request}, variables=lever.variables)
            )
    _run(bench, LEVERS, jobs)


def measure_compiling(bench: Bench) -> None:
    """Measure how long one program compiles, by CPUs and from the cache; nothing runs beside it."""
    config = (_REHEARSED if bench.rehearses else _LEVER_SHAPES)[0]
    allowed = len(bench.cpus(cap=10**6))
    for cap in [] if bench.rehearses else sorted({1, min(4, allowed), allowed}):
        key = f"{cap} CPUs"
        if not bench.has(COMPILING, key):
            _alone(bench, key, config, cap, environment=bench.environment(cap=cap))
    if bench.has(COMPILING, "read from the cache"):
        return
    # Other parts keep this program, too; and what an earlier command kept is gone.
    environment = bench.environment(programs="of-this-part")
    for key in ("first with a cache", "read from the cache"):
        _alone(bench, key, config, bench.thread_cap, environment=environment)


def measure_polling(bench: Bench) -> None:
    """Measure blocks of updates that begin just after NVML was asked, beside others."""
    config = (_REHEARSED if bench.rehearses else _SHAPES)[0]
    request = _request(bench, "Phase 1", config, loops=["ours"], rounds=20) | {"polls": True}
    job = _Job(key=f"Phase 1, {name_of(config)}", request=request)
    _run(bench, POLLING, [job], needed_s=_POLLING_S)


def _request(
    bench: Bench,
    env: str,
    config: Config,
    *,
    loops: Sequence[str] = ("ours", "reference"),
    rounds: int = 7,
) -> dict[str, Any]:
    small = bench.rehearses
    return {
        "env": env,
        "config": dict(config),
        "loops": list(loops),
        "rounds": 2 if small else rounds,
        "block_s": 0.05 if small else 0.4,
    }


def _run(bench: Bench, part: str, jobs: Sequence[_Job], *, needed_s: float = _BATCH_S) -> None:
    """Run the jobs whose rows are missing, as many at once as may be."""
    missing = [job for job in jobs if not bench.has(part, job.key)]
    for first in range(0, len(missing), bench.num_side_by_side):
        bench.require_time(needed_s if not bench.rehearses else 0.0)
        batch = missing[first : first + bench.num_side_by_side]
        share = 0.8 / len(batch)
        with contextlib.ExitStack() as stack:
            children = [
                stack.enter_context(
                    _Child(bench, job, slot, {**bench.environment(share=share), **job.variables})
                )
                for slot, job in enumerate(batch)
            ]
            for child in children:
                child.wait_compiled()
            for job, child in zip(batch, children, strict=True):
                bench.add(part, job.key, child.measured())


def _alone(
    bench: Bench, key: str, config: Config, cap: int, *, environment: Mapping[str, str]
) -> None:
    needed_s = _ONE_CPU_S if cap == 1 else _SOME_CPUS_S
    bench.require_time(needed_s if not bench.rehearses else 0.0)
    job = _Job(key=key, request=_request(bench, "Phase 1", config, loops=["ours"], rounds=5))
    with _Child(bench, job, 0, environment, cap=cap) as child:
        child.wait_compiled()
        bench.add(COMPILING, key, child.measured())


class _Child:
    """A `benchmarks.gpu.loops` process. It ends with the block."""

    def __init__(
        self,
        bench: Bench,
        job: _Job,
        slot: int,
        environment: Mapping[str, str],
        *,
        cap: int | None = None,
    ) -> None:
        self._bench = bench
        self._log = bench.folder / f"loops-{slot}.log"
        self._row: dict[str, Any] = {}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.gpu.loops"],
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        request = job.request | {"cpus": bench.cpus(slot, cap)}
        self._row = {"config": request["config"], "compiled": None}
        self._write(json.dumps(request))

    def __enter__(self) -> "_Child":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_compiled(self) -> None:
        """Wait until it has compiled, or is dead."""
        self._row["compiled"] = self._read()

    def measured(self) -> dict[str, Any]:
        """Let it measure; return its row, with the end of its log if it died.

        Raises:
            OutOfTime: if the end of all time ended it.
        """
        self._write("go")
        row = self._row | {"measured": self._read()}
        if row["measured"] is None:
            self._bench.require_time(1.0)
            row["log"] = self._log.read_text(errors="replace")[-1500:]
        return row

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead, and its log says why
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def _read(self) -> Any:
        line = next_line(self._bench, self._process)
        return json.loads(line) if line else None
