"""Other programs on a trial's CPUs: by counts that a test gives, and by a real busy neighbour."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from trainables.disturbance import CpuTimes, Neighbours, Restarts, cpu_times

BUSY = "import time\nwhile True: pass"


def counted(*moments: tuple[float, float, float] | None) -> Iterator[CpuTimes | None]:
    """Times as (clock, busy, own), one per look."""
    for moment in moments:
        if moment is None:
            yield None
        else:
            at_s, busy_s, own_s = moment
            yield CpuTimes(at_s=at_s, busy_s=busy_s, own_s=own_s)


@pytest.mark.parametrize(
    ("others_s", "disturbed"),
    [(0.0, False), (0.04, False), (0.06, False), (0.3, True), (1.0, True), (-0.02, False)],
)
def test_more_than_a_quiet_system_takes_is_a_disturbance(others_s: float, disturbed: bool) -> None:
    moments = counted((10.0, 100.0, 5.0), (10.5, 100.9 + others_s, 5.9))
    neighbours = Neighbours(2, lambda: next(moments))
    assert neighbours.disturbed() is disturbed
    assert neighbours.others_cpus == pytest.approx(max(0.0, 2 * others_s))


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


def own_s() -> float:
    found = cpu_times([0])
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


def test_a_real_neighbour_on_the_cpu_is_seen() -> None:
    cpu = min(os.sched_getaffinity(0))
    neighbours = Neighbours(1, lambda: cpu_times([cpu]))
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
