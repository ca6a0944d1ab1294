"""Places for trials: how many there are now, and what Ray must find for one."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import ray
import ray.tune

from trainables.ray_trainable import Place
from trainables.travelled import Travelled

_LOOK_S = 1.0


class Places(Protocol):
    """Places on this host, or on the hosts of one class."""

    @property
    def num_trials(self) -> int:
        """The number of trials that may run side by side now."""

    @property
    def travelled(self) -> Travelled | None:
        """The files that came to those hosts with the search, if they had nothing of it."""

    def place(self) -> Place:
        """Return what Ray must find for the next trial."""

    def look(self) -> bool:
        """Look at the hosts again; return whether there is one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlaces:
    """The places of a private Ray on this host: one for each GPU, or one on the CPU."""

    num_gpus: int
    travelled: None = None

    @property
    def num_trials(self) -> int:
        """The number of trials that may run side by side."""
        return max(self.num_gpus, 1)

    def place(self) -> Place:
        """Return a whole GPU, or the CPU."""
        return Place(resources={"GPU": 1} if self.num_gpus else {"CPU": 1})

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
