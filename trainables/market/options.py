"""What a person may choose for Phases 1 and 2, beside the tuned configuration. No jax."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trainables.market.bars import Bars, load_bars
from trainables.market.synthetic import synthetic_bars
from trainables.workload import WorkloadInputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """data: a CSV or Parquet file of bars; None trades a synthetic market of `synthetic_days`.

    seed: of the synthetic market and of training.
    """

    data: str | None = None
    synthetic_days: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        if self.synthetic_days < 1:
            raise WorkloadInputError(
                f"synthetic_days must be at least 1, got {self.synthetic_days}."
            )

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> "Options":
        """Build from a trial's options.

        Raises:
            WorkloadInputError: if there is an option that would have no effect.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(options.keys() - set(known)):
            raise WorkloadInputError(f"there is no option {unknown}; there are {known}.")
        return cls(**options)

    def load_bars(self) -> Bars:
        """Read the file or make the synthetic market.

        Raises:
            WorkloadInputError: if the file is missing or wrong, see `market.load_bars`.
        """
        if self.data is None:
            return synthetic_bars(seed=self.seed, num_days=self.synthetic_days)
        return load_bars(self.data)
