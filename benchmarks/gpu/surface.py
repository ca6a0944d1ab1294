"""Part 6: a landscape of Phase 1 on the card, recorded as those of the CPU are.

A program takes half a minute to compile and a few seconds to measure. So the next programs compile
side by side, and the visits, alone, read them.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import landscape, recorded
from benchmarks.gpu.bench import Bench
from benchmarks.landscape import RecordLandscape
from search_spaces.config import ConfigKey, config_key
from trainables import compile_cache

LANDSCAPE = "landscape"
_SPACE = ("num_envs=512,2048,8192,32768", "num_steps=32,128", "batch_size=4096,16384,65536,262144")
_REHEARSED = ("num_envs=8,16", "num_steps=4", "batch_size=32")
_VISIT_S, _COMPILE_S = 15.0, 60.0


def measure(bench: Bench) -> None:
    """Make the visits that the landscape's file lacks."""
    small = bench.rehearses
    out = file_of(bench)
    spec = RecordLandscape(
        out=out,
        space=(*(_REHEARSED if small else _SPACE), "num_epochs=4"),
        baseline=("num_envs=8", "num_steps=4", "batch_size=32")
        if small
        else ("num_envs=512", "num_steps=128", "batch_size=16384"),
        device="cpu" if small else "gpu",
        thread_cap=bench.thread_cap,
    )
    variables = compile_cache.variables(bench.folder / "compiled", {})
    ready: set[ConfigKey] = set()

    def ahead(configs: Sequence[dict[str, int]]) -> None:
        bench.require_time(0.0 if small else _VISIT_S)
        if config_key(configs[0]) in ready:
            return
        bench.require_time(0.0 if small else _COMPILE_S)
        missing = {config_key(one): one for one in configs if config_key(one) not in ready}
        chosen = dict(list(missing.items())[: bench.num_side_by_side])
        bench.compile(
            [("trainables.jax_phase12.workload:phase1", one) for one in chosen.values()],
            options={"data": None, "seed": 0},
        )
        ready.update(chosen)

    landscape.record(spec, variables=variables, ahead=ahead)
    bench.add(LANDSCAPE, out.name, {"visits": len(recorded.read(out).visits)})


def file_of(bench: Bench) -> Path:
    """Return the landscape's file, beside the record of the card."""
    return bench.out.with_name(f"phase1-{bench.record.machine_class}.json")
