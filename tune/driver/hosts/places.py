"""Places for trials: how many there are now, and what Ray must find for one.

A place is a GPU, or a host's CPU. A trial that trains on several GPUs takes as many of one host.
"""

import collections
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import ray
import ray.tune

from cluster.node import nvml
from cluster.node.gpus import visible_gpus
from trainables.measurement import Outcome, OutcomeKind
from trainables.ray_trainable import Place
from trainables.travelled import Travelled
from tune.preflight.findings import GpuPlace
from tune.search.gpus import left_out
from tune.search.trial import Trial

_LOOK_S = 1.0


def gpu_fault(name: str) -> str | None:
    """Return why the GPU of this name for CUDA_VISIBLE_DEVICES does not answer, else `None`."""
    try:
        seen = visible_gpus({nvml.VISIBLE: name})
    except nvml.DriverError as error:
        return error.reason
    return next(iter(seen.faults.values()), None)


def _lost(name: str, fault: str) -> str:
    return f"its GPU {name} does not answer: {fault}"


class Places(Protocol):
    """Places on this host, or on the hosts of one class."""

    @property
    def num_trials(self) -> int:
        """The number of trials that may run side by side now."""

    @property
    def travelled(self) -> Travelled | None:
        """The files that came to those hosts with the search, if they had nothing of it."""

    @property
    def most_gpus(self) -> int | None:
        """The most GPUs that one host has now; `None` where trials have none, or it has no host."""

    def take(self, *, alone: bool, num_gpus: int = 1) -> Place:
        """Take what the next trial needs, of which there is enough.

        `num_gpus` is how many it trains on, where there are any. `alone`: nothing else runs, and
        the trial is compared with others that ran so. Those all have the same host and GPUs, as
        long as they are there.
        """

    def give_back(self, place: Place, outcome: Outcome) -> Outcome:
        """Give a place back after a trial; return how it ended, as far as the place tells more."""

    def leave_out(self, slow: Mapping[str, float]) -> None:
        """Run no more trials on GPUs that are slower than the others; their relative speeds."""

    def resume(self, trials: Iterable[Trial]) -> None:
        """Take note of where the trials of earlier sessions ran."""

    def look(self) -> bool:
        """Look at the hosts again; return whether there is one."""


