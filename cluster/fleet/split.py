"""`submit --split`: boxes of one class explore parts of one search; then one of them finishes it.

Pure. Whose part is whose lies in the jobs' requests on the boxes, so any laptop can go on from what
the boxes say and from what was pulled.
"""

import dataclasses
from collections.abc import Collection, Sequence

from cluster.fleet.hosts import Host
from cluster.fleet.part import Part
from cluster.fleet.ssh import HostError
from cluster.fleet.status import HostStatus

_ABLE = ("part done", "nothing feasible", "failed", "interrupted")  # these boxes answer and idle


def part_of(host: Host, seen: Sequence[HostStatus], *, name: str) -> Part:
    """A box's part of a new search: the boxes of its class that can start one are numbered.

    Raises:
        HostError: if this box cannot, and why.
    """
    [own] = [one for one in seen if one.host == host]
    reason = _refusal(own)
    if reason is not None:
        raise HostError(host, reason)
    alike = [one for one in seen if one.machine_class == own.machine_class and not _refusal(one)]
    return Part(
        name=name,
        machine_class=str(own.machine_class),
        number=alike.index(own) + 1,
        count=len(alike),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which boxes may finish a search now, the best first; or why it will not be finished.

    Neither while there is something to wait for, and when the finals are there.
    """

    boxes: tuple[HostStatus, ...] = ()
    problem: str | None = None


def searches(seen: Sequence[HostStatus]) -> dict[tuple[str, str], list[HostStatus]]:
    """The boxes that share a search, by the search."""
    found: dict[tuple[str, str], list[HostStatus]] = {}
    for one in seen:
        if one.part is not None:
            found.setdefault(one.part.search, []).append(one)
    return found


def judge(members: Sequence[HostStatus], *, lost: Collection[str], is_whole: bool) -> Verdict:
    """Judge one search by the boxes that share it.

    `lost` are boxes that were given up: nothing more comes of their parts, the finals explore the
    rest. `is_whole` says that there are no boxes besides that may have a part.
    """
    here = [one for one in members if one.host.name not in lost]
    finals = [one for one in members if _part(one).number is None]
    if any(one.host.name not in lost or not one.is_running for one in finals):
        return Verdict()
    if any(one.is_running or not one.reachable for one in here):
        return Verdict()
    if any(one.state == "stopped" for one in here):
        return Verdict(problem="a part was stopped: `submit --resume`, then `watch`")
    absent = {*range(1, _part(members[0]).count + 1)} - {_part(one).number for one in members}
    if absent and not is_whole:
        return Verdict(problem=f"part {min(absent)} is on another box: watch without --only")
    able = [one for one in here if one.state in _ABLE and not _is_spent(one)]
    if not able:
        return Verdict(problem="no box of its class is left: `up`, then `submit --resume`")
    able.sort(key=lambda one: _ABLE.index(one.state))
    return Verdict(boxes=tuple(able))


def has_profile(one: HostStatus, seen: Sequence[HostStatus]) -> bool:
    """Whether a box's search has ended with profiles, be it here or where it was finished."""
    if one.part is None:
        return one.succeeded
    sharing = searches(seen)[one.part.search]
    return any(_part(other).number is None and other.succeeded for other in sharing)


def _refusal(one: HostStatus) -> str | None:
    """Why a box can start nothing now; `None` if it can."""
    if one.problem is not None:
        return one.problem.removeprefix(f"{one.host.name}: ")
    if one.machine_class is None:
        return "is not set up: run `up` first."
    if one.job is not None and one.is_running:
        return f"already runs the job {one.job.name}: wait, or end it with `down`."
    return None


def _part(one: HostStatus) -> Part:
    assert one.part is not None  # `searches` has seen to that
    return one.part


def _is_spent(one: HostStatus) -> bool:
    """Return whether its dead-man has fired: the box may be stopped at any moment."""
    deadman = None if one.answer is None else one.answer.deadman
    return deadman is not None and deadman.fired is not None
