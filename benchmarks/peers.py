"""The searches that ours is compared with, each with its defaults, behind one interface.

A peer sees the space as whole numbers, the positions along each axis: powers of two are neighbours
for all of them. It may ask for sizes that do not divide; it is told so at once and without cost.
The file is long because each peer has a class of its own; none is longer than a page.
"""

import contextlib
import dataclasses
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import optuna

from benchmarks.recorded import ConfigValues
from benchmarks.replay import Replay
from tune.memory.model import Array
from tune.search import sampler

Coordinates = tuple[int, ...]
"""Positions along the axes that have more than one value."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerResult:
    """Result of a trial: its speed in env steps per second, `None` if it did not fit.

    `excess` is log2(need / budget), `None` where the sizes do not divide: then nothing ran.
    """

    steps_per_second: float | None
    excess: float | None
    wall_s: float


class Peer(Protocol):
    """A search, one trial at a time."""

    def ask(self) -> Coordinates | None:
        """Return the coordinates to measure next; `None` at the end of the search."""

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Take the result at these coordinates."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerGrid:
    """A replay's space as a peer sees it: the number of values per axis, and the valid places."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    by_position: Mapping[Coordinates, ConfigValues]
    baseline: Coordinates

    @classmethod
    def of(cls, replay: Replay) -> "PeerGrid":
        """Build it from the axes that have more than one value."""
        axes = replay.space.axes
        varying = [number for number, axis in enumerate(axes) if len(axis.values) > 1]

        def position(config: ConfigValues) -> Coordinates:
            return tuple(axes[number].values.index(config[number]) for number in varying)

        baseline = tuple(replay.baseline[axis.name] for axis in axes)
        return cls(
            names=tuple(axes[number].name for number in varying),
            sizes=tuple(len(axes[number].values) for number in varying),
            by_position={position(config): config for config in replay.points},
            baseline=position(baseline),
        )


class Random:
    """Random search without repeats."""

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        positions = list(grid.by_position)
        order = np.random.default_rng(seed).permutation(len(positions))
        self._waiting = [positions[index] for index in order]

    def ask(self) -> Coordinates | None:
        """Return the next of a shuffled list."""
        return self._waiting.pop() if self._waiting else None

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Do nothing: nothing is learned."""


class Doubling:
    """Doubling as a person does it: num_envs from the default until it fails, the rest kept."""

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        self._axis = grid.names.index("num_envs")
        self._last = grid.sizes[self._axis] - 1
        self._next: Coordinates | None = grid.baseline

    def ask(self) -> Coordinates | None:
        """Return the default, then twice as many environments each time."""
        return self._next

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Go on while it fits and there is more."""
        value = position[self._axis]
        if result.steps_per_second is None or value == self._last:
            self._next = None
        else:
            self._next = (*position[: self._axis], value + 1, *position[self._axis + 1 :])


