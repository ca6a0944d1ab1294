"""A training from scratch, and its learning curve: what a configuration learns in which time."""

import dataclasses
import math
import time
from collections.abc import Callable

from trainables import verdicts
from trainables.built import Built
from trainables.curve import LearningCurve, LearningGate, TrainingRequest
from trainables.health import RETURN, health_of, held_out_return
from trainables.measurement import (
    Measurement,
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
)
from trainables.serving import Send

_GROWTH = 0.05
"""The share by which each stretch lengthens a training: that well a moment is known."""

_MOST_POINTS = 400
"""The stretches are no shorter than this part of the whole."""


class Trainer:
    """Takes the points of a training, and says when it is over.

    It is over at the target, at its time, or at a gate: the moment after which a training that has
    not reached a return is known to learn too slowly.
    """

    def __init__(self, request: TrainingRequest) -> None:
        self.verdict: str | None = None
        """Why it is over, in words; `None` while it is not."""
        self._request = request
        self._points: list[tuple[float, int, float]] = []
        self._best: float | None = None
        self._held_out = self._fell_behind = False
        self._gates = sorted(request.gates, key=lambda gate: gate.seconds)

    @property
    def curve(self) -> LearningCurve | None:
        """The curve so far; `None` while no return is known."""
        if not self._points:
            return None
        seconds, env_steps, returns = zip(*self._points, strict=True)
        return LearningCurve(
            seconds=seconds,
            env_steps=env_steps,
            returns=returns,
            held_out=self._held_out,
            fell_behind=self._fell_behind,
        )

    def next_stretch_s(self, elapsed_s: float, *, least_s: float = 0.0) -> float:
        """Return the seconds to train before the next point."""
        longest_s = max(0.0, self._request.max_s - elapsed_s)
        wanted_s = max(self._request.max_s / _MOST_POINTS, _GROWTH * elapsed_s, least_s)
        return min(wanted_s, longest_s)

    def take(self, seconds: float, env_steps: int, value: float | None, *, held_out: bool) -> None:
        """Take in the return at a moment; `None` if no episode has ended yet."""
        if value is not None:
            moment_s = round(seconds, 4) or seconds  # 0.0 would have no logarithm
            self._points.append((moment_s, env_steps, value))
            self._best = value if self._best is None else max(value, self._best)
            self._held_out = held_out
        target = self._request.target
        if target is not None and value is not None and value >= target:
            self.verdict = f"reached {target:g} after {seconds:.3g} s of training."
        elif gate := self._missed(seconds):
            self._fell_behind = True
            had = "no return" if self._best is None else f"{self._best:.4g}"
            self.verdict = (
                f"ended after {seconds:.3g} s of training: {had} until {gate.seconds:.3g} s, where "
                f"the best so far has {gate.least_return:.4g}."
            )
        elif seconds >= self._request.max_s:
            self.verdict = f"trained for {seconds:.3g} s."

    def _missed(self, seconds: float) -> LearningGate | None:
        due = (gate for gate in self._gates if gate.seconds <= seconds)
        missed = (g for g in due if self._best is None or self._best < g.least_return)
        return next(missed, None)


class ToldReturns:
    """Takes the returns of a training that tells them at its own pace, thinned out to a curve."""

    def __init__(self, request: TrainingRequest) -> None:
        self.trainer = Trainer(request)
        self.max_s = request.max_s
        self.has_gates = bool(request.gates)
        """Whether others told a return: then it can be read, and this one is only late."""
        self._told: tuple[float, float] | None = None
        """The latest moment and return that is no point of the curve yet."""
        self._told_of_few: tuple[float, float] | None = None
        self._due_s = 0.0

    def hear(self, at: float, value: float, *, of_few: bool) -> None:
        """Take note of a return; once all is decided, none counts any more."""
        if of_few:
            self._told_of_few = (at, value)
        elif self.trainer.verdict is None:
            self._told = (at, value)

    def look(self, seconds: float, began_at: float, steps: float) -> None:
        """Judge the training after so many seconds, if a point is due and nothing is decided."""
        if seconds < self._due_s or self.trainer.verdict is not None:
            return
        self.take_told(began_at, steps)
        if self.trainer.verdict is None:
            self.trainer.take(seconds, round(steps), None, held_out=False)

    def take_told(self, began_at: float, steps: float, *, of_few: bool = False) -> None:
        """Make a point of the latest return; one from before the beginning is of the first stretch.

        No moment is known better than that, and seconds are compared by their logarithms.
        """
        if of_few and self._told is None and self.trainer.curve is None:
            self._told = self._told_of_few
        if self._told is None:
            return
        at, value = self._told
        self._told, seconds = None, max(self.trainer.next_stretch_s(0.0), at - began_at)
        self.trainer.take(seconds, round(steps), value, held_out=False)
        self._due_s = seconds + self.trainer.next_stretch_s(seconds)


