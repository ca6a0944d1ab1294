"""The effort of a search: how long it looks on, and how surely it knows its answer. Stdlib only,
pure.
"""

import dataclasses
import enum
from typing import Literal

FinalsOrder = Literal["auto", "alone", "together"]
"""How trials of what is compared run: one after the other, or side by side."""


class Effort(enum.StrEnum):
    """An effort that a person asks for in one word."""

    QUICK = "quick"
    NORMAL = "normal"
    THOROUGH = "thorough"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EffortPlan:
    """The numbers that an effort stands for: configurations to try at most, trials without a gain
    that end exploring, leaders of the finals and their rounds, and updates of the soak.
    """

    max_runs: int = 24
    patience: int = 8
    finalists: int = 3
    final_rounds: int = 2
    soak_updates: int = 200

    def at(self, effort: Effort) -> "EffortPlan":
        """Return the plan of an effort, where this is the normal one.

        No effort has fewer rounds of finals: one cannot tell a gain from noise. None has more
        leaders: of many that are nearly alike, noise picks (benchmarks/knobs.py).
        """
        if effort is Effort.QUICK:
            return EffortPlan(
                max_runs=self.max_runs // 2,
                patience=self.patience // 2,
                finalists=self.finalists - 1,
                final_rounds=self.final_rounds,
                soak_updates=self.soak_updates // 4,
            )
        if effort is Effort.THOROUGH:
            return EffortPlan(
                max_runs=2 * self.max_runs,
                patience=2 * self.patience,
                finalists=self.finalists,
                final_rounds=self.final_rounds + 1,
                soak_updates=2 * self.soak_updates,
            )
        return self
