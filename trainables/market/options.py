"""The options of every workload that trades bars, beside the tuned configuration. No framework."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from trainables.market.bars import Bars, load_bars
from trainables.market.synthetic import synthetic_bars
from trainables.workload import WorkloadInputError

_OF_FILES = ("timezone", "symbol")
_LATER = (*_OF_FILES, "training_seed", "held_out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MarketOptions:
    """Options of a Phase 1 or Phase 2 trial; another phase may add its own.

    data: a file of bars; None trades a synthetic market of `synthetic_days`.
    timezone: of the file's times where they have none; None is UTC.
    symbol: the instrument to trade where the file has several.
    seed: of the synthetic market and of training.
    training_seed: of training alone, where it is another than that of the market.
    held_out: the share of the bars, the last of them, on which learning is judged; 0 for none.
    """

    data: str | None = None
    synthetic_days: int = 250
    seed: int = 0
    timezone: str | None = None
    symbol: str | None = None
    training_seed: int | None = None
    held_out: float = 0.0

    def __post_init__(self) -> None:
        self._at_least(synthetic_days=1)
        if not 0.0 <= self.held_out < 1.0:
            raise WorkloadInputError(f"held_out is a share like 0.2, got {self.held_out}.")
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
        """Return the options of a task. Those that came later are left out where they say nothing.

        So a search of an earlier version, which had no such options, is the same search.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in _LATER or value != defaults[name]
        }

    @property
    def seed_of_training(self) -> int:
        """The seed of networks, environments and rollouts."""
        return self.seed if self.training_seed is None else self.training_seed

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
