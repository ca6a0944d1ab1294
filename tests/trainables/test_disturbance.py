"""Other programs on a trial's CPUs: by counts that a test gives, and by a real busy neighbour."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cluster.node.quota import Quotas, QuotaUse
from trainables import disturbance
from trainables.disturbance import (
    CpuTimes,
    Neighbours,
    Restarts,
    SearchProcesses,
    cpu_times,
    neighbours_on,
)

BUSY = "import time\nwhile True: pass"


def counted(*moments: tuple[float, ...] | None) -> Iterator[CpuTimes | None]:
    """Times as (clock, busy, own) or (clock, busy, own, search), one per look."""
    for moment in moments:
        if moment is None:
            yield None
        else:
            at_s, busy_s, own_s, *search_s = moment
            yield CpuTimes(at_s=at_s, busy_s=busy_s, own_s=own_s, search_s=sum(search_s))


@pytest.mark.parametrize(
    ("others_s", "disturbed"),
    [(0.0, False), (0.04, False), (0.06, False), (0.3, True), (1.0, True), (-0.02, False)],
)
def test_more_than_a_quiet_system_takes_is_a_disturbance(others_s: float, disturbed: bool) -> None:
    moments = counted((10.0, 100.0, 5.0), (10.5, 100.9 + others_s, 5.9))
    neighbours = Neighbours(2, lambda: next(moments))
    assert neighbours.disturbed() is disturbed
    assert neighbours.others_cpus == pytest.approx(max(0.0, 2 * others_s))


@pytest.mark.parametrize(
    ("num_cpus", "own_s", "others_s", "disturbed"),
    [
        (16, 1.2, 0.0, (False, False)),
        (16, 1.2, 4.0, (False, True)),  # others use CPUs that it leaves idle
        (16, 1.2, 13.0, (False, True)),
        (16, 1.2, 14.0, (True, True)),
        (16, 7.0, 3.0, (True, True)),  # in a burst it may want them all
        (2, 0.9, 0.3, (True, True)),
    ],
)
def test_training_on_a_gpu_is_disturbed_where_others_leave_it_no_room(
    num_cpus: int, own_s: float, others_s: float, disturbed: tuple[bool, bool]
) -> None:
    def is_disturbed(on_gpu: bool) -> bool:
        moments = counted((0.0, 0.0, 0.0), (1.0, own_s + others_s, own_s))
        return Neighbours(num_cpus, lambda: next(moments), on_gpu=on_gpu).disturbed()

    assert (is_disturbed(on_gpu=True), is_disturbed(on_gpu=False)) == disturbed


def test_what_the_trial_took_itself_is_counted_from_its_first_block() -> None:
    moments = counted((0.0, 0.0, 0.0), (10.0, 4.0, 4.0), (20.0, 8.0, 8.0), (21.0, 9.8, 9.8))
    neighbours = Neighbours(2, lambda: next(moments))
    assert neighbours.own_cpus is None
    neighbours.disturbed()
    assert neighbours.own_cpus == pytest.approx(0.4)
    neighbours.forget()
    assert neighbours.own_cpus is None
    neighbours.disturbed()
    assert neighbours.own_cpus == pytest.approx(1.8)


@pytest.mark.parametrize(
    ("search_s", "others_s", "disturbed"),
    [
        (0.15, 0.0, False),  # what Ray and the search were seen to take
        (0.15, 0.08, False),
        (0.0, 0.15, True),
        (0.15, 0.15, True),
        (0.5, 0.0, True),  # a search that thinks is one, too
        (0.15, -0.2, False),
    ],
)
def test_what_ray_and_the_search_take_is_no_neighbours(
    search_s: float, others_s: float, disturbed: bool
) -> None:
    busy_s = 1.8 + search_s + others_s
    moments = counted((0.0, 0.0, 0.0, 3.0), (1.0, busy_s, 1.8, 3.0 + search_s))
    neighbours = Neighbours(2, lambda: next(moments))
    assert neighbours.disturbed() is disturbed
    assert neighbours.others_cpus == pytest.approx(max(0.0, others_s))


@pytest.mark.parametrize(
    ("held_back_s", "others_s", "search_s", "disturbed"),
    [
        (0.2, 1.0, 0.0, True),  # others under the quota compute, on CPUs of their own
        (0.2, 0.0, 0.0, False),  # it uses the quota up alone
        (0.2, 0.2, 0.0, False),
        (0.2, 0.0, 1.0, False),  # the driver thinks on other CPUs
        (0.03, 1.0, 0.0, False),  # nothing to speak of, on two CPUs
        (0.05, 1.0, 0.0, True),
    ],
)
def test_a_quota_that_others_use_up_disturbs_from_whatever_cpus(
    held_back_s: float, others_s: float, search_s: float, disturbed: bool
) -> None:
    """A second in which the trial computes for 1.8 s, and its own two CPUs look idle beside it."""
    start = CpuTimes(
        at_s=0.0,
        busy_s=50.0,
        own_s=5.0,
        search_s=0.0,
        search_everywhere_s=3.0,
        quotas=(QuotaUse(used_s=70.0, held_back_s=9.0),),
    )
    used_s = 70.0 + 1.8 + others_s + search_s
    end = CpuTimes(
        at_s=1.0,
        busy_s=51.8,
        own_s=6.8,
        search_s=0.0,
        search_everywhere_s=3.0 + search_s,
        quotas=(QuotaUse(used_s=used_s, held_back_s=9.0 + held_back_s),),
    )
    moments = iter([start, end])
    assert Neighbours(2, lambda: next(moments)).disturbed() is disturbed


def test_a_process_that_ended_unseen_is_no_neighbour() -> None:
    """What it computed is no longer in the trial's own time, and still in that of the CPUs."""
    moments = counted((0.0, 0.0, 9.0), (1.0, 2.0, 5.0), (2.0, 4.0, 7.0))
    neighbours = Neighbours(2, lambda: next(moments))
    assert neighbours.disturbed() is False
    assert neighbours.others_cpus is None, "nothing is known of that stretch"
    assert neighbours.disturbed() is False
    assert neighbours.others_cpus == 0.0


