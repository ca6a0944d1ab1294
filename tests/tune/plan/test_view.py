"""The plan as a table and as JSON."""

import json

from fake_compiler import CONFIGS, QUIET, FakeCompiler
from tune.plan import gpus, plan
from tune.plan import view as plan_view

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