class RayOptuna:
    """Ray Tune's OptunaSearch as it is shipped; a trial that does not fit has crashed."""

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        import ray.tune  # it starts slowly: --help and the other peers need not wait for it
        from ray.tune.search.optuna import OptunaSearch

        space = {
            name: ray.tune.randint(0, size)
            for name, size in zip(grid.names, grid.sizes, strict=True)
        }
        self._names = grid.names
        self._search = OptunaSearch(space=space, metric="speed", mode="max", seed=seed)
        self._count = 0

    def ask(self) -> Coordinates | None:
        """Return what the searcher suggests."""
        self._count += 1
        config = self._search.suggest(str(self._count))
        return tuple(int(config[name]) for name in self._names)

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Tell a speed, or an error."""
        trial, speed = str(self._count), result.steps_per_second
        if speed is None:
            self._search.on_trial_complete(trial, error=True)
        else:
            self._search.on_trial_complete(trial, {"speed": speed})


class Optuna:
    """Optuna by ask and tell, with graded constraints."""

    def __init__(self, grid: PeerGrid, make_sampler: Callable[[], Any], *, prunes: bool) -> None:
        self._prunes = prunes
        self._study = optuna.create_study(direction="maximize", sampler=make_sampler())
        self._distributions = {
            name: optuna.distributions.IntDistribution(0, size - 1)
            for name, size in zip(grid.names, grid.sizes, strict=True)
        }
        self._names = grid.names
        self._worst = math.inf

    def ask(self) -> Coordinates | None:
        """Return what the sampler suggests."""
        self._trial = self._study.ask(fixed_distributions=self._distributions)
        return tuple(int(self._trial.params[name]) for name in self._names)

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Tell the log of the speed; a trial that did not fit is PRUNED, or the worst so far.

        The latter is for samplers that read no PRUNED trial.
        """
        speed = result.steps_per_second
        self._trial.set_constraint("memory", (result.excess or 1.0) if speed is None else 0.0)
        if speed is not None:
            self._worst = min(self._worst, math.log(speed))
            self._study.tell(self._trial, math.log(speed))
        elif self._prunes or self._worst == math.inf:
            self._study.tell(self._trial, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(self._trial, self._worst)


def optuna_tpe(grid: PeerGrid, seed: int) -> Peer:
    """Make Optuna's TPE with PRUNED and constraints."""
    return Optuna(grid, lambda: optuna.samplers.TPESampler(seed=seed), prunes=True)


def optuna_gp(grid: PeerGrid, seed: int) -> Peer:
    """Make Optuna's Gaussian process with constraints, which reads no PRUNED trial."""
    return Optuna(grid, lambda: optuna.samplers.GPSampler(seed=seed), prunes=False)


class Smac:
    """SMAC3's facade for few hyperparameters: a random forest with expected improvement."""

    def __init__(self, grid: PeerGrid, seed: int, *, num_trials: int = 60) -> None:
        import smac  # it may be absent
        from ConfigSpace import ConfigurationSpace, Integer
        from smac.main.exceptions import ConfigurationSpaceExhaustedException
        from smac.runhistory.dataclasses import TrialValue
        from smac.runhistory.enumerations import StatusType

        self._value, self._status = TrialValue, StatusType
        self._exhausted = ConfigurationSpaceExhaustedException
        space = ConfigurationSpace(seed=seed)
        for name, size in zip(grid.names, grid.sizes, strict=True):
            space.add(Integer(name, (0, size - 1)))
        self._names = grid.names
        self._folder = _temporary_folder()
        facade = smac.HyperparameterOptimizationFacade
        scenario = smac.Scenario(
            space,
            n_trials=num_trials,
            deterministic=True,
            seed=seed,
            output_directory=self._folder.name,
        )
        self._smac = facade(
            scenario,
            lambda config, seed=0: 0.0,
            intensifier=facade.get_intensifier(scenario, max_config_calls=1),
            overwrite=True,
            logging_level=logging.ERROR,
        )
        self._worst = 0.0

    def ask(self) -> Coordinates | None:
        """Return what the facade suggests, until it finds nothing new."""
        try:
            self._trial = self._smac.ask()
        except self._exhausted:
            return None
        return tuple(int(self._trial.config[name]) for name in self._names)

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Tell minus the log of the speed as a cost; a crash costs as much as the worst so far."""
        speed = result.steps_per_second
        cost = self._worst if speed is None else -math.log(speed)
        self._worst = cost if self._worst == 0.0 else max(self._worst, cost)
        status = self._status.CRASHED if speed is None else self._status.SUCCESS
        self._smac.tell(self._trial, self._value(cost=cost, time=result.wall_s, status=status))


class Ax:
    """Ax's Client: Sobol, then a Gaussian process; what did not fit is a failed trial."""

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        from ax.api.client import Client  # it may be absent
        from ax.api.configs import RangeParameterConfig

        self._names = grid.names
        self._client = Client(random_seed=seed)
        self._client.configure_experiment(
            parameters=[
                RangeParameterConfig(name=name, parameter_type="int", bounds=(0, size - 1))
                for name, size in zip(grid.names, grid.sizes, strict=True)
            ]
        )
        self._client.configure_optimization(objective="speed")

    def ask(self) -> Coordinates | None:
        """Return what the client suggests."""
        ((self._index, parameters),) = self._client.get_next_trials(max_trials=1).items()
        return tuple(int(parameters[name]) for name in self._names)

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Tell the log of the speed, or a failure."""
        if result.steps_per_second is None:
            self._client.mark_trial_failed(self._index)
        else:
            data = {"speed": math.log(result.steps_per_second)}
            self._client.complete_trial(self._index, raw_data=data)


class Nevergrad:
    """Nevergrad's NGOpt; what did not fit violates a constraint."""

    def __init__(self, grid: PeerGrid, seed: int, *, num_trials: int = 60) -> None:
        import nevergrad  # it may be absent

        space = nevergrad.p.Dict(
            **{
                name: nevergrad.p.TransitionChoice(range(size))
                for name, size in zip(grid.names, grid.sizes, strict=True)
            }
        )
        space.random_state.seed(seed)
        self._names = grid.names
        self._optimizer = nevergrad.optimizers.NGOpt(space, budget=num_trials)
        self._worst = 0.0

    def ask(self) -> Coordinates | None:
        """Return what the optimiser suggests."""
        self._candidate = self._optimizer.ask()
        return tuple(int(self._candidate.value[name]) for name in self._names)

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Tell minus the log of the speed as a loss; without a fit, the worst and a violation."""
        speed = result.steps_per_second
        loss = self._worst if speed is None else -math.log(speed)
        self._worst = loss if self._worst == 0.0 else max(self._worst, loss)
        if speed is None:
            self._optimizer.tell(self._candidate, loss, [result.excess or 1.0])
        else:
            self._optimizer.tell(self._candidate, loss, [0.0])


class ProteinLike:
    """A search after the public description of PufferLib's Protein; PufferLib does not build here.

    Random trials first. Then candidates are drawn around the Pareto front of score and cost; one
    Gaussian process predicts their scores, another their log costs; a cost is drawn at random, and
    the candidate with the best score weighted by its nearness to that cost is next. Failures are
    not modelled.
    """

    _NUM_RANDOM = 10
    _NUM_CANDIDATES = 256

    def __init__(self, grid: PeerGrid, seed: int) -> None:
        self._sizes = np.array(grid.sizes)
        self._rng = np.random.default_rng(seed)
        self._seen: list[tuple[Coordinates, float, float]] = []
        self._num_told = 0

    def ask(self) -> Coordinates | None:
        """Return random coordinates, or the best of those around the front."""
        if self._num_told < self._NUM_RANDOM or len(self._seen) < 2:
            return self._position(self._rng.uniform(0, self._sizes - 1))
        front = self._front()
        centers = np.array([front[index] for index in self._rng.integers(len(front), size=256)])
        steps = self._rng.normal(0.0, 0.25, size=centers.shape) * (self._sizes - 1)
        candidates = np.clip(np.rint(centers + steps), 0, self._sizes - 1)
        scores = self._predict(candidates, [speed for _, speed, _ in self._seen])
        costs = self._predict(candidates, [cost for _, _, cost in self._seen])
        nearness = 1.0 - np.abs(self._rng.uniform() - _unit(costs))
        return self._position(candidates[int(np.argmax(_unit(scores) * nearness))])

    def tell(self, position: Coordinates, result: PeerResult) -> None:
        """Add the result to both models; failures are left out."""
        self._num_told += result.excess is not None
        if result.steps_per_second is not None:
            self._seen.append((position, result.steps_per_second, result.wall_s))

    def _front(self) -> list[Coordinates]:
        front, best = [], 0.0
        for position, speed, _ in sorted(self._seen, key=lambda item: (item[2], -item[1])):
            if speed > best:
                front.append(position)
                best = speed
        return front

    def _predict(self, candidates: Array, values: list[float]) -> Array:
        observations = sampler.Observations(
            points=np.array([position for position, _, _ in self._seen], dtype=float),
            scores=np.array(values),
            feasible=np.ones(len(values), dtype=np.bool_),
        )
        return sampler.fit(candidates, observations, self._rng).mean

    def _position(self, values: Array) -> Coordinates:
        return tuple(int(value) for value in np.rint(values))


PEERS: dict[str, Callable[[PeerGrid, int], Peer]] = {
    "random without repeats": Random,
    "doubling until it fails": Doubling,
    "Ray Tune OptunaSearch": RayOptuna,
    "Optuna TPE, constraints": optuna_tpe,
    "Optuna GP, constraints": optuna_gp,
    "SMAC3": Smac,
    "Ax": Ax,
    "Nevergrad NGOpt": Nevergrad,
    "Protein-like": ProteinLike,
}


def _unit(values: Array) -> Array:
    spread = float(values.max() - values.min())
    return np.asarray((values - values.min()) / (spread or 1.0))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings and logs of peers, which would break up the table."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _temporary_folder() -> Any:
    return tempfile.TemporaryDirectory(prefix="peer-")
