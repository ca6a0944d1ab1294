"""The plan as a table and as JSON."""

import json

from fake_compiler import CONFIGS, QUIET, FakeCompiler, need
from tune.memory import capacity
from tune.plan import gpus, plan
from tune.plan import view as plan_view
from tune.plan.plan import Plan

GPU = gpus.find("RTX 4090")


GIB = 2**30


def test_the_table_has_a_cell_for_every_configuration_and_json_has_them_all() -> None:
    made = plan.make(GPU, CONFIGS, GIB, (FakeCompiler(), FakeCompiler()), **QUIET)
    text = plan_view.render(made)
    assert f"of {len(CONFIGS)} configurations fit in 1.00 GiB: up to " in text
    rows = [line for line in text.splitlines() if line[:13].endswith(("x   64", "x  128"))]
    assert len(rows) == 12
    assert sum(row.count("iB") for row in rows) == len(CONFIGS)
    document = json.loads(plan_view.to_json(made))
    assert document["gpu"] == {"name": "RTX 4090", "memory_bytes": GPU.memory_bytes}
    assert document["compiled_for"] == "NVIDIA GeForce RTX 4090"
    assert len(document["configurations"]) == len(CONFIGS)
    assert {entry["fit"] for entry in document["configurations"]} >= {"fits", "too_large"}


def test_configurations_of_the_same_sizes_have_a_line_each() -> None:
    flags = [CONFIGS[0] | {"remat": remat} for remat in (0, 1)]
    entries = [
        capacity.Entry(config=c, device_bytes=need(c), compiled=True, fit=capacity.Fit.FITS)
        for c in flags
    ]
    found = capacity.Capacity(budget_bytes=GIB, entries=tuple(entries), relative_error=None)
    text = plan_view.render(Plan(gpu=GPU, capacity=found, ahead=True, note=""))
    assert all(f"remat {remat} " in text for remat in (0, 1))