def train(
    request: TrialRequest,
    built: Built,
    send: Send,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Train from scratch and report the curve, with the speed of the training.

    The seconds are of training alone. The first update counts as long as those after it: a program
    is loaded, and memory allocated, in it.
    """
    # These bring NumPy and NVML: not before the affinity holds.
    from trainables import throughput
    from trainables.disturbance import ignores_neighbours, neighbours_on
    from trainables.gpu_monitor import GpuMonitor

    assert request.training is not None
    workload, need = built.workload, built.program.device_bytes
    trainer = Trainer(request.training)
    send(Progress(phase=Phase.WARMUP, predicted_device_bytes=need))
    started = clock()
    workload.run(1)
    first_s, fingerprint = clock() - started, built.fingerprint
    if verdict := verdicts.wrong_device(request.platform, built.device_usage):
        return built.report(verdict)
    # Judged once before it counts: what that compiles is no time of an evaluation.
    health_of(workload)
    held_out_return(workload)
    gpu = GpuMonitor(request.platform)
    neighbours = neighbours_on(request.cpus, on_gpu=request.platform == "cuda")
    send(Progress(phase=Phase.MEASURE, predicted_device_bytes=need))
    quiet: list[float] = []
    noisy: list[float] = []
    trained_s = evaluated_s = update_s = 0.0
    num_updates = 1
    health: dict[str, float] = {}
    while trainer.verdict is None:
        began = clock()
        stretch_s = trainer.next_stretch_s(trained_s, least_s=evaluated_s)
        size = _planned(stretch_s, request.ends_at - began - evaluated_s, update_s)
        workload.run(size)
        seconds = clock() - began
        trained_s += seconds + (0.0 if update_s else seconds / size)
        update_s = seconds / size
        num_updates += size
        gpu.look()
        is_disturbed = neighbours.disturbed() and not ignores_neighbours()
        (noisy if is_disturbed else quiet).append(workload.env_steps_per_update / update_s)
        began = clock()
        health, held_out = health_of(workload), held_out_return(workload)
        evaluated_s = clock() - began
        told = {} if held_out is None else {"the held-out return": held_out}
        if verdict := verdicts.unhealthy(health | told):
            return built.report(verdict)
        value = health.get(RETURN) if held_out is None else held_out
        trainer.take(
            trained_s,
            num_updates * workload.env_steps_per_update,
            value,
            held_out=held_out is not None,
        )
        neighbours.disturbed()  # what they did while it was judged does not count
        if clock() + update_s + evaluated_s > request.ends_at:
            break
    if verdict := verdicts.nothing_trained(fingerprint, built.fingerprint):
        return built.report(verdict)
    measurement = Measurement(
        **dataclasses.asdict(
            throughput.summarize(quiet, num_updates, request.sampling, noisy=noisy)
        ),
        **built.figures(built.device_usage),
        **gpu.figures(),
        warmup_s=first_s,
        measure_s=trained_s,
        health=health,
        own_cpus=neighbours.own_cpus,
        others_cpus=neighbours.others_cpus,
        curve=trainer.curve,
    )
    why = trainer.verdict or f"trained for {trained_s:.3g} s: its time was up."
    return built.report((OutcomeKind.COMPLETED, why), measurement)


def _planned(stretch_s: float, left_s: float, update_s: float) -> int:
    """Return the updates that fill a stretch and end in time; one while nothing is known of them.

    A stretch that ended later would be killed, and its training with it.
    """
    from trainables import throughput  # not before the affinity holds

    if not update_s:
        return 1
    wanted = throughput.plan_updates(update_s, stretch_s)
    return max(1, math.floor(min(wanted, left_s / update_s)))
