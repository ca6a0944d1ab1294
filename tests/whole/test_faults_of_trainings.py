"""Faults of a training through the real command line: done, said, left behind.

What is printed has no traceback and nothing that a terminal obeys; no process and no temporary file
is left (see the fixture `place`); there is a profile, or a sentence.
"""

import os
import subprocess
from pathlib import Path

import pytest

from fault_place import SEARCH, Place, assert_clean
from tune.profile import file as profile_file

pytestmark = [pytest.mark.slow, pytest.mark.seconds(285), pytest.mark.timeout(600)]


TOGETHER = {
    "die": {"abort": ("error", "SIGABRT"), "segfault": ("error", "SIGSEGV")},
    "end without a report": {"exit": ("error", "exited with status 0"), "close-all": ("error", "")},
    "say what cannot be read": {
        "garbage": ("error", "garbage on its wire"),
        "unprintable": ("error", "\\x1b[31m red"),
    },
    "do not go on": {"stop": ("timeout", ""), "hang": ("timeout", ""), "flood": ("timeout", "")},
    "leave something behind": {
        "remove-logs": ("completed", ""),
        "child": ("completed", ""),
        "daemon": ("completed", ""),
    },
}
"""Faults that a search has one after the other, with the outcome of each and what is said of it."""


@pytest.mark.parametrize("name", TOGETHER)
def test_trainings_that(name: str, place: Place) -> None:
    faults = TOGETHER[name]
    axis = ("--space", f"fault=none,{','.join(faults)}", "--require", "num_envs == 8")
    words = (*axis, "--baseline", "fault=none")
    limits = ("--max-runs", str(len(faults) + 1), "--trial-timeout", "12s")
    code, said = place.search(*words, *limits)
    assert code == 0, said
    assert_clean(said)
    explored = [trial for trial in place.trials() if trial["stage"] != "final"]
    kinds = {trial["config"]["fault"]: trial["outcome"]["kind"] for trial in explored}
    # A busy machine may make an explored trial honestly slow: it ran, too.
    kinds = {fault: "completed" if kind == "slow" else kind for fault, kind in kinds.items()}
    assert kinds == {"none": "completed"} | {fault: kind for fault, (kind, _) in faults.items()}
    assert place.kinds()[-1] == "final completed"
    for _, says in faults.values():
        assert says in said
    if "completed" not in {kind for kind, _ in faults.values()}:
        assert profile_file.read(place.profile()).config["fault"] == "none"
    assert longest_log(place) < 20 * 2**20


def longest_log(place: Place) -> int:
    logs = (place.folder / "out" / "trials").glob("*.log")
    return max((log.stat().st_size for log in logs), default=0)


def test_a_training_that_is_near_its_timeout_is_measured(place: Place) -> None:
    """Its third update, after two to warm up, ends in time; a fourth would not."""
    slow = ("--option", "update_s=10", "--option", "when=16", "--trial-timeout", "40s")
    code, said = place.search(*slow)
    assert code == 0, said
    assert_clean(said)
    assert [kind.split()[1] for kind in place.kinds()[:2]] == ["completed"] * 2
    assert place.kinds()[-1] == "final completed"
    place.profile()


NONE_RUNS = {
    "has a surrogate": ("health=surrogate", "\\udcff<script>"),
    "kills its worker": ("fault=kill-worker", "No trial could run"),
}


@pytest.mark.parametrize("name", NONE_RUNS)
def test_a_training_of_which_every(name: str, place: Place) -> None:
    option, says = NONE_RUNS[name]
    code, said = place.search("--option", option)
    assert (code, says in said) == (1, True), said
    assert_clean(said)
    assert not (place.folder / "profiles").exists()
    assert longest_log(place) < 20 * 2**20


UNTRUE = {
    "no steps": ("steps=0", "a whole number of at least 1, got 0"),
    "negative steps": ("steps=-100", "at least 1, got -100"),
    "half a step": ("steps=100.5", "at least 1, got 100.5"),
    "100,000 metrics": ("health=many", "100,000 metrics"),
    "a metric of 2 MB": ("health=long", "no printable word"),
    "a text as metric": ("health=text", "loss = 'abc'"),
    "a metric named 1": ("health=numbered", "has the name 1"),
    "no mapping": ("health=nothing", "got NoneType"),
    "NaN": ("health=nan", "loss is nan"),
}


@pytest.mark.parametrize("name", UNTRUE)
def test_a_training_that_tells(name: str, place: Place) -> None:
    """A check tries the smallest configuration as a search does, without Ray."""
    option, says = UNTRUE[name]
    code, said = place.search("--option", option, "--check")
    assert (code, says in said) == (2, True), said
    assert_clean(said)


def test_a_training_that_someone_kills_is_run_again(place: Place) -> None:
    code, said = place.search(
        "--option", "fault=die-once", "--option", "when=16", "--option", f"mark={place.folder}/mark"
    )
    assert (code, place.kinds()[1:3]) == (0, ["ramp node_lost", "ramp completed"]), said
    assert_clean(said)


def test_a_training_that_dies_so_each_time_costs_no_result(place: Place) -> None:
    code, said = place.search("--option", "fault=daemon-and-die", "--option", "when=16")
    assert code == 0, said
    assert_clean(said)
    assert place.kinds() == [
        "baseline completed",
        *["ramp node_lost"] * 2,
        "final completed",
    ]
    assert "16 could not be measured, because something on this machine ended its processes" in said


def test_a_training_that_eats_the_memory_is_ended_at_the_budget(place: Place) -> None:
    eating = ("--option", "fault=eat-memory", "--option", "when=16", "--memory-budget", "400MB")
    ended = subprocess.run(
        [*with_little_memory(place.folder), *SEARCH, *eating],
        cwd=place.folder,
        env=place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert_clean(ended.stdout)
    assert "host_memory" in place.kinds()[1], ended.stdout


def with_little_memory(folder: Path) -> list[str]:
    """The words before a command for which 3 GiB are left, where one may mount; there are more.

    To eat all that a machine has takes a minute or two, and takes it from the tests beside this.
    """
    left_kib = {"MemTotal": 4 * 2**20, "MemFree": 3 * 2**20, "MemAvailable": 3 * 2**20}
    lines = Path("/proc/meminfo").read_text().splitlines()
    names = [line.partition(":")[0] for line in lines]
    meminfo = folder / "meminfo"
    meminfo.write_text(
        "".join(
            f"{name}: {left_kib[name]} kB\n" if name in left_kib else f"{line}\n"
            for name, line in zip(names, lines, strict=True)
        )
    )
    mounted = 'mount --bind "$0" /proc/meminfo && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", mounted, str(meminfo)]
    may = not os.getuid() and not subprocess.run([*words, "true"], check=False).returncode
    return words if may else []
