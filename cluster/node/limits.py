"""Limits on threads and memory: the room that this process has left, and the limit that binds.

`ulimit -u` says little: root is exempt from it, and on a rented GPU the container's pids cgroup is
what binds. So every limit that can make `clone()` fail is read, each with its use and its room.
Everything is read from /proc and the cgroup mounts it names, hence testable over a fake tree.
"""

import dataclasses
import errno
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cluster.node import cgroups
from cluster.node.cgroups import parse_int, read_text
from cluster.node.cores import cores_first
from cluster.node.quota import quota_cores

_PROC = Path("/proc")
_MAPS_PER_THREAD = 2  # the stack and its guard page
# linux/capability.h; either one lifts RLIMIT_NPROC (kernel/fork.c, copy_process).
_CAP_SYS_ADMIN, _CAP_SYS_RESOURCE = 21, 24


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ThreadLimit:
    """One limit on threads. `limit` and `use` are in the kernel's own unit, `room` in threads.

    `limit` is `None` where there is none, `use` where it cannot be seen; `room` is `None` if either
    is, or if the limit does not apply to this process, which `note` then says. `remedy` is the
    command that raises it, with `{limit}` where the new value goes.
    """

    name: str
    limit: int | None
    use: int | None
    room: int | None
    source: str
    note: str
    remedy: str
    units_per_thread: int = 1

    def smallest_limit(self, needed_threads: int) -> int:
        """Return the value of this limit that leaves room for `needed_threads`.

        Raises:
            ValueError: if the limit or its use is unknown.
        """
        if self.use is None:
            raise ValueError(f"the use of {self.name} cannot be seen.")
        return self.use + needed_threads * self.units_per_thread


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ThreadLimits:
    """Every limit on threads; `binding` has the smallest room, `None` if nothing limits."""

    limits: tuple[ThreadLimit, ...]
    binding: ThreadLimit | None
    room: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimit:
    """Host memory this process may still take: the tightest of the kernel's and its cgroups'."""

    total_bytes: int
    available_bytes: int
    source: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cpus:
    """CPUs: those this process may run on, the cgroup's quota in cores, and those of the host.

    `allowed` has one CPU of each core first, then their hyper-threads; `cores` has those of each.
    A container with a quota of 7.65 cores sees, and sizes its thread pools by, all 96 of its host.
    """

    allowed: tuple[int, ...]
    quota_cores: float | None
    online: int
    cores: tuple[tuple[int, ...], ...] = ()

    @property
    def usable(self) -> int:
        """Number of whole CPUs that can work at once."""
        quota = math.inf if self.quota_cores is None else self.quota_cores
        return max(1, math.floor(min(len(self.allowed), quota)))


def threads(*, proc: Path = _PROC) -> ThreadLimits:
    """Read every limit on the threads of this process."""
    limits = (_nproc(proc), *_kernel(proc), *_pids_cgroups(proc), _maps(proc))
    binding = min(
        (limit for limit in limits if limit.room is not None),
        key=lambda limit: limit.room or 0,
        default=None,
    )
    return ThreadLimits(limits=limits, binding=binding, room=binding.room if binding else None)


def thread_limit_events(*, proc: Path = _PROC) -> int:
    """Count the clones that a pids cgroup of this process has refused so far.

    The difference across a child's life tells of exhaustion that the child itself kept quiet about
    (torch's inter-op pool hangs without a word). Ancestors repeat v2's events: compare, never sum
    over machines.
    """
    events = (cgroup.read("pids.events") or "" for cgroup in cgroups.ancestry("pids", proc=proc))
    return sum(_field(text, "max") or 0 for text in events)


def host_memory(*, proc: Path = _PROC) -> MemoryLimit:
    """Return the tightest limit on host memory.

    A cgroup's use counts the page cache; its inactive part is given up before anything is killed.

    Raises:
        OSError: if /proc/meminfo does not say what the machine has.
    """
    meminfo = proc / "meminfo"
    text = read_text(meminfo) or ""
    total_kib, available_kib = _field(text, "MemTotal:"), _field(text, "MemAvailable:")
    if total_kib is None or available_kib is None:
        raise OSError(f"{meminfo} lacks MemTotal or MemAvailable.")
    machine = MemoryLimit(
        total_bytes=total_kib * 1024, available_bytes=available_kib * 1024, source=str(meminfo)
    )
    return min((machine, *_memory_cgroups(proc)), key=lambda limit: limit.available_bytes)


def cpus(
    *, proc: Path = _PROC, sys: Path = Path("/sys"), allowed: Iterable[int] | None = None
) -> Cpus:
    """Return the CPUs this process may use; `allowed` defaults to its affinity."""
    numbers = sorted(os.sched_getaffinity(0) if allowed is None else set(allowed))
    cores = _cores(numbers, sys)
    quotas = (quota_cores(cgroup) for cgroup in cgroups.ancestry("cpu", proc=proc))
    return Cpus(
        allowed=cores_first(numbers, cores),
        quota_cores=min(filter(None, quotas), default=None),
        online=os.cpu_count() or len(numbers),
        cores=cores,
    )


def may_choose_cpus() -> bool:
    """Return whether a process may bind itself to CPUs; seccomp filters of containers refuse it."""
    try:
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise
        return False
    return True


