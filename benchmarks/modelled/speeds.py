"""Landscapes out of compiled programs: speeds by the roofline, seconds as an H100's trials took."""

import json
import math
from pathlib import Path
from typing import Any

from benchmarks.modelled.programs import Programs
from benchmarks.modelled.roofline import Observed, Rates, Work
from benchmarks.recorded import Landscape, Visit
from trainables.measurement import OutcomeKind
from trainables.sampling import Sampling
from tune.search.noise import KNOWN_SD

_HERE = Path(__file__).parent
_SEEN = _HERE / "h100.json"
_RECORDS = _HERE.parent / "gpu"

_STARTUP_S = 3.0
_COMPILE_S, _COMPILED_KERNELS = 9.5, 240
"""Build and compilation of a program of so many kernels with 16 CPUs (benchmarks/gpu)."""
_WARMUP_S = 2.2
_BASELINE = {"num_envs": 512, "num_steps": 128, "batch_size": 8192, "num_epochs": 4}


def observed() -> list[Observed]:
    """Return the programs whose speed an H100 has shown, as they are compiled for one."""
    seen = json.loads(_SEEN.read_text(encoding="utf-8"))
    record = json.loads((_RECORDS / seen["about"]["record"]).read_text(encoding="utf-8"))
    rows = record["parts"]["speed"]["rows"]
    return [
        Observed(
            program=f"{name}, {loop}",
            work=Work(**work),
            update_s=rows[name]["measured"][loop]["update_s"],
        )
        for name, loops in seen["programs"].items()
        for loop, work in loops.items()
    ]


def landscape(programs: Programs, rates: Rates) -> Landscape:
    """Return the landscape that these programs make at these rates."""
    about = {
        "model": "compiled for a card that was not there; its speeds are computed, not measured",
        "workload": f"benchmarks.modelled.loops:{programs.workload}",
        "gpu": programs.card,
        "versions": programs.versions,
        "launch_s": rates.launch_s,
        "efficiency": rates.efficiency,
        "noise_sd": KNOWN_SD["gpu"],
    }
    return Landscape(
        about=about,
        axes=programs.axes,
        baseline=tuple(_BASELINE[name] for name in programs.axes),
        visits=tuple(_visits(programs, rates)),
    )


def _visits(programs: Programs, rates: Rates) -> list[Visit]:
    sampling = Sampling()
    visits: list[Visit] = []
    for one in programs.compiled:
        config: dict[str, Any] = dict(one.config)
        update_s = rates.update_s(one.work)
        compile_s = _COMPILE_S * one.work.num_kernels / _COMPILED_KERNELS
        measure_s = sampling.min_blocks * math.ceil(sampling.block_s / update_s) * update_s
        speed = config["num_envs"] * config["num_steps"] / update_s
        parts = {
            "startup_s": _STARTUP_S,
            "compile_s": compile_s,
            "warmup_s": max(_WARMUP_S, 2 * update_s),
            "measure_s": measure_s,
        }
        visits.append(
            Visit(
                stage="pass",
                config=tuple(config[name] for name in programs.axes),
                kind=OutcomeKind.COMPLETED,
                at_s=visits[-1].at_s + visits[-1].wall_s if visits else 0.0,
                load=0.0,
                wall_s=sum(parts.values()),
                device_bytes=one.device_bytes,
                peak_host_bytes=None,
                steps_per_second=speed,
                low=speed,
                high=speed,
                num_blocks=sampling.min_blocks,
                build_s=0.0,
                **parts,
            )
        )
    return visits