def test_each_stretch_is_judged_by_itself_and_the_mean_is_over_all() -> None:
    moments = counted((0.0, 0.0, 0.0), (1.0, 2.0, 1.0), (2.0, 3.0, 2.0), (3.0, 4.0, 3.0))
    neighbours = Neighbours(2, lambda: next(moments))
    assert [neighbours.disturbed() for _ in range(3)] == [True, False, False]
    assert neighbours.others_cpus == pytest.approx(1 / 3)


def test_where_nothing_is_counted_nothing_is_disturbed() -> None:
    moments = counted(None, None)
    neighbours = Neighbours(2, lambda: next(moments))
    assert neighbours.disturbed() is False
    assert neighbours.others_cpus is None


def test_of_a_trial_that_is_not_bound_to_its_cpus_nothing_is_known(bound_to: int) -> None:
    search = SearchProcesses([])
    assert cpu_times(frozenset([bound_to]), search, Quotas()) is not None
    assert cpu_times(frozenset([bound_to, bound_to + 1]), search, Quotas()) is not None
    assert cpu_times(frozenset([bound_to + 1]), search, Quotas()) is None


@pytest.fixture
def bound_to() -> Iterator[int]:
    """Bind this process to one CPU, as a trial is; return it."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(allowed)])
    yield min(allowed)
    os.sched_setaffinity(0, allowed)


def own_s() -> float:
    found = cpu_times(frozenset(os.sched_getaffinity(0)), SearchProcesses([]), Quotas())
    assert found is not None
    return found.own_s


def test_work_of_this_process_and_of_its_children_is_its_own() -> None:
    before = own_s()
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        deadline = time.monotonic() + 60
        while own_s() - before < 0.3 and time.monotonic() < deadline:
            time.sleep(0.05)
        living = own_s() - before
        child.kill()
    assert living >= 0.3
    assert own_s() - before >= 0.3  # it has ended, and what it computed stays counted


def test_a_real_neighbour_on_the_cpu_is_seen(bound_to: int) -> None:
    cpu = bound_to
    neighbours = neighbours_on([cpu])
    # Its parent is a shell that ends: it is nobody's child here.
    command = f"taskset -c {cpu} {sys.executable} -c '{BUSY}' >/dev/null 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True).stdout)
    try:
        deadline = time.monotonic() + 60
        while not neighbours.disturbed() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert time.monotonic() < deadline
        others = neighbours.others_cpus
        assert others is not None
        assert others > 0.1
    finally:
        os.kill(pid, 9)


@pytest.fixture
def busy_process() -> Iterator[tuple[int, int]]:
    """Start a process that computes on one CPU; return its pid and that CPU."""
    cpu = min(os.sched_getaffinity(0))
    with subprocess.Popen(["taskset", "-c", f"{cpu}", sys.executable, "-c", BUSY]) as process:
        yield process.pid, cpu
        process.kill()


def test_processes_of_the_search_are_counted_on_the_trials_cpus_alone(
    busy_process: tuple[int, int],
) -> None:
    pid, cpu = busy_process
    here, elsewhere = SearchProcesses([pid]), SearchProcesses([pid])
    assert here.spent_s(frozenset([cpu])) == 0.0  # before the first look nothing is known
    elsewhere.spent_s(frozenset([cpu + 1]))
    deadline = time.monotonic() + 60
    while here.spent_s(frozenset([cpu])) < 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert elsewhere.spent_s(frozenset([cpu + 1])) == 0.0
    os.kill(pid, 9)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    spent_s = here.spent_s(frozenset([cpu]))
    assert here.spent_s(frozenset([cpu])) == spent_s >= 0.3  # what it took is not forgotten


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[int, str]]:
    """Stand-ins for the processes of a machine: parent and command by pid."""
    table: dict[int, tuple[int, str]] = {}

    def ancestors(pid: int) -> Iterator[int]:
        while pid in table:
            yield pid
            pid = table[pid][0]

    monkeypatch.setattr(disturbance, "_ancestors", ancestors)
    monkeypatch.setattr(
        disturbance,
        "_children",
        lambda pid: [p for p, (parent, _) in table.items() if parent == pid],
    )
    monkeypatch.setattr(
        disturbance, "_command", lambda pid: table[pid][1].replace(" ", "\0").encode()
    )
    return table


@pytest.mark.parametrize(
    ("driver", "own"),
    [
        ((700, "python -m tune.jax_phase12"), {5, 6, 7, 8, 9, 10, 11}),
        ((1, "/sbin/init"), {5, 6, 7, 8, 9, 11}),  # Ray was started by itself, and is an orphan
    ],
)
def test_ray_and_the_driver_are_the_searchs_and_other_trials_are_not(
    driver: tuple[int, str],
    own: set[int],
    processes: dict[int, tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes |= {
        11: driver,
        10: (11, driver[1] if driver[0] != 1 else "/usr/bin/editor"),  # its watchdog
        9: (11, "/venv/ray/core/src/ray/gcs/gcs_server --port=1"),
        8: (11, "/venv/ray/core/src/ray/raylet/raylet --node"),
        7: (8, "python /venv/ray/dashboard/agent.py"),  # later Rays call it ray::DashboardAgent
        6: (8, "ray::_Trial.train()"),
        5: (6, "python launch.py"),  # this trial's parent
        3: (8, "ray::_Trial.train()"),  # another trial
        2: (3, "python launch.py"),
        700: (0, "bash"),
        12: (700, "python train.py /data/ray/"),  # a neighbour
    }
    monkeypatch.setattr(os, "getppid", lambda: 5)
    assert set(disturbance._of_the_search()) == own


def test_without_ray_the_parent_alone_is_the_searchs(
    processes: dict[int, tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes |= {5: (6, "python -m tune.profile"), 6: (0, "bash --raylet-name=/tmp/raylet")}
    monkeypatch.setattr(os, "getppid", lambda: 5)
    assert set(disturbance._of_the_search()) == {5}


def test_a_process_that_lives_on_is_no_restart_and_one_in_each_block_is() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:
        restarts = Restarts()
        restarts.look()
        assert restarts.num_blocks == 0
        for _ in range(3):  # each starts, computes and ends within a block
            subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
            restarts.look()
        assert restarts.num_blocks == 3
        with subprocess.Popen(["sleep", "600"]) as another:
            restarts.look()
            assert restarts.num_blocks == 4
            restarts.look()
            assert restarts.num_blocks == 4
            another.kill()
        child.kill()