def _nproc(proc: Path) -> ThreadLimit:
    status = read_text(proc / "self/status") or ""
    uid = _field(status, "Uid:")
    match = re.search(r"^Max processes +(\S+)", read_text(proc / "self/limits") or "", re.MULTILINE)
    limit = parse_int(match[1]) if match else None
    use = None if uid is None else _threads_of(uid, proc)
    exempt = _exempt_from_nproc(status, uid, proc)
    return ThreadLimit(
        name="RLIMIT_NPROC",
        limit=limit,
        use=use,
        room=None if exempt else _room(limit, use),
        source=str(proc / "self/limits"),
        note="does not bind this process: root is exempt"
        if exempt
        else "all threads of this user on the host; those in other containers cannot be seen",
        remedy="ulimit -u {limit}",
    )


def _exempt_from_nproc(status: str, uid: int | None, proc: Path) -> bool:
    """Return whether RLIMIT_NPROC spares this process: as root, or by a capability.

    Capabilities count in the first user namespace only: a rootless container has none.
    """
    if (read_text(proc / "self/uid_map") or "").split() != ["0", "0", "4294967295"]:
        return False
    match = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    capabilities = int(match[1], 16) if match else 0
    return uid == 0 or bool(capabilities & (1 << _CAP_SYS_ADMIN | 1 << _CAP_SYS_RESOURCE))


def _threads_of(uid: int, proc: Path) -> int:
    statuses = (read_text(path / "status") or "" for path in proc.iterdir() if path.name.isdigit())
    return sum(_field(text, "Threads:") or 0 for text in statuses if _field(text, "Uid:") == uid)


def _kernel(proc: Path) -> Iterator[ThreadLimit]:
    match = re.search(r"\d+/(\d+)", read_text(proc / "loadavg") or "")
    use = int(match[1]) if match else None
    for name, note in (
        ("threads-max", "every thread on this kernel"),
        ("pid_max", "every thread takes a process id; per pid namespace since Linux 6.14"),
    ):
        source = proc / "sys/kernel" / name
        limit = parse_int(read_text(source))
        yield ThreadLimit(
            name=f"kernel.{name}",
            limit=limit,
            use=use,
            room=_room(limit, use),
            source=str(source),
            note=note,
            remedy=f"sysctl -w kernel.{name}={{limit}} on the host",
        )


def _pids_cgroups(proc: Path) -> Iterator[ThreadLimit]:
    for cgroup in cgroups.ancestry("pids", proc=proc):
        if cgroup.read("pids.max") is None:
            continue  # the root of a hierarchy has no limit, nor has one without this controller
        limit, use = cgroup.read_int("pids.max"), cgroup.read_int("pids.current")
        yield ThreadLimit(
            name=f"pids cgroup {cgroup.path}",
            limit=limit,
            use=use,
            room=_room(limit, use),
            source=str(cgroup.path / "pids.max"),
            note=f"every thread of this container or service (cgroup v{cgroup.version})",
            remedy="a container with --pids-limit {limit} or more (TasksMax= of a systemd unit)",
        )


def _maps(proc: Path) -> ThreadLimit:
    source = proc / "sys/vm/max_map_count"
    limit = parse_int(read_text(source))
    maps = read_text(proc / "self/maps")
    use = None if maps is None else len(maps.splitlines())
    room = _room(limit, use)
    return ThreadLimit(
        name="vm.max_map_count",
        limit=limit,
        use=use,
        room=None if room is None else room // _MAPS_PER_THREAD,
        source=str(source),
        note="memory maps of one process; a thread takes two, a compilation hundreds",
        remedy="sysctl -w vm.max_map_count={limit} on the host",
        units_per_thread=_MAPS_PER_THREAD,
    )


def _memory_cgroups(proc: Path) -> Iterator[MemoryLimit]:
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }
    for cgroup in cgroups.ancestry("memory", proc=proc):
        limit_name, use_name, reclaimable_name = names[cgroup.version]
        limit_bytes, use_bytes = cgroup.read_int(limit_name), cgroup.read_int(use_name)
        if limit_bytes is None or use_bytes is None:
            continue
        reclaimable_bytes = _field(cgroup.read("memory.stat") or "", reclaimable_name) or 0
        yield MemoryLimit(
            total_bytes=limit_bytes,
            available_bytes=max(0, limit_bytes - max(0, use_bytes - reclaimable_bytes)),
            source=str(cgroup.path / limit_name),
        )


def _cores(numbers: Iterable[int], sys: Path) -> tuple[tuple[int, ...], ...]:
    cores: dict[str, list[int]] = {}
    for number in numbers:
        topology = sys / f"devices/system/cpu/cpu{number}/topology"
        core = read_text(topology / "thread_siblings_list") or f"{number}"
        cores.setdefault(core, []).append(number)
    return tuple(map(tuple, cores.values()))


def _room(limit: int | None, use: int | None) -> int | None:
    return None if limit is None or use is None else max(0, limit - use)


def _field(text: str, name: str) -> int | None:
    """Return the number after `name` at the start of a line."""
    match = re.search(rf"^{re.escape(name)}\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else None
