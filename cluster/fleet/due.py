"""The judgement on when a box's rent is due to end: once nothing needs it any more. Pure."""

from collections.abc import Sequence

from cluster.fleet import split
from cluster.fleet.status import HostStatus


def is_due(
    one: HostStatus, seen: Sequence[HostStatus], *, is_last: bool = False, is_whole: bool = True
) -> bool:
    """Return whether a box's search is over: of a shared one, when its finals have ended.

    With `is_last` nothing goes on any more on any box: finals that have not begun never will, if
    `is_whole` says that no other box has a part. A search that a person ended may be gone on with.
    """
    if one.problem is not None or one.job is None or one.is_running or one.state == "stopped":
        return False
    if one.part is None:
        return True
    sharing = split.searches(seen)[one.part.search]
    if split.are_finals_over(sharing):
        return True
    may_go_on = any(other.state == "stopped" for other in sharing)
    is_all = is_whole or not split.absent_parts(sharing)
    return is_last and is_all and not may_go_on


def why_not_due(one: HostStatus) -> str:
    """Return why the rent of a box that answers goes on when the watch ends."""
    if one.job is None:
        return "it has had no search."
    if one.state == "stopped":
        return "its search was ended by a person, who may go on with it."
    return "the search that it has a part of may be gone on with."
