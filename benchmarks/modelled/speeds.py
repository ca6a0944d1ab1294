"""Landscapes out of compiled programs: speeds by the roofline, seconds as of trials on an H100."""

import dataclasses
import math
from typing import Any

from benchmarks.modelled.programs import Programs
from benchmarks.modelled.roofline import Rates
from benchmarks.recorded import Landscape, Visit
from search_spaces.jax_phase12 import PHASE12_BASELINE
from trainables.measurement import OutcomeKind
from trainables.sampling import Sampling
from tune.profile.warm_start import nearest
from tune.search.noise import KNOWN_SD

_STARTUP_S = 3.0
"""Seconds to start a process, as on slower hosts: the H100's took 0.9."""
_COMPILE_S, _COMPILED_KERNELS = 9.5, 240
"""Build and compilation of a program of so many kernels with 16 CPUs (benchmarks/gpu)."""
_WARMUP_S = 2.2
"""Seconds of warm-up: 2.2 to 2.9 there."""


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
    made = Landscape(
        about=about,
        axes=programs.axes,
        baseline=(),
        visits=tuple(_visits(programs, rates)),
    )
    baseline = nearest(made.space, PHASE12_BASELINE)
    return dataclasses.replace(made, baseline=tuple(baseline[name] for name in programs.axes))


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
