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
        self._cgroups = [one for one in cgroups.ancestry("cpu", proc=proc) if quota_cores(one)]

    def read(self) -> tuple[QuotaUse, ...]:
        """Return the use of each up to now, innermost first; those that do not tell are left out.

        It costs one small file for each, or two.
        """
        return tuple(use for one in self._cgroups if (use := _use(one)) is not None)


def quota_cores(cgroup: Cgroup) -> float | None:
    """Return the quota of a cgroup in cores, `None` where it has none."""
    quota, period = cgroup.read("cpu.cfs_quota_us"), cgroup.read("cpu.cfs_period_us")
    if cgroup.version == 2:
        quota, _, period = (cgroup.read("cpu.max") or "").partition(" ")
    quota_us, period_us = parse_int(quota), parse_int(period)
    if quota_us is None or not period_us or quota_us <= 0:  # v1 says -1 for no quota
        return None
    return quota_us / period_us


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
