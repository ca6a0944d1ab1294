"""A plan as text for people and as JSON. Pure."""

import json
from collections.abc import Sequence

from cluster.pages import units
from search_spaces.config import SIZES, config_cell, config_text
from trainables.measurement import Compiled
from tune.memory import capacity
from tune.memory.capacity import Entry, Fit
from tune.plan.plan import Plan

_MARKS = {Fit.FITS: " ", Fit.CLOSE: "?", Fit.TOO_LARGE: "x", None: "?"}
_LEGEND = "* compiled, else predicted{}   x does not fit   ? too near the limit   - no such"


def compiled_line(program: Compiled) -> str:
    """Return a line about one program, to be printed as soon as it is compiled."""
    name = config_cell(program.config, program.config.keys() - set(SIZES))
    seconds = units.duration(program.compile_s)
    if program.problem is not None:
        return f"  {name}: {program.problem}"
    return f"  {name}: {units.size(program.device_bytes)}, compiled in {seconds}"


def headline(plan: Plan) -> str:
    """Return the answer in one sentence."""
    found = plan.capacity
    if found.everything_fits:
        count = units.plural(len(found.entries), "configuration")
        return f"On {plan.gpu.name} everything fits, {count}: the space ends before the memory."
    return f"On {plan.gpu.name} {capacity.in_words(found)}."


def render(plan: Plan) -> str:
    """Return the plan for a terminal or a file."""
    gpu, found = plan.gpu, plan.capacity
    lines = [
        "",
        headline(plan),
        f"{gpu.device}, {units.size(gpu.memory_bytes)} as CUDA counts them; a trial may use "
        f"{units.size(found.budget_bytes)}.",
    ]
    if plan.note:
        lines.append(plan.note)
    error = "" if found.relative_error is None else f" ±{found.relative_error:.0%}"
    lines += ["", *_table(found.entries), "", _LEGEND.format(error)]
    lines.append(
        "How fast they are is not known before the card is there; no card's own use was compared."
    )
    return "\n".join(lines)


def to_json(plan: Plan) -> str:
    """Return the plan as JSON: bytes, and `fit` as fits, close, too_large or null."""
    found = plan.capacity
    document = {
        "schema": 1,
        "event": "plan",
        "gpu": {"name": plan.gpu.name, "memory_bytes": plan.gpu.memory_bytes},
        "compiled_for": plan.gpu.device if plan.ahead else "cpu",
        "note": plan.note,
        "headline": headline(plan),
        "budget_bytes": found.budget_bytes,
        "relative_error_of_predictions": found.relative_error,
        "largest_num_envs": {
            "always": found.num_envs_that_fit(always=True),
            "sometimes": found.num_envs_that_fit(always=False),
        },
        "configurations": [
            {
                "config": entry.config,
                "device_bytes": None if entry.device_bytes is None else round(entry.device_bytes),
                "compiled": entry.compiled,
                "fit": None if entry.fit is None else entry.fit.value,
            }
            for entry in found.entries
        ],
    }
    return json.dumps(document, allow_nan=False)


def _table(entries: Sequence[Entry]) -> list[str]:
    """Return a matrix of num_envs x num_steps by batch_size; for other spaces a line per entry."""
    cells = {tuple(map(entry.config.get, SIZES)): _cell(entry) for entry in entries}
    has_sizes = all(set(SIZES) <= entry.config.keys() for entry in entries)
    if not has_sizes or len(cells) < len(entries):  # which differ in something else
        return [f"{config_text(entry.config):<40}{_cell(entry):>12}" for entry in entries]
    batches = sorted({entry.config["batch_size"] for entry in entries})
    lines = [f"{'batch':>13}" + "".join(f"{batch:>12}" for batch in batches)]
    for envs, steps in sorted({sizes[:2] for sizes in cells}):
        row = "".join(f"{cells.get((envs, steps, batch), '-  '):>12}" for batch in batches)
        lines.append(f"{envs:>6} x {steps:>4}" + row)
    return lines


def _cell(entry: Entry) -> str:
    compiled = "*" if entry.compiled else " "
    return f"{units.size(entry.device_bytes)}{compiled}{_MARKS[entry.fit]}"
