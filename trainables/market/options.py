"""The options of every workload that trades bars, beside the tuned configuration. No framework."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from trainables.market.bars import Bars, load_bars
from trainables.market.synthetic import synthetic_bars
from trainables.workload import WorkloadInputError

_OF_FILES = ("timezone", "symbol")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarketOptions:
    """Options of a Phase 1 or Phase 2 trial; another phase may add its own.

    data: a file of bars; None trades a synthetic market of `synthetic_days`.
    timezone: of the file's times where they have none; None is UTC.
    symbol: the instrument to trade where the file has several.
    seed: of the synthetic market and of training.
    """

    data: str | None = None
    synthetic_days: int = 250
    seed: int = 0
    timezone: str | None = None
    symbol: str | None = None

    def __post_init__(self) -> None:
        self._at_least(synthetic_days=1)
        for name in _OF_FILES:
            if self.data is None and getattr(self, name) is not None:
                raise WorkloadInputError(
                    f"--{name} is about a file of bars; give it by --data, or leave --{name} out."
                )

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """Build from a trial's options.

        Raises:
            WorkloadInputError: if an option is not known, or its value is out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(options.keys() - set(known)):
            raise WorkloadInputError(f"there is no option {unknown}; there are {known}.")
        return cls(**options)

    def load_bars(self) -> Bars:
        """Read the file or make the synthetic market.

        Raises:
            WorkloadInputError: if the file is missing or wrong, see `market.bars.load_bars`.
        """
        if self.data is None:
            return synthetic_bars(seed=self.seed, num_days=self.synthetic_days)
        return load_bars(self.data, timezone=self.timezone, symbol=self.symbol)

    def as_mapping(self) -> dict[str, Any]:
        """Return the options of a task. How to read a file is left out where nothing was said.

        So a search of an earlier version, which had no such options, is the same search.
        """
        options = dataclasses.asdict(self)
        silent = {name for name in _OF_FILES if options[name] is None}
        return {name: value for name, value in options.items() if name not in silent}

    def _at_least(self, **bounds: int) -> None:
        """Check each named option against its least value.

        Raises:
            WorkloadInputError: naming the first option that is below it.
        """
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise WorkloadInputError(
                    f"{name} must be at least {least}, got {getattr(self, name)}."
                )