class LocalPlaces:
    """The places of a private Ray on this host: one for each GPU, or one on the CPU.

    `gpus` are several of one kind, as the preflight chose them; without them there is one place,
    whose GPU it chose. `fault_of` says why a GPU does not answer.
    """

    travelled = None

    def __init__(
        self,
        gpus: Sequence[GpuPlace] = (),
        *,
        on_gpu: bool,
        note: Callable[[str], None],
        fault_of: Callable[[str], str | None] = gpu_fault,
    ) -> None:
        self.num_gpus = max(len(gpus), int(on_gpu))
        self._order = [gpu.name for gpu in gpus]
        self._free = list(gpus)
        self._taken: list[GpuPlace] = []
        self._num_trials = collections.Counter(self._order)  # of each, and one
        self._slow: set[str] = set()
        self._left_out: list[GpuPlace] = []  # of the slow ones: they are better than a lost one
        self._note = note
        self._fault_of = fault_of

    @property
    def num_trials(self) -> int:
        """The number of trials that may run side by side."""
        return max(len(self._free) + len(self._taken), 1)

    @property
    def most_gpus(self) -> int | None:
        """The GPUs that are left, `None` on the CPU."""
        return self.num_trials if self.num_gpus else None

    def take(self, *, alone: bool, num_gpus: int = 1) -> Place:
        """Take GPUs that are free, or the CPU.

        What is compared takes the first ones. Others take those that ran the fewest trials: the
        first trials are the baseline on each, and some of them end before the last begins.
        """
        if not self.num_gpus:
            return Place(resources={"CPU": 1.0})
        by_use = sorted(self._free, key=lambda gpu: self._num_trials[gpu.name])
        chosen = self._in_order((self._free if alone else by_use)[:num_gpus])
        self._free = [gpu for gpu in self._free if gpu not in chosen]
        self._taken += chosen
        self._num_trials.update(gpu.name for gpu in chosen)
        return Place(
            resources={"GPU": float(max(len(chosen), 1))},
            gpus=tuple(gpu.name for gpu in chosen),
            cpus=tuple(sorted(cpu for gpu in chosen for cpu in gpu.cpus)),
        )

    def give_back(self, place: Place, outcome: Outcome) -> Outcome:
        """Give GPUs back; leave out those that are lost, which their trial's end then says.

        Where no other is left, slow ones run trials again. Without those, the last lost one stays.
        """
        given_back = [gpu for gpu in self._taken if gpu.name in place.gpus]
        self._taken = [gpu for gpu in self._taken if gpu not in given_back]
        asked = () if outcome.kind.was_measured else given_back
        faults = {gpu.name: fault for gpu in asked if (fault := self._fault_of(gpu.name))}
        outcome = dataclasses.replace(outcome, gpus=place.gpus)
        if faults and len(faults) == len(self._free) + len(self._taken) + len(given_back):
            if self._left_out:
                self._take_back()
            else:
                name, fault = faults.popitem()  # the last stays
                message = f"{outcome.message} ({_lost(name, fault)})"
                outcome = dataclasses.replace(outcome, message=message)
        kept = [gpu for gpu in given_back if gpu.name not in faults]
        self._free = self._in_order([*self._free, *kept])
        self._leave_out()
        if not faults:
            return outcome
        for name, fault in faults.items():
            self._note(f"GPU {name} does not answer ({fault}): it is left out.")
        message = _lost(*next(iter(faults.items())))
        return dataclasses.replace(outcome, kind=OutcomeKind.NODE_LOST, message=message)

    def leave_out(self, slow: Mapping[str, float]) -> None:
        """Leave GPUs out that are slower than the others, as soon as they are free."""
        for name in sorted(slow.keys() - self._slow):
            self._slow.add(name)
            self._note(left_out(name, slow[name]))
        self._leave_out()

    def resume(self, trials: Iterable[Trial]) -> None:
        """Count the trials of each GPU, as if they had been run in this session."""
        for trial in trials:
            if trial.source is None and trial.outcome is not None:
                self._num_trials.update(trial.outcome.gpus)

    def _in_order(self, gpus: Sequence[GpuPlace]) -> list[GpuPlace]:
        return sorted(gpus, key=lambda gpu: self._order.index(gpu.name))

    def _leave_out(self) -> None:
        healthy = [gpu for gpu in self._free if gpu.name not in self._slow]
        if healthy or any(gpu.name not in self._slow for gpu in self._taken):  # the last stay
            self._left_out += [gpu for gpu in self._free if gpu.name in self._slow]
            self._free = healthy

    def _take_back(self) -> None:
        for gpu in self._left_out:
            self._note(f"GPU {gpu.name} is slower, and runs trials again: no other is left.")
        self._free, self._left_out = self._left_out, []

    def look(self) -> bool:
        """Return that this host is there."""
        return True


class ClassWatch(ray.tune.Stopper):  # type: ignore[misc]
    """Ends a search whose class has had no host for `timeout_s`; Ray alone would wait for ever.

    `waiting` tells the places of trials that Ray has not started yet: one whose nodes are all gone
    will never start, even if others of the class came.
    """

    def __init__(
        self, places: Places, timeout_s: float, waiting: Callable[[], Iterable[Place]] = tuple
    ) -> None:
        self.is_lost = False
        self._places = places
        self._timeout_s = timeout_s
        self._waiting = waiting
        self._gone_since: float | None = None
        self._look_at = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles its stopper for checkpoints; a screen cannot be pickled."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Look once a second; Ray Tune asks much more often."""
        now = time.monotonic()
        if self.is_lost or now < self._look_at:
            return self.is_lost
        self._look_at = now + _LOOK_S
        if self._places.look() and not self._waits_for_the_gone():
            self._gone_since = None
            return False
        if self._gone_since is None:
            self._gone_since = now
        self.is_lost = now - self._gone_since >= self._timeout_s
        return self.is_lost

    def _waits_for_the_gone(self) -> bool:
        asked = [place.nodes for place in self._waiting() if place.nodes]
        if not asked:
            return False
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        return any(alive.isdisjoint(nodes) for nodes in asked)
