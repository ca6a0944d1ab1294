"""`submit --split`: boxes of one class explore parts of one search; then one of them finishes it.

Each box keeps its part in its job's request, so any laptop can go on from the boxes' answers and
the pulled files. Pure.
"""

import dataclasses
from collections.abc import Collection, Sequence

from cluster.fleet.hosts import Host
from cluster.fleet.part import Part, SharedSearch
from cluster.fleet.ssh import HostError
from cluster.fleet.status import HostStatus
from cluster.node.deadman import STOPPING

_ABLE = ("part done", "nothing feasible", "failed", "interrupted")  # these boxes answer and idle

_AGAIN = "`up --max-hours HOURS`, then `submit --resume`"  # without hours a fired dead-man goes on


def part_of(host: Host, seen: Sequence[HostStatus], *, name: str, submission: str | None) -> Part:
    """Return a box's part of a new search: the boxes of its class that can start are numbered.

    All parts of a search are of one `submission`.

    Raises:
        HostError: if this box cannot start a job, with the reason.
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
        submission=submission,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FinalsVerdict:
    """Boxes that may run the finals now, the best first, or the problem that prevents them.

    Both are empty while there is something to wait for, and once the finals have started.
    """

    boxes: tuple[HostStatus, ...] = ()
    problem: str | None = None


def searches(seen: Sequence[HostStatus]) -> dict[SharedSearch, list[HostStatus]]:
    """Return the boxes that share a search, by the search."""
    found: dict[SharedSearch, list[HostStatus]] = {}
    for one in seen:
        if one.part is not None:
            found.setdefault(one.part.search, []).append(one)
    return found


def judge(members: Sequence[HostStatus], *, lost: Collection[str], is_whole: bool) -> FinalsVerdict:
    """Judge one search by the boxes that share it.

    `lost` are boxes that were given up: the finals explore what is missing of their parts.
    `is_whole` says that no other box can have a part.
    """
    here = [one for one in members if one.host.name not in lost]
    given_up = [one for one in members if one.host.name in lost and one.is_running]
    has_finals = any(_part(one).number is None for one in members if one not in given_up)
    if has_finals or any(one.is_running or one.is_silent for one in here):
        return FinalsVerdict()
    if any(one.state == "stopped" for one in here):
        return FinalsVerdict(problem="a part was stopped: `submit --resume`, then `watch`")
    absent = absent_parts(members)
    if absent and not is_whole:
        return FinalsVerdict(problem=f"part {min(absent)} is on another box: watch without --only")
    able = [one for one in here if one.state in _ABLE and not _is_spent(one)]
    if not able:
        return FinalsVerdict(problem=f"no box of its class is left: {_AGAIN}")
    # By the part, not by the hosts file: two laptops that watch must choose the same box.
    able.sort(key=lambda one: (_ABLE.index(one.state), _part(one).number or 0))
    return FinalsVerdict(boxes=tuple(able))


def absent_parts(members: Sequence[HostStatus]) -> set[int]:
    """Return the parts of a search that none of these boxes has."""
    known = {_part(one).number for one in members}
    return {*range(1, _part(members[0]).count + 1)} - known


def are_finals_over(members: Sequence[HostStatus]) -> bool:
    """Return whether finals have ended on one of these boxes, however, but not by a person."""
    finals = [one for one in members if _part(one).number is None and one.problem is None]
    return any(one.state not in ("running", "stopped") for one in finals)


def _refusal(one: HostStatus) -> str | None:
    """Return the reason why a box can start no job now, `None` if it can."""
    if one.problem is not None:
        return one.problem.removeprefix(f"{one.host.name}: ")
    if one.machine_class is None:
        return "is not set up: run `up` first."
    if one.job is not None and one.is_running:
        return f"already runs the job {one.job.name}: wait, or end it with `down`."
    return STOPPING if _is_spent(one) else None


def _part(one: HostStatus) -> Part:
    assert one.part is not None  # `searches` has seen to that
    return one.part


def _is_spent(one: HostStatus) -> bool:
    """Return whether its dead-man ends it at this moment."""
    armed = None if one.answer is None else one.answer.deadman
    return armed is not None and armed.is_stopping
