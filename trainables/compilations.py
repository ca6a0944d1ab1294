"""A count of what JAX and torch.compile compile in this process, for loops that do not count it.

The frameworks are not imported here: they are listened to once a workload has imported them.
"""

import sys
from typing import Any

COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


class Compilations:
    """Compilations since this object was made, by the frameworks that are imported by then."""

    def __init__(self) -> None:
        self._by_jax = 0
        jax = sys.modules.get("jax")
        self._counts_jax = jax is not None
        if jax is not None:
            jax.monitoring.register_event_duration_secs_listener(self._hear)
        self._torch_before = _by_torch() or 0

    @property
    def count(self) -> int | None:
        """Compilations so far; `None` where no framework that compiles is imported."""
        by_torch = _by_torch()
        if by_torch is None and not self._counts_jax:
            return None
        return self._by_jax + (by_torch or 0) - self._torch_before

    def _hear(self, event: str, duration_s: float, **_: Any) -> None:
        self._by_jax += event == COMPILE_EVENT


def _by_torch() -> int | None:
    """Return the graphs that torch.compile made in this process, `None` without torch.compile."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return None if dynamo is None else int(dynamo.counters["stats"]["unique_graphs"])
