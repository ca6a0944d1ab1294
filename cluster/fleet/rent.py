"""`watch --end-rent`: a box ends its own rent once its search is over and its results are here."""

import dataclasses
import shlex
import time
from collections.abc import Sequence

from cluster.errors import FleetError
from cluster.fleet import due, parallel, status
from cluster.fleet.remote import RefusedError, RemoteBox
from cluster.fleet.ssh import HostError
from cluster.fleet.status import HostStatus
from cluster.node import stop_program

_STOPPING_S = 60.0
"""The time in which a stop command takes the box away, or tells that it failed."""

_POLL_S = 0.5
_GONE_S = 60.0
"""The silence by which a box is gone: a link that is cut for half a minute answers again sooner."""

_OVER = "its search is over and its results are here"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RentEnd:
    """The end of a box's rent in words.

    With `is_asked` the box took the order. With `ends` it has answered no more since. With
    `may_pass` it did not take the order now, and may the next time.
    """

    is_asked: bool
    ends: bool
    text: str
    may_pass: bool = False


class Rents:
    """The rents of boxes, each of which is to end once its search is over."""

    def __init__(self, patience_s: float) -> None:
        self.ended: dict[str, HostStatus] = {}
        """The last statuses of boxes that were asked to end their rent, by name."""
        self._said: set[str] = set()
        self._told: set[str] = set()
        self._patience_s = patience_s
        self._failing_since: dict[str, float] = {}

    @property
    def has_to_ask_again(self) -> bool:
        """Tell whether an order failed of what may pass, and has not failed for too long."""
        now = time.monotonic()
        return any(now - since < self._patience_s for since in self._failing_since.values())

    def end_due(
        self,
        boxes: Sequence[RemoteBox],
        seen: Sequence[HostStatus],
        *,
        is_last: bool = False,
        is_whole: bool = True,
    ) -> list[str]:
        """End the rents that are due, as `due.is_due` says; return what is new of them.

        A box that does not take the order is asked again the next time.
        """
        last = {
            one.host.name: one
            for one in seen
            if due.is_due(one, seen, is_last=is_last, is_whole=is_whole)
        }
        asked = [box for box in boxes if box.host.name in last.keys() - self.ended.keys()]
        ends = parallel.each(asked, lambda box: end(box, last[box.host.name])) if asked else []
        failing: dict[str, float] = {}
        for box, one in zip(asked, ends, strict=True):
            name = box.host.name
            if one.is_asked:
                self.ended[name] = dataclasses.replace(last[name], ends_rent=one.ends)
            if one.may_pass:
                failing[name] = self._failing_since.get(name, time.monotonic())
        self._failing_since = failing
        new = [one.text for one in ends if one.text not in self._said]
        self._said.update(new)
        self._told.update(box.host.name for box in asked)
        return new

    def left(self, seen: Sequence[HostStatus]) -> list[str]:
        """Return a line for each box that answers and was never due to end its rent."""
        return [
            f"{one.host.name}  its rent goes on: {due.why_not_due(one)}"
            for one in seen
            if one.problem is None and one.host.name not in self._told
        ]


def require_stop_commands(boxes: Sequence[RemoteBox]) -> None:
    """Require that all boxes can end their rent.

    Raises:
        FleetError: naming those that cannot.
    """
    without = [box.host.name for box in boxes if not box.host.stop_command]
    if without:
        raise FleetError(
            f"--end-rent: the hosts file has no stop_command for {', '.join(without)}, which a box "
            "runs to end its rent. See cluster/hosts.example.toml."
        )


def end(box: RemoteBox, last: HostStatus) -> RentEnd:
    """Have a box end its rent now, by its dead-man, which goes on until the box stops.

    A box that holds what no pull brings home refuses, and so does one whose job has another end
    than by its `last` status: nobody has brought that home.
    """
    request = {"stop_command": list(box.host.stop_command), "home": _end_of(last)}
    try:
        box.ask("end_rent", request)
    except (HostError, OSError) as error:
        name = box.host.name
        reason = str(error).removeprefix(f"{name}: ")
        return RentEnd(
            is_asked=False,
            ends=False,
            text=f"{name}  its rent goes on: {reason}",
            may_pass=not isinstance(error, RefusedError) or _goes_on(box, last),
        )
    return _watched(box)


def _goes_on(box: RemoteBox, last: HostStatus) -> bool:
    """Return whether a box may run a job, or has run one, since its last status."""
    seen = status.read(box)
    return seen.is_running or seen.is_silent or _end_of(seen) != _end_of(last)


def _end_of(seen: HostStatus) -> list[str | float | None]:
    """Return what tells the end of a box's job from that of any other, as JSON has it."""
    if (job := seen.job) is None:
        return [None, None]
    return [job.name, None if job.exit is None else job.exit.ended_at]


def _watched(box: RemoteBox) -> RentEnd:
    """Return what becomes of a box that was asked: only one that stays silent has ended."""
    name, give_up_at = box.host.name, time.monotonic() + _STOPPING_S
    code, silent_since = None, None
    # 0 is no proof; a silence is waited for to its end.
    while not code and (silent_since is not None or time.monotonic() < give_up_at):
        seen = status.read(box)
        if seen.reachable:
            silent_since = None
            deadman = None if seen.answer is None else seen.answer.deadman
            fired = None if deadman is None else deadman.fired
            code = None if fired is None else fired.stop_exit_code
        else:
            now = time.monotonic()
            silent_since = silent_since or now
            if now - silent_since >= _GONE_S:
                text = f"{name}  {_OVER}: it answers no more."
                return RentEnd(is_asked=True, ends=True, text=text)
        if not code:
            time.sleep(_POLL_S)
    what = {None: "has not ended yet", 0: "ran, and the box still answers"}.get(
        code, f"fails with exit code {code}"
    )
    command = shlex.join(stop_program.shown(box.host.stop_command))
    text = f"{name}  STILL PAID: its stop command {what}. It is repeated: {command}"
    return RentEnd(is_asked=True, ends=False, text=text)
