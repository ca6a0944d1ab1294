"""Faults of the driver, its machine and its person, through the real command line.

As with the faults of a training, nothing is left behind, and there is a profile or a sentence.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from fault_place import FAULTY, SEARCH, Place, assert_clean
from pids_cgroup import PidsCgroup
from subprocesses import read_until
from tune.profile import file as profile_file

pytestmark = [pytest.mark.slow, pytest.mark.seconds(300), pytest.mark.timeout(600)]


DRIVER_ENDS = {
    "is killed": (signal.SIGKILL, "trial 1 ("),
    "is killed in the finals": (signal.SIGKILL, "trial 2 (final) starts"),
    "is aborted": (signal.SIGABRT, "trial 1 ("),
    "crashes": (signal.SIGSEGV, "trial 1 ("),
}
"""The signal, and when; what is left in the folder depends on the latter alone."""


@pytest.mark.parametrize("name", DRIVER_ENDS)
def test_a_driver_that(name: str, place: Place) -> None:
    process = place.start("tune.jax_phase12", *FAULTY)
    signum, moment = DRIVER_ENDS[name]
    read_until(process, moment)
    process.send_signal(signum)
    said, _ = process.communicate(timeout=60)
    assert "error: the search's own process died" in said
    assert "go on with --resume" in said
    assert_clean((said.partition("Fatal Python error")[2] and said.rpartition("\n\n")[2]) or said)
    assert profile_file.read(place.profile()).partial
    if signum != signal.SIGKILL:
        return
    code, said = place.search("--resume")
    assert code == 0, said
    assert place.kinds()[0] == "baseline completed"
    assert not profile_file.read(place.profile()).partial


# What is refused is refused soon; of what is searched, each limit and each number of CPUs is there,
# the fewest threads with the most CPUs.
REFUSED = [(limit, num_cpus) for limit in (120, 240) for num_cpus in (2, 128, 384)]
SEARCHED = [(300, 384), (400, 128), (700, 2)]


@pytest.mark.parametrize(("limit", "num_cpus"), REFUSED + SEARCHED)
def test_threads_are_limited_and_cpus_are_many(
    place: Place,
    fake_cpus: Callable[[int], dict[str, str]],
    pids_cgroup: Callable[[int], PidsCgroup],
    limit: int,
    num_cpus: int,
) -> None:
    cgroup = pids_cgroup(limit)
    folders = (str(place.folder / "out"), str(place.folder / "profiles"))
    ended = cgroup.run(
        [*SEARCH, "--max-runs", "1", "--out", folders[0], "--profiles", folders[1]],
        place.environment(**fake_cpus(num_cpus)),
    )
    assert_clean(ended.stdout + ended.stderr)
    assert cgroup.events == 0
    if ended.returncode == 0:
        assert place.kinds() == ["baseline completed", "final completed"]
        place.profile()
    else:
        needed = re.search(r"smallest limit that would do is (\d+)", ended.stderr)
        assert needed is not None, ended
        assert (ended.returncode, limit < int(needed[1]) < 300) == (2, True), ended
        assert not (place.folder / "out").exists()


def test_threads_that_others_take_after_the_preflight(
    place: Place, pids_cgroup: Callable[[int], PidsCgroup]
) -> None:
    cgroup = pids_cgroup(2000)
    process = place.start("tune.jax_phase12", *FAULTY)
    cgroup.add(process.pid)
    before = read_until(process, "trial 0 (baseline) measured")
    cgroup.limit(int((cgroup.path / "pids.current").read_text()))  # not one more, for anybody
    rest, _ = process.communicate(timeout=200)
    assert "Traceback" not in rest, before + rest
    assert process.returncode == 0 or "error: " in rest, before + rest
    assert "there is no room for one more process" in rest or "process died" in rest
    assert profile_file.read(place.profile()).config["num_envs"] in {8, 16}


FINALS = "trial 2 (final) starts"


@pytest.mark.parametrize(("at", "times"), [("Space:", 3), ("trial 0 (", 1), (FINALS, 3)])
def test_ctrl_c_at_any_moment(place: Place, at: str, times: int) -> None:
    process = place.start("tune.jax_phase12", *FAULTY)
    before = read_until(process, at)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, before + rest
    assert_clean(rest)
    if at != "Space:":
        assert "interrupted" in rest
    if at == FINALS:
        assert profile_file.read(place.profile()).partial


def test_two_searches_on_one_machine_are_told(place: Place) -> None:
    first = place.start("tune.jax_phase12", *FAULTY, "--option", "update_s=0.5")
    try:
        read_until(first, "trial 0 (")
        code, said = place.search("--out", "other")
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    assert code == 0, said
    assert f"Another search (process {first.pid}) runs on this machine." in said


def test_a_working_folder_that_was_deleted_is_one_sentence(place: Place) -> None:
    gone = place.folder / "gone"
    gone.mkdir()
    ended = subprocess.run(
        ["bash", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "x", *SEARCH],
        env=place.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "error: the folder you are in was deleted" in ended.stderr


def test_a_folder_whose_name_is_no_utf_8(place: Place) -> None:
    code, said = place.search("--out", os.fsdecode(b"out-\xff"))
    assert code == 2, said
    assert_clean(said)
    assert "--out is not UTF-8" in said


def test_stdout_that_is_closed_costs_no_profile(place: Place) -> None:
    ended = subprocess.run(
        ["bash", "-c", 'exec "$@" >&- 2>&-', "x", *SEARCH, "--max-runs", "1"],
        cwd=place.folder,
        env=place.environment(),
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0
    place.profile()
