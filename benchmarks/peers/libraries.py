"""Searches of other libraries, each with its defaults; one that is absent fails as it is made."""

import logging
import math
import tempfile
from collections.abc import Callable
from typing import Any

import optuna

from benchmarks.peers.peer import Coordinates, Peer, PeerGrid, PeerResult


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
        self._folder = tempfile.TemporaryDirectory(prefix="peer-")
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
