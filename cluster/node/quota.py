"""CPU quotas of this process's cgroups: what was used of them, and for how long they held back.

A quota is of all programs of a container: one of them may use it up on CPUs of its own, and those
of another then stand still, however idle they look.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from cluster.node import cgroups
from cluster.node.cgroups import Cgroup, parse_int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuotaUse:
    """CPU seconds up to a moment: that all programs under a quota used, and that were held back."""

    used_s: float
    held_back_s: float


class Quotas:
    """The CPU quotas on this process: its own cgroup's, and those of its ancestors."""

    def __init__(self, *, proc: Path = Path("/proc")) -> None:
        self._cgroups = [one for one in cgroups.ancestry("cpu", proc=proc) if _has_quota(one)]

    def read(self) -> tuple[QuotaUse, ...]:
        """Return the use of each up to now, innermost first; those that do not tell are left out.

        It costs one small file for each, or two.
        """
        return tuple(use for one in self._cgroups if (use := _use(one)) is not None)


def _has_quota(cgroup: Cgroup) -> bool:
    if cgroup.version == 2:
        return parse_int((cgroup.read("cpu.max") or "").partition(" ")[0]) is not None
    return (cgroup.read_int("cpu.cfs_quota_us") or -1) > 0  # v1 says -1 for no quota


def _use(cgroup: Cgroup) -> QuotaUse | None:
    found = dict(_figures(cgroup.read("cpu.stat") or ""))
    if cgroup.version == 2:
        used, held_back, per_s = found.get("usage_usec"), found.get("throttled_usec"), 1e6
    else:
        used, held_back, per_s = cgroup.read_int("cpuacct.usage"), found.get("throttled_time"), 1e9
    if used is None or held_back is None:
        return None
    return QuotaUse(used_s=used / per_s, held_back_s=held_back / per_s)


def _figures(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        name, _, figure = line.partition(" ")
        if (number := parse_int(figure)) is not None:
            yield name, number
