"""Loops of other libraries as workloads, each in a few lines of a person's own. Stdlib only.

    def factory(config, options):
        return counted(lambda: (steps for steps in my_training(config)))

- `counted`: a generator that yields the steps so far, at whatever times.
- `called_back`: a training that calls a function with the steps so far, as Brax's `progress_fn`.
- `StableBaselines3`: a model of Stable-Baselines3 or SBX, which trains by whole rollouts.
- `pure_jax_rl`: a `make_train(config)` of PureJaxRL, whose whole training is one program.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from unittest import mock

from trainables import verdicts
from trainables.health import RETURN, known_metrics, no_return
from trainables.measurement import OutcomeKind, Phase, Progress, Report, TrialRequest
from trainables.pace import Point
from trainables.paced_trial import PacedTrial
from trainables.serving import Send
from trainables.workload import DeviceUsage, WorkloadInputError

if TYPE_CHECKING:
    from trainables.jax_workload import JaxWorkload

Told = float | tuple[float, Mapping[str, float]]
"""Steps so far, alone or with metrics of the training."""

_END = object()

_RETURNS, _LENGTHS = "returned_episode_returns", "returned_episode_lengths"
"""Fields of PureJaxRL's LogWrapper."""


def counted(train: Callable[[], Iterable[Told]], *, within_updates: bool = True) -> CountedLoop:
    """Return a workload of a generator: `train()` yields the steps that it has done so far.

    It may yield at whatever times, also with metrics: `yield steps, {"mean_return": 21.0}`. One
    that yields once in each update, not `within_updates`, is timed in less time.
    """
    return CountedLoop(train, within_updates=within_updates)


def called_back(
    train: Callable[[Callable[..., None]], Any], *, within_updates: bool = False
) -> CountedLoop:
    """Return a workload of a training that calls back: `train(tell)` calls `tell(steps)`.

    It may call `tell(steps, metrics)`, when an update ends or, if so said, `within_updates`. It
    runs in a thread of its own, and waits in `tell` while the trial looks at what it told.
    """
    return CountedLoop(lambda: _inverted(train), within_updates=within_updates)


class CountedLoop:
    """A training that tells how many steps it has done. It sets its own pace.

    `within_updates`: it may tell them in the midst of an update, so that a while without one is
    not its speed.
    """

    env_steps_per_update = 1
    """Not known before it runs: the measurement has it."""

    def __init__(
        self, train: Callable[[], Iterable[Told]], *, within_updates: bool = False
    ) -> None:
        self._train = train
        self._within_updates = within_updates

    def run(self, num_updates: int) -> None:
        """Refuse: it cannot be told to run for so many updates."""
        raise WorkloadInputError("this training is timed by what it tells, and not by updates.")

    def measure_trial(self, request: TrialRequest, send: Send) -> Report:
        """Run the training until its speed is known, and report."""
        send(Progress(phase=Phase.BUILD))
        trial = PacedTrial(request, send)
        trial.by_clock = self._within_updates
        trial.counted = "reading" if self._within_updates else "update"
        names: set[str] = set()
        report = self._follow(trial, names) or trial.conclude()
        if report is None:
            return Report(
                kind=OutcomeKind.INVALID,
                message=f"the training ended by itself after telling {trial.num_points} times, too "
                "few to time: let it go on, it is ended as soon as enough was seen.",
            )
        told_speed = report.measurement is not None and request.training is None
        if request.needs_return and told_speed and RETURN not in names:
            raise no_return(
                names, f"let it tell a {RETURN!r} with its steps (NaN until an episode has ended)."
            )
        return report

    def _follow(self, trial: PacedTrial, names: set[str]) -> Report | None:
        """Train until enough is known, and return the report; add the names of metrics."""
        first: tuple[float, float] | None = None
        last = -1.0
        for told in self._train():
            now = time.monotonic()
            steps, metrics = told if isinstance(told, tuple) else (told, {})
            trial.health = known_metrics(metrics, "the training")
            names.update(metrics)
            if verdict := verdicts.unhealthy(trial.health):
                return Report(kind=verdict[0], message=verdict[1])
            if RETURN in trial.health:
                trial.tell(trial.health[RETURN], now)
            first = first or (now, float(steps))
            if steps <= last:
                continue  # nothing new was done
            last = float(steps)
            report = trial.take(Point(now - first[0], steps - first[1]), now)
            if report is not None:
                return report
        return None


