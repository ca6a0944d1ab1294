"""Part 4: real deaths for memory, and the cause that our classifier gives each."""

import importlib.util
import sys

from benchmarks.gpu.bench import Bench, beside, outcome_row
from benchmarks.gpu.memory import PHASES
from benchmarks.gpu.search import BASELINE, run_to_end

DEATHS = "deaths"
_TOO_MUCH_GIB = 2**20  # of any card, and of any address space: nothing is ever touched
_ONE_S = 60.0

_HOLDER = """
import sys
import jax
jax.numpy.zeros(8).block_until_ready()
print("held", flush=True)
sys.stdin.read()
"""


def measure(bench: Bench) -> None:
    """Measure what is missing of the part."""
    cases = {
        "an array too large": ("array", "jax"),
        "a program too large": ("program", "jax"),
        "a tensor too large": ("tensor", "torch"),
    }
    rows = bench.record.part(DEATHS).rows  # whatever a death is taken for is what is asked here
    for key, (factory, framework) in cases.items():
        if key in rows:
            continue
        if importlib.util.find_spec(framework) is None:
            bench.cannot(DEATHS, f"{key}: {framework} is not installed here.")
            continue
        bench.require_time(_ONE_S)
        request = bench.request(f"benchmarks.gpu.hungry:{factory}", {"gib": _TOO_MUCH_GIB})
        environment = bench.environment(framework="torch" if framework == "torch" else "jax")
        outcome, log = bench.run(request, environment=environment, name="death")
        bench.add(DEATHS, key, outcome_row(outcome) | {"log": log})
    if bench.platform == "cpu":
        bench.cannot(DEATHS, "memory that another process holds: it takes a card.")
        return
    for share in (0.90, 0.97, 0.99):
        key = f"another process holds {share:.0%}"
        if key not in rows:
            bench.require_time(_ONE_S)
            with beside(bench, _HOLDER, share=share) as holds:
                if not holds:
                    bench.cannot(DEATHS, f"{key}: it died as it started.")
                    continue
                preflight = run_to_end(
                    [sys.executable, "-m", "tune.preflight"],
                    timeout_s=max(1.0, min(_ONE_S, bench.left_s)),
                )
                request = bench.request(PHASES["phase 1"], BASELINE)
                environment = bench.environment(cached=True)
                outcome, log = bench.run(request, environment=environment, name="held")
            verdict = preflight["output"][-6:]
            bench.add(DEATHS, key, outcome_row(outcome) | {"log": log, "preflight": verdict})
