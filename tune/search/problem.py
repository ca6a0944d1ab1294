"""The problem of a search, and what is known of it so far. Pure."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from search_spaces.config import Config, ConfigKey, config_key, num_shares
from search_spaces.shard import Shard
from search_spaces.space import SearchSpace
from trainables.measurement import OutcomeKind
from tune.memory import envelope
from tune.memory import model as memory_model
from tune.memory.envelope import Use
from tune.memory.model import Array
from tune.search.trial import Scored, Trial

Spot = int | ConfigKey
"""The row of a configuration on the grid, or the key of one beside it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The configurations to explore, in the space's order, and their coordinates [m, d].

    `rows` has the place of each. The configurations are shared: nobody changes them.
    """

    configs: tuple[Config, ...]
    rows: Mapping[ConfigKey, int]
    points: Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchProblem:
    """The problem of a search: a space, the baseline to compare with, a budget of device bytes.

    `compiled_ahead` has device bytes that the compiler told before the first trial. `warm_start`
    has the configurations that other machines recommend, to be tried first. `shard` is the part of
    the space to explore, if not all. `host_budget_bytes` bounds a trial's processes; it is for each
    of its GPUs, if it runs `on_gpu`.
    """

    space: SearchSpace
    baseline: Config
    device_budget_bytes: int | None
    compiled_ahead: Mapping[ConfigKey, int] = dataclasses.field(default_factory=dict)
    warm_start: tuple[Config, ...] = ()
    shard: Shard | None = None
    host_budget_bytes: int | None = None
    on_gpu: bool = False

    @functools.cached_property
    def grid(self) -> Grid:
        """The grid to explore, which is laid out once."""
        configs = tuple(filter(self._contains, self.space.configurations()))
        return Grid(
            configs=configs,
            rows={config_key(config): row for row, config in enumerate(configs)},
            points=np.array([self.space.coordinates(config) for config in configs]),
        )

    def spot(self, config: Config) -> Spot:
        """Return where a configuration is."""
        key = config_key(config)
        return self.grid.rows.get(key, key)

    def points(self, configs: Sequence[Config]) -> Array:
        """Return the coordinates [n, d] of configurations, on the grid or beside it."""
        return self.points_at([self.spot(config) for config in configs])

    def points_at(self, spots: Sequence[Spot]) -> Array:
        """Return the coordinates [n, d] of spots."""
        beside = [place for place, spot in enumerate(spots) if not isinstance(spot, int)]
        others = [self.space.coordinates(dict(s)) for s in spots if not isinstance(s, int)]
        if len(beside) == len(spots):
            return np.array(others)
        points = self.grid.points[[spot if isinstance(spot, int) else 0 for spot in spots]]
        if beside:
            points[beside] = others
        return points

    def _contains(self, config: Config) -> bool:
        return self.shard is None or self.shard.contains(self.space, config)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explored:
    """A problem, and every trial that counts with its score, `None` if unmeasured.

    `min_gain` is the least improvement that counts, as a share. `known_spots` are those of the
    trials, where they were found before.
    """

    problem: SearchProblem
    scored: tuple[Scored, ...]
    min_gain: float
    known_spots: tuple[Spot, ...] | None = None

    @functools.cached_property
    def spots(self) -> tuple[Spot, ...]:
        """The spot of each trial's configuration."""
        if self.known_spots is not None:
            return self.known_spots
        return tuple(self.problem.spot(trial.config) for trial, _ in self.scored)

    @functools.cached_property
    def tried(self) -> set[Spot]:
        """The spots of the configurations that were tried, or are."""
        return set(self.spots)

    @functools.cached_property
    def untried(self) -> list[int]:
        """The rows of the grid that were not tried."""
        return [row for row in self.problem.grid.rows.values() if row not in self.tried]

    def has_tried(self, config: Config) -> bool:
        """Return whether a configuration was tried, or is."""
        return self.problem.spot(config) in self.tried

    @functools.cached_property
    def compiled(self) -> dict[object, list[tuple[Config, int]]]:
        """The configurations whose programs' device bytes are known, by what the model of programs
        does not know of them.
        """
        ahead = [(dict(key), need) for key, need in self.problem.compiled_ahead.items()]
        by_trials = [
            (trial.config, trial.device_bytes)
            for trial, _ in self.scored
            if trial.device_bytes is not None
            and trial.was_run
            and _is_compiled(trial)
            and memory_model.applies_to(trial.config)
        ]
        found: dict[object, list[tuple[Config, int]]] = {}
        for config, need in [*ahead, *by_trials]:
            found.setdefault(memory_model.setting_of(config), []).append((config, need))
        budget_bytes = self.problem.device_budget_bytes
        return {one: memory_model.telling(alike, budget_bytes) for one, alike in found.items()}

    @functools.cached_property
    def untold_deaths(self) -> list[Use]:
        """The deaths of device memory of which no program tells: they came before it was compiled.

        One that a larger configuration contradicts, which ran, is none of them.
        """
        untold = {
            config_key(trial.config)
            for trial, _ in self.scored
            if trial.kind is OutcomeKind.DEVICE_MEMORY and not _is_compiled(trial)
        }
        if not untold:
            return []
        died = envelope.deaths(self.uses(OutcomeKind.DEVICE_MEMORY))
        return [use for use in died if config_key(use.config) in untold]

    def compiled_alike(self, config: Config) -> list[tuple[Config, int]]:
        """Return the programs that say something of a configuration's."""
        if not memory_model.applies_to(config):
            return []
        return self.compiled.get(memory_model.setting_of(config), [])

    def memory_fit(self, config: Config) -> memory_model.MemoryModel | None:
        """Return the model of a configuration's device bytes; `None` while too few are known."""
        setting = memory_model.setting_of(config)
        if setting not in self._fits:
            self._fits[setting] = memory_model.fit(self.compiled_alike(config))
        return self._fits[setting]

    def uses(self, died_of: OutcomeKind) -> list[Use]:
        """Return the bytes of each trial, and which died of them: of a device, or of the host for
        each of its GPUs.
        """
        if died_of not in self._uses:
            self._uses[died_of] = self._find_uses(died_of)
        return self._uses[died_of]

    def uses_alike(self, died_of: OutcomeKind, config: Config) -> list[Use]:
        """Return the uses that say something of a configuration."""
        if died_of not in self._by_setting:
            alike: dict[object, list[Use]] = {}
            for use in self.uses(died_of):
                alike.setdefault(envelope.setting_of(use.config), []).append(use)
            self._by_setting[died_of] = alike
        return self._by_setting[died_of].get(envelope.setting_of(config), [])

    @functools.cached_property
    def _fits(self) -> dict[object, memory_model.MemoryModel | None]:
        return {}

    @functools.cached_property
    def _uses(self) -> dict[OutcomeKind, list[Use]]:
        return {}

    @functools.cached_property
    def _by_setting(self) -> dict[OutcomeKind, dict[object, list[Use]]]:
        return {}

    def _find_uses(self, died_of: OutcomeKind) -> list[Use]:
        found = []
        for trial, _ in self.scored:
            on_host = died_of is OutcomeKind.HOST_MEMORY
            seen = trial.outcome.peak_host_bytes if trial.outcome else None
            shares = num_shares(trial.config, on_gpu=self.problem.on_gpu)
            need = (seen and seen // shares) if on_host else trial.device_bytes
            if trial.kind is died_of:
                found.append(Use(config=trial.config, num_bytes=None))
            elif trial.measurement is not None and need is not None:
                found.append(Use(config=trial.config, num_bytes=need))
        return found


def _is_compiled(trial: Trial) -> bool:
    """Return whether a compiler told the bytes of a trial's program: of a command none does."""
    return trial.outcome is not None and trial.outcome.predicted_device_bytes is not None
