"""A bench for the measurement of a card, as a test wants it."""

import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.bench import Bench
from benchmarks.gpu.recording import CardRecord


def bench_in(
    folder: Path, *, left_s: float = 600.0, rehearsed: bool = True, **fields: Any
) -> Bench:
    """A bench of one CPU per child and two children side by side, with these fields changed."""
    values: dict[str, Any] = {
        "record": CardRecord(machine={}, machine_class="none", rehearsed=rehearsed),
        "out": folder / "card.json",
        "deadline": time.monotonic() + left_s,
        "platform": "cpu",
        "thread_cap": 1,
        "folder": folder,
        "say": lambda text: None,
        "num_side_by_side": 2,
    }
    return Bench(**(values | fields))
