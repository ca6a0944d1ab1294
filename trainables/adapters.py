"""Loops of other libraries as workloads, each in a few lines of a person's own. Stdlib only.

    def factory(config, options):
        return counted(lambda: (steps for steps in my_training(config)))

- `counted`: a generator that yields the steps so far, at whatever times.
- `called_back`: a training that calls a function with the steps so far, as Brax's `progress_fn`.
- `StableBaselines3`: a model of Stable-Baselines3, which trains by whole rollouts.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from trainables.measurement import OutcomeKind, Phase, Progress, Report, TrialRequest
from trainables.pace import Point
from trainables.paced_trial import PacedTrial
from trainables.serving import Send
from trainables.workload import DeviceUsage, WorkloadInputError

Told = float | tuple[float, Mapping[str, float]]
"""Steps so far, alone or with metrics of the training."""

_END = object()


def counted(train: Callable[[], Iterable[Told]]) -> "CountedLoop":
    """Return a workload of a generator: `train()` yields the steps that it has done so far.

    It may yield at whatever times, also with metrics: `yield steps, {"mean_return": 21.0}`.
    """
    return CountedLoop(train)


def called_back(train: Callable[[Callable[..., None]], Any]) -> "CountedLoop":
    """Return a workload of a training that calls back: `train(tell)` calls `tell(steps)`.

    It may call `tell(steps, metrics)`. It runs in a thread of its own, and waits in `tell` while
    the trial looks at what it told.
    """
    return CountedLoop(lambda: _inverted(train))


class CountedLoop:
    """A training that tells how many steps it has done. It sets its own pace."""

    env_steps_per_update = 1
    """Not known before it runs: the measurement has it."""

    def __init__(self, train: Callable[[], Iterable[Told]]) -> None:
        self._train = train

    def run(self, num_updates: int) -> None:
        """Refuse: it cannot be told to run for so many updates."""
        raise WorkloadInputError("this training is timed by what it tells, and not by updates.")

    def measure_trial(self, request: TrialRequest, send: Send) -> Report:
        """Run the training until its speed is known, and report."""
        send(Progress(phase=Phase.BUILD))
        trial = PacedTrial(request, send)
        first: tuple[float, float] | None = None
        last = -1.0
        for told in self._train():
            now = time.monotonic()
            steps, metrics = told if isinstance(told, tuple) else (told, {})
            trial.health = {name: float(value) for name, value in metrics.items()}
            first = first or (now, float(steps))
            if steps <= last:
                continue  # nothing new was done
            last = float(steps)
            report = trial.take(Point(now - first[0], steps - first[1]), now)
            if report is not None:
                return report
        return trial.conclude() or Report(
            kind=OutcomeKind.INVALID,
            message=f"the training ended by itself after telling {trial.num_points} times, too few "
            "to time: let it go on, it is ended as soon as enough was seen.",
        )


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
    """A workload of an on-policy model of Stable-Baselines3: an update is a rollout, and learning.

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
        """Return the mean return of the last episodes, once one has ended."""
        returns = [episode["r"] for episode in self._model.ep_info_buffer or ()]
        return {"mean_return": sum(returns) / len(returns)} if returns else {}

    def device_usage(self) -> DeviceUsage:
        """Return the device that the model is on; torch counts the bytes of a GPU."""
        device = self._model.device
        if device.type != "cuda":
            return DeviceUsage(platform="cpu", peak_device_bytes=None, num_compilations=None)
        import torch  # absent where no model of it was built

        peak = torch.cuda.max_memory_reserved(device)
        return DeviceUsage(platform="cuda", peak_device_bytes=peak, num_compilations=None)
