"""The part of the space that fits this machine, known before the first trial.

The largest configuration's program alone mostly shows that all fit: a start and a compilation, 3 s
on a quiet machine. If it does not fit with a margin, the corners of the space are compiled too, in
the same child, but not for a GPU: see `capacity.compiled_first`. That time is paid back: the memory
model knows these programs from the first trial on, and refuses what cannot fit without a process.
Nothing is run or allocated. The time for it is limited, so that a short search is not kept waiting.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable

from cluster.pages import units
from search_spaces.config import SIZES, ConfigKey, config_cell, config_key, num_devices
from search_spaces.space import SearchSpace
from tune.memory import capacity
from tune.memory import model as memory_model
from tune.memory.capacity import Capacity
from tune.memory.compiler import Compiler, CompilingError

_MOST_S = 60.0
_MOST_SHARE = 0.1
"""The share of --max-time that looking ahead may take."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """Device bytes of the compiled configurations, by `config_key`, and the capacity that follows.

    `capacity` is `None` where nothing could be compiled; `text` then says why, or is empty where
    the workload tells no device bytes.
    """

    compiled: dict[ConfigKey, int]
    capacity: Capacity | None
    text: str
    wall_s: float


NO_FORESIGHT = Foresight(compiled={}, capacity=None, text="", wall_s=0.0)


def look_ahead(
    compiler: Compiler,
    space: SearchSpace,
    budget_bytes: int,
    *,
    on_gpu: bool,
    max_time_s: float | None,
    clock: Callable[[], float] = time.monotonic,
) -> Foresight:
    """Compile until it is known what fits, or the time for that is up."""
    configs = capacity.of_sizes(space)
    # The compiler has one device.
    is_told = all(memory_model.applies_to(c) and num_devices(c) == 1 for c in configs)
    if not is_told:
        return NO_FORESIGHT
    started = clock()
    patience_s = min(_MOST_S, _MOST_SHARE * max_time_s) if max_time_s else _MOST_S
    compiled: dict[ConfigKey, int] = {}
    found = None
    try:
        first = capacity.compiled_first(configs, on_gpu=on_gpu)
        programs = compiler.compile(first, patience_s=patience_s)
        with contextlib.closing(programs):
            for program in programs:
                if program.problem is not None:
                    continue
                if program.device_bytes is None:  # the framework does not tell
                    break
                compiled[config_key(program.config)] = program.device_bytes
                found = capacity.assess(configs, compiled, budget_bytes, on_gpu=on_gpu)
                if found.everything_fits:
                    break
        problem = ""
    except CompilingError as error:
        problem = f"Memory: what fits is not known before the first trial. {error}"
    text = problem if found is None else _in_words(found)
    return Foresight(compiled=compiled, capacity=found, text=text, wall_s=clock() - started)


def _in_words(found: Capacity) -> str:
    first = max(
        (entry for entry in found.entries if entry.compiled), key=lambda e: e.device_bytes or 0.0
    )
    fixed = {
        name
        for name, value in first.config.items()
        if name not in SIZES and all(entry.config[name] == value for entry in found.entries)
    }
    need, budget = units.size(first.device_bytes), units.size(found.budget_bytes)
    total = units.plural(len(found.entries), "configuration")
    if found.everything_fits:
        most = found.num_envs_that_fit(always=True)
        return (
            f"Memory: everything fits, {total} of up to {most} envs: the largest, "
            f"{config_cell(first.config, fixed)}, needs {need} of {budget}."
        )
    if any(entry.fit is None for entry in found.entries):
        return (
            f"Memory: {config_cell(first.config, fixed)} needs {need} of {budget}; "
            "what else fits is learned from the trials."
        )
    num_compiled = sum(entry.compiled for entry in found.entries)
    programs = units.plural(num_compiled, "program")
    return f"Memory: {capacity.in_words(found)}; compiled {programs} to tell."