def _inverted(train: Callable[[Callable[..., None]], Any]) -> Iterator[Told]:
    """Yield what a training tells by calling back, while it waits; raise what it raises."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    go_on = threading.Semaphore(0)

    def tell(steps: float, metrics: Mapping[str, float] | None = None) -> None:
        told.put((float(steps), metrics or {}))
        go_on.acquire()

    def run() -> None:
        try:
            train(tell)
        except BaseException as error:  # noqa: BLE001  # raised again where the trial waits
            told.put(error)
        else:
            told.put(_END)

    threading.Thread(target=run, daemon=True).start()
    while (item := told.get()) is not _END:
        if isinstance(item, BaseException):
            raise item
        yield item
        go_on.release()


class StableBaselines3:
    """A workload of an on-policy model of Stable-Baselines3, or of SBX, which is that in JAX: an
    update is a rollout, and learning.

    Args:
        model: with `n_steps`, `n_envs` and `learn`, as PPO and A2C have them.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.env_steps_per_update = int(model.n_steps * model.n_envs)

    def run(self, num_updates: int) -> None:
        """Train for so many rollouts."""
        steps = num_updates * self.env_steps_per_update
        self._model.learn(steps, log_interval=None, reset_num_timesteps=False)

    def health(self) -> dict[str, float]:
        """Return the mean return of the last episodes: NaN until one has ended."""
        returns = [episode["r"] for episode in self._model.ep_info_buffer or ()]
        return {RETURN: sum(returns) / len(returns) if returns else math.nan}

    def device_usage(self) -> DeviceUsage:
        """Return the device that trains the policy, and what a GPU's allocators held."""
        from trainables.gpu_monitor import allocated_peak_bytes  # it brings NumPy and NVML

        is_on_gpu = self._platform in ("cuda", "gpu")
        return DeviceUsage(
            platform="cuda" if is_on_gpu else "cpu",
            peak_device_bytes=allocated_peak_bytes() if is_on_gpu else None,
            num_compilations=None,
        )

    @property
    def _platform(self) -> str:
        """The platform as its framework calls it. SBX's policies are modules of torch's too, on
        whatever device that found, but without a parameter: their arrays are JAX's.
        """
        policy, jax = getattr(self._model, "policy", None), sys.modules.get("jax")
        if policy is None or jax is None or any(True for _ in policy.parameters()):
            return str(self._model.device.type)
        return str(jax.devices()[0].platform)


class _UpdatesBegin(Exception):  # noqa: N818  # it ends the first part of a training, as planned
    """The scan over all updates: its step, and the state that it begins with."""

    def __init__(self, step: Callable[..., Any], state: Any) -> None:
        super().__init__()
        self.step = step
        self.state = state


def pure_jax_rl(
    make_train: Callable[[dict[str, Any]], Callable[..., Any]], settings: Mapping[str, Any]
) -> JaxWorkload:
    """Return a workload of a training in the form of PureJaxRL: `make_train(settings)(rng)`.

    Such a training ends in one `jax.lax.scan` over its NUM_UPDATES updates. The step of that scan
    is the update, and the state it begins with is the first one. TOTAL_TIMESTEPS may be left out.
    Without NUM_STEPS, as its DQN is, an update is one step of each environment. DEBUG is switched
    off: it prints a line for each episode, and compiles for each number of them.

    Raises:
        WorkloadInputError: if there is no such scan.
    """
    import jax

    from trainables.jax_workload import JaxWorkload

    config: dict[str, Any] = {"TOTAL_TIMESTEPS": 10**9, **settings, "DEBUG": False}
    train = make_train(config)  # it writes NUM_UPDATES into its dict
    scan = jax.lax.scan
    begun: list[_UpdatesBegin] = []

    def stop_at_updates(f: Any, init: Any = None, xs: Any = None, *rest: Any, **more: Any) -> Any:
        length = more.get("length", rest[0] if rest else None)
        if xs is None and length == config.get("NUM_UPDATES"):
            raise _UpdatesBegin(f, init)
        return scan(f, init, xs, *rest, **more)

    def init() -> Any:
        try:
            with mock.patch.object(jax.lax, "scan", stop_at_updates):
                train(jax.random.PRNGKey(int(config.get("SEED", 0))))
        except _UpdatesBegin as found:
            begun.append(found)
            return found.state
        raise WorkloadInputError(
            "this training does not call jax.lax.scan(step, state, None, NUM_UPDATES) with the "
            "NUM_UPDATES of its dict, as PureJaxRL's do: write its update as a JaxWorkload."
        )

    def update(state: Any) -> tuple[Any, dict[str, Any]]:
        state, info = begun[0].step(state, None)  # its state is the first, too: JaxWorkload's rule
        return state, _told_of_episodes(info, state)

    steps = int(config["NUM_ENVS"]) * int(config.get("NUM_STEPS", 1))
    return JaxWorkload(update, init, env_steps_per_update=steps)


def _told_of_episodes(info: Any, state: Any) -> dict[str, Any]:
    """Return the mean return in what PureJaxRL's LogWrapper records at each step, if it is there.

    An environment without an ended episode has a return of 0 there, and a length of 0: it is left
    out, as 0 may be better than any return. Where a training records a mean alone, with those
    zeros in it, each environment's last episode in the state is taken instead.
    """
    import jax.numpy as jnp

    recorded = info if isinstance(info, Mapping) else {}
    if jnp.ndim(recorded.get(_RETURNS, 0.0)) == 0:
        recorded = _last_episodes(state) or recorded
    returns, lengths = recorded.get(_RETURNS), recorded.get(_LENGTHS)
    if returns is None:
        return {}
    return {RETURN: jnp.mean(returns, where=None if lengths is None else lengths > 0)}


def _last_episodes(state: Any) -> dict[str, Any]:
    """Return what the LogWrapper's part of a state has of each environment; empty without it."""
    import jax

    return {
        field.name: leaf
        for (*_, field), leaf in jax.tree_util.tree_leaves_with_path((state,))
        if isinstance(field, jax.tree_util.GetAttrKey) and field.name in (_RETURNS, _LENGTHS)
    }
