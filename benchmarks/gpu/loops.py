"""A child that compiles training loops, waits for its turn, and measures them in turns.

    python -m benchmarks.gpu.loops          one JSON line in: a request; JSON lines out

It compiles at once, beside other children, and prints what the compiler says. The line `go` lets it
measure: then it has the card alone. It ends with its stdin.
"""

import json
import os
import statistics
import sys
import time
from typing import Any


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, request["cpus"])
    import jax  # its pools are sized by the CPUs above

    from benchmarks import launches
    from benchmarks.ppo import environment, our_workload, reference_workload
    from trainables.jax_phase12.config import PpoConfig

    if precision := request.get("matmul_precision"):
        jax.config.update("jax_default_matmul_precision", precision)
    env, config = environment(request["env"]), PpoConfig.from_mapping(request["config"])
    makers = {"ours": our_workload, "reference": reference_workload}
    loops = {name: makers[name](env, config) for name in request["loops"]}
    compiled: dict[str, Any] = {}
    for name, loop in loops.items():
        started = time.perf_counter()
        program = loop.compile()
        compile_s = time.perf_counter() - started
        counted = launches.count(loop.text())
        compiled[name] = {
            "compile_s": compile_s,
            "from_cache": program.from_cache,
            "device_bytes": program.device_bytes,
            "flops_per_update": program.flops_per_update,
            "launches": counted.total,
            "launches_by_kind": counted.by_kind,
            "unknown_loops": counted.unknown_loops,
        }
        loop.run(2)
        compiled[name]["health"] = loop.health()
    print(json.dumps(compiled), flush=True)
    if sys.stdin.readline().strip() != "go":
        return
    monitor = _monitor() if request.get("polls") else None
    print(json.dumps(_measure(loops, request, monitor)), flush=True)


def _measure(loops: dict[str, Any], request: dict[str, Any], monitor: Any) -> dict[str, Any]:
    updates = {name: _updates_per_block(loop, request["block_s"]) for name, loop in loops.items()}
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    polled: list[float] = []
    look_s: list[float] = []
    for number in range(request["rounds"]):
        for name in list(loops)[:: -1 if number % 2 else 1]:  # there and back
            speeds[name].append(_speed(loops[name], updates[name]))
        if monitor is not None:  # a block after a look, beside one without
            started = time.perf_counter()
            monitor.look()
            look_s.append(time.perf_counter() - started)
            polled.append(_speed(loops["ours"], updates["ours"]))
    found: dict[str, Any] = {
        name: {
            "steps_per_second": statistics.median(values),
            "lowest": min(values),
            "highest": max(values),
            "update_s": loops[name].env_steps_per_update / statistics.median(values),
        }
        for name, values in speeds.items()
    }
    if len(speeds) == 2:
        found["ratio"] = statistics.median(
            ours / theirs for ours, theirs in zip(*speeds.values(), strict=True)
        )
    if monitor is not None:
        found["polling"] = {
            "look_s": statistics.median(look_s),
            "ratio": statistics.median(
                one / other for one, other in zip(polled, speeds["ours"], strict=True)
            ),
            "figures": monitor.figures(),
        }
    found["peak_device_bytes"] = next(iter(loops.values())).device_usage().peak_device_bytes
    return found


def _monitor() -> Any:
    from trainables.gpu_monitor import GpuMonitor

    return GpuMonitor("cuda")


def _updates_per_block(loop: Any, block_s: float) -> int:
    loop.run(1)
    started = time.perf_counter()
    loop.run(2)
    return max(1, round(2 * block_s / (time.perf_counter() - started)))


def _speed(loop: Any, num_updates: int) -> float:
    started = time.perf_counter()
    loop.run(num_updates)
    return float(num_updates * loop.env_steps_per_update / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
