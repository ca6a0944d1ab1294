"""Limits, read off fake trees of /proc and of cgroup mounts."""

import dataclasses
import os
from pathlib import Path

import pytest

from cluster.node import cgroups, limits

ROOT_STATUS = "Name:\tpython\nUid:\t0\t0\t0\t0\nThreads:\t3\nCapEff:\t000001ffffffffff\n"
USER_STATUS = (
    "Name:\tpython\nUid:\t1000\t1000\t1000\t1000\nThreads:\t3\nCapEff:\t0000000000000000\n"
)
FIRST_USER_NAMESPACE = "         0          0 4294967295\n"
ROOTLESS = "         0       1000          1\n"


@dataclasses.dataclass(frozen=True)
class Host:
    """A machine whose kernel files are ours to write."""

    root: Path

    @property
    def proc(self) -> Path:
        return self.root / "proc"

    def write(self, name: str, text: str | int) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def mount(self, *lines: str) -> None:
        """Each line: VERSION CONTROLLERS ROOT, mounted at cgroup/CONTROLLERS."""
        mounts = []
        for line in lines:
            version, controllers, root = line.split()
            point = self.root / "cgroup" / controllers
            kind = "cgroup2 cgroup2 rw" if version == "2" else f"cgroup cgroup rw,{controllers}"
            mounts.append(f"30 25 0:26 {root} {point} rw,nosuid shared:9 - {kind}")
        self.write("proc/self/mountinfo", "\n".join(mounts))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A workstation without cgroups: 64 GiB, room for thousands of threads."""
    host = Host(tmp_path)
    host.write("proc/self/status", USER_STATUS)
    host.write("proc/self/uid_map", FIRST_USER_NAMESPACE)
    host.write("proc/self/limits", "Max processes             9000                 9000 processes")
    host.write("proc/self/maps", "00400000-00401000 r-xp\n" * 30)
    host.write("proc/self/cgroup", "0::/")
    host.write("proc/self/mountinfo", "")
    host.write("proc/10/status", USER_STATUS)
    host.write("proc/11/status", ROOT_STATUS)
    host.write("proc/loadavg", "0.06 0.05 0.02 1/84 4449")
    host.write("proc/sys/kernel/threads-max", 192730)
    host.write("proc/sys/kernel/pid_max", 32768)
    host.write("proc/sys/vm/max_map_count", 65530)
    host.write("proc/meminfo", "MemTotal:       67108864 kB\nMemAvailable:   60000000 kB")
    return host


def by_name(found: limits.ThreadLimits) -> dict[str, limits.ThreadLimit]:
    return {limit.name: limit for limit in found.limits}


def test_each_limit_has_its_value_its_use_and_its_room(host: Host) -> None:
    found = by_name(limits.threads(proc=host.proc))
    figures = {name: (limit.limit, limit.use, limit.room) for name, limit in found.items()}
    assert figures == {
        "RLIMIT_NPROC": (9000, 3, 8997),
        "kernel.threads-max": (192730, 84, 192646),
        "kernel.pid_max": (32768, 84, 32684),
        "vm.max_map_count": (65530, 30, 32750),
    }


@pytest.mark.parametrize(
    ("status", "uid_map", "is_exempt"),
    [
        (ROOT_STATUS, FIRST_USER_NAMESPACE, True),
        (ROOT_STATUS.replace("1ffffffffff", "00000000000"), FIRST_USER_NAMESPACE, True),
        (USER_STATUS, FIRST_USER_NAMESPACE, False),
        (USER_STATUS.replace("CapEff:\t0000000000", "CapEff:\t0000000001"), ROOTLESS, False),
        (USER_STATUS.replace("0000000000000000", "0000000001000000"), FIRST_USER_NAMESPACE, True),
        (USER_STATUS.replace("0000000000000000", "0000000000200000"), FIRST_USER_NAMESPACE, True),
        (ROOT_STATUS, ROOTLESS, False),
    ],
    ids=[
        "root",
        "root without capabilities",
        "user",
        "rootless",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_ADMIN",
        "rootless root",
    ],
)
def test_rlimit_nproc_binds_all_but_the_hosts_root(
    host: Host, status: str, uid_map: str, is_exempt: bool
) -> None:
    host.write("proc/self/status", status)
    host.write("proc/self/uid_map", uid_map)
    limit = by_name(limits.threads(proc=host.proc))["RLIMIT_NPROC"]
    assert (limit.room is None) is is_exempt
    assert ("exempt" in limit.note) is is_exempt


def test_an_unlimited_ulimit_is_no_limit(host: Host) -> None:
    host.write("proc/self/limits", "Max processes             unlimited            unlimited")
    limit = by_name(limits.threads(proc=host.proc))["RLIMIT_NPROC"]
    assert (limit.limit, limit.room) == (None, None)


def pids(host: Host, folder: str, maximum: str | int, current: int) -> None:
    host.write(f"cgroup/{folder}/pids.max", maximum)
    host.write(f"cgroup/{folder}/pids.current", current)


def test_an_ancestor_may_bind_in_v2(host: Host) -> None:
    host.mount("2 unified /")
    host.write("proc/self/cgroup", "0::/user.slice/app.scope")
    pids(host, "unified/user.slice/app.scope", "max", 20)
    pids(host, "unified/user.slice", 500, 120)
    found = limits.threads(proc=host.proc)
    assert found.binding
    assert found.binding.name == f"pids cgroup {host.root}/cgroup/unified/user.slice"
    assert (found.room, found.binding.room) == (380, 380)
    own = by_name(found)[f"pids cgroup {host.root}/cgroup/unified/user.slice/app.scope"]
    assert (own.limit, own.use, own.room) == (None, 20, None)


@pytest.mark.parametrize(
    ("mounted_root", "own_path"),
    [("/", "/"), ("/docker/abc", "/docker/abc"), ("/docker/abc", "/../../docker/abc")],
    ids=["cgroup namespace", "the host's path", "seen from below"],
)
def test_a_containers_own_limit_is_found_in_v1(
    host: Host, mounted_root: str, own_path: str
) -> None:
    host.mount(f"1 cpu,cpuacct {mounted_root}", f"1 pids {mounted_root}")
    host.write("proc/self/cgroup", f"8:pids:{own_path}\n2:cpu,cpuacct:{own_path}\n0::/")
    pids(host, "pids", 1024, 100)
    found = limits.threads(proc=host.proc)
    assert (found.room, found.binding and found.binding.limit) == (924, 1024)


def test_a_mount_point_with_a_space_is_read(tmp_path: Path) -> None:
    host = Host(tmp_path / "a b")
    host.write("proc/self/cgroup", "0::/")
    host.write("cgroup/unified/pids.max", 7)
    point = str(host.root / "cgroup/unified").replace(" ", "\\040")
    host.write("proc/self/mountinfo", f"30 25 0:26 / {point} rw - cgroup2 cgroup2 rw")
    (found,) = cgroups.ancestry("pids", proc=host.proc)
    assert found.read_int("pids.max") == 7


def test_a_use_above_the_limit_leaves_no_room_rather_than_less_than_none(host: Host) -> None:
    host.mount("2 unified /")
    pids(host, "unified", 100, 130)
    assert limits.threads(proc=host.proc).room == 0


def test_nothing_readable_means_nothing_binds(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    found = limits.threads(proc=tmp_path / "proc")
    assert (found.binding, found.room) == (None, None)


def test_the_smallest_limit_counts_what_is_in_use_and_two_maps_a_thread(host: Host) -> None:
    found = by_name(limits.threads(proc=host.proc))
    assert found["kernel.pid_max"].smallest_limit(250) == 84 + 250
    assert found["vm.max_map_count"].smallest_limit(250) == 30 + 500


def test_refused_clones_are_counted_over_own_cgroup_and_ancestors(host: Host) -> None:
    host.mount("2 unified /")
    host.write("proc/self/cgroup", "0::/a")
    host.write("cgroup/unified/a/pids.events", "max 3")
    host.write("cgroup/unified/pids.events", "max 4")
    assert limits.thread_limit_events(proc=host.proc) == 7


GIB = 2**30


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            "2",
            {"memory.max": 8 * GIB, "memory.current": 5 * GIB, "memory.stat": "inactive_file"},
        ),
        (
            "1",
            {
                "memory.limit_in_bytes": 8 * GIB,
                "memory.usage_in_bytes": 5 * GIB,
                "memory.stat": "total_inactive_file",
            },
        ),
    ],
    ids=["v2", "v1"],
)
def test_a_cgroups_reclaimable_cache_counts_as_available(
    host: Host, version: str, files: dict[str, str | int]
) -> None:
    host.mount(f"{version} memory /")
    host.write("proc/self/cgroup", "4:memory:/\n0::/")
    for name, value in files.items():
        host.write(f"cgroup/memory/{name}", value)
    host.write("cgroup/memory/memory.stat", f"active_file 7\n{files['memory.stat']} {2 * GIB}")
    found = limits.host_memory(proc=host.proc)
    assert (found.total_bytes, found.available_bytes) == (8 * GIB, 5 * GIB)
    assert found.source.startswith(f"{host.root}/cgroup/memory/memory.")


def test_v1_says_unlimited_with_a_huge_number_and_the_machine_binds(host: Host) -> None:
    host.mount("1 memory /")
    host.write("proc/self/cgroup", "4:memory:/")
    host.write("cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    host.write("cgroup/memory/memory.usage_in_bytes", GIB)
    found = limits.host_memory(proc=host.proc)
    assert (found.total_bytes, found.source) == (64 * GIB, str(host.proc / "meminfo"))


def test_memory_of_an_unknown_size_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="lacks MemTotal or MemAvailable"):
        limits.host_memory(proc=tmp_path)


@pytest.mark.parametrize(
    ("mount", "files", "quota_cores", "usable"),
    [
        ("2 cpu /", {"cpu.max": "765000 100000"}, 7.65, 7),
        ("2 cpu /", {"cpu.max": "max 100000"}, None, 96),
        ("1 cpu /", {"cpu.cfs_quota_us": 50000, "cpu.cfs_period_us": 100000}, 0.5, 1),
        ("1 cpu /", {"cpu.cfs_quota_us": -1, "cpu.cfs_period_us": 100000}, None, 96),
    ],
    ids=["v2", "v2 unlimited", "v1 under a core", "v1 unlimited"],
)
def test_the_quota_bounds_the_cpus_that_can_work(
    host: Host, mount: str, files: dict[str, str | int], quota_cores: float | None, usable: int
) -> None:
    host.mount(mount)
    host.write("proc/self/cgroup", "1:cpu:/\n0::/")
    for name, value in files.items():
        host.write(f"cgroup/cpu/{name}", value)
    found = limits.cpus(proc=host.proc, sys=host.root / "sys", allowed=range(96))
    assert (found.quota_cores, found.usable, len(found.allowed)) == (quota_cores, usable, 96)


def test_one_cpu_of_each_core_comes_first(host: Host) -> None:
    for cpu in range(8):
        siblings = f"{cpu // 2 * 2}-{cpu // 2 * 2 + 1}"
        host.write(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", siblings)
    found = limits.cpus(proc=host.proc, sys=host.root / "sys", allowed=[7, 6, 5, 2, 1])
    assert found.allowed == (1, 2, 5, 6, 7)
    found = limits.cpus(proc=host.proc, sys=host.root / "sys", allowed=range(8))
    assert found.allowed == (0, 2, 4, 6, 1, 3, 5, 7)


def test_affinity_is_read_when_no_cpus_are_given() -> None:
    assert set(limits.cpus().allowed) == os.sched_getaffinity(0)


def test_this_machine_can_be_read() -> None:
    assert limits.threads().limits
    assert limits.thread_limit_events() >= 0
    assert limits.host_memory().available_bytes > 0
