"""What a bare box must have, and how the state of one reads to a person."""

import dataclasses
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.box.answer import BoxStatus
from cluster.errors import FleetError
from cluster.fleet import probe, status, status_view
from cluster.fleet.hosts import Host
from cluster.fleet.offers.prices import Prices
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import StateFolder, UnreachableError
from cluster.fleet.status import HostStatus
from cluster.structure import structure_known

PROBED = """\
user root
kernel Linux 6.8.0
python 3.8 bare /usr/bin/python3
python 3.11 venv /usr/bin/python3.11
tool make
tool tar
disk_kb 52428800
shm_kb 1048576
gpu NVIDIA GeForce RTX 4090, 24564 MiB, 550.54.15
end
"""
SEEN = probe.parse(PROBED)


def test_probe_is_read() -> None:
    assert probe.choose_python(SEEN) == "/usr/bin/python3.11"
    assert probe.judge(SEEN, has_environment=False) is None
    assert probe.cautions(SEEN) == []
    assert probe.describe(SEEN) == (
        "root on Linux 6.8.0; NVIDIA GeForce RTX 4090, 24564 MiB, 550.54.15; 50 GiB of disk free"
    )


def test_probe_that_broke_off_is_no_probe() -> None:
    with pytest.raises(FleetError, match="the probe broke off"):
        probe.parse(PROBED.removesuffix("end\n"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"driver_error": "Driver/library version mismatch"}, "mismatch.*rent another"),
        ({"tools": frozenset({"tar"})}, "has no make: apt-get install make"),
        ({"tools": frozenset({"make"})}, "has no tar"),
        ({"pythons": (("3.8", False, "/usr/bin/python3"),)}, "has 3.8 at /usr/bin/python3"),
        ({"pythons": ()}, "needs Python 3.11 or newer with venv and ensurepip, has none"),
        ({"disk_bytes": 5 * 2**30}, "has 5.0 GiB of disk left, the environment needs 12"),
        ({"disk_bytes": 2 * 2**30, "gpus": ()}, "has 2.0 GiB of disk left.*needs 3"),
    ],
)
def test_box_that_will_not_do_is_refused_with_what_to_do(
    changes: dict[str, Any], message: str
) -> None:
    problem = probe.judge(dataclasses.replace(SEEN, **changes), has_environment=False)
    assert problem is not None
    with pytest.raises(FleetError, match=message):
        raise FleetError(problem)


def test_image_that_brings_the_environment_needs_no_tools_to_make_one() -> None:
    bare = dataclasses.replace(SEEN, tools=frozenset({"tar"}), pythons=(), disk_bytes=2**30)
    assert probe.judge(bare, has_environment=True) is None


@pytest.mark.parametrize(
    ("changes", "note"),
    [({"gpus": ()}, "will train on the CPU"), ({"shm_bytes": 64 * 2**20}, "/dev/shm has 64 MiB")],
)
def test_what_only_slows_is_a_note(changes: dict[str, Any], note: str) -> None:
    (said,) = probe.cautions(dataclasses.replace(SEEN, **changes))
    assert note in said


HOST = Host(name="a", address="x", provider="vast", id="1", price_per_hour=2.0)
JOB = {
    "name": "j1",
    "words": ["python", "x"],
    "state": "running",
    "num_trials": 3,
    "elapsed_s": 60.0,
    "exit": None,
    "log_tail": [],
}
DEADMAN = {"left_s": 600.0, "alive": True, "stops_instance": True, "fired": None}


def seen(
    *,
    job: dict[str, Any] | None = None,
    deadman: dict[str, Any] | None = None,
    age_s: float = 0.0,
    **fields: Any,
) -> HostStatus:
    answer = {
        "machine_age_s": 1800.0,
        "ready": {"machine_class": "gpu", "python": "/bin/python"},
        "deadman": deadman,
        "job": None if job is None else JOB | job,
    }
    known = structure_known(BoxStatus, answer)
    return HostStatus(host=HOST, answer=known, age_s=age_s, **fields)


def ended(code: int, reason: str = "ended") -> dict[str, Any]:
    return {"state": "ended", "exit": ended_with(code, reason), "log_tail": ["why"]}


def ended_with(code: int, reason: str = "ended") -> dict[str, Any]:
    return {"exit_code": code, "reason": reason, "ended_at": 1.7e9}


def fired(code: int | None) -> dict[str, Any]:
    return {"at": 1.7e9, "job": "j1", "stop_exit_code": code}


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (seen(), "no job"),
        (seen(job={}), "running"),
        (seen(job={"state": "died"}), "died"),
        (seen(job=ended(0)), "done"),
        (seen(job=ended(1)), "nothing feasible"),
        (seen(job=ended(2)), "failed"),
        (seen(job=ended(130)), "interrupted"),
        (seen(job=ended(130, "stopped")), "stopped"),
        (seen(job=ended(-9, "deadline")), "deadline"),
        (seen(job={}, reachable=False, problem="a: no answer."), "unreachable"),
        (HostStatus(host=HOST, answer=None, age_s=0.0, problem="a: is not set up."), "problem"),
    ],
)
def test_state_is_one_word(one: HostStatus, state: str) -> None:
    assert one.state == state
    assert one.succeeded == (state == "done")
    assert len(status_view.cells(one, Prices())) == len(status_view.STATUS_COLUMNS)


@pytest.mark.parametrize(
    ("deadman", "note"),
    [
        ({}, ""),
        ({"stops_instance": False}, "dead-man ends the job, not the rent."),
        ({"alive": False}, "DEAD-MAN IS NOT RUNNING"),
        ({"fired": fired(None)}, "dead-man fired."),
        ({"fired": fired(0)}, "dead-man fired and stopped the rent."),
        ({"fired": fired(7)}, "fails with exit code 7: still paid."),
    ],
)
def test_dead_man_that_does_not_stop_the_rent_is_told(deadman: dict[str, Any], note: str) -> None:
    assert note in status_view.cells(seen(deadman=DEADMAN | deadman), Prices())[-1]


@pytest.mark.parametrize(
    ("job", "deadman", "left"),
    [
        ({}, None, "-"),
        ({"max_time_s": 300.0}, None, "at most 4 min 00 s"),
        ({"max_time_s": 3600.0}, DEADMAN, "at most 10 min 00 s"),
        (ended(0), DEADMAN, "-"),
    ],
)
def test_time_left_is_the_limit_that_comes_first(
    job: dict[str, Any], deadman: dict[str, Any] | None, left: str
) -> None:
    assert status_view.cells(seen(job=job, deadman=deadman), Prices())[6] == left


def test_cost_goes_on_while_a_box_cannot_be_reached() -> None:
    lost = seen(job={}, reachable=False, problem="a: no answer.", age_s=1800.0)
    assert lost.cost(Prices()) == pytest.approx(2.0)
    assert status_view.cells(lost, Prices())[-1] == "no answer; last seen 30 min 00 s ago"
    assert status_view.money([lost], Prices()) == [
        "a may be up, though it cannot be reached ($2.00 an hour). "
        "To stop paying: vastai destroy instance 1"
    ]


def test_failure_is_told_with_its_last_words() -> None:
    assert status_view.cells(seen(job=ended(2)), Prices())[-1] == "exit code 2: why"


def test_hostile_output_of_a_box_is_no_markup() -> None:
    from rich.console import Console

    console = Console(record=True, width=200, file=Path("/dev/null").open("w"))  # noqa: SIM115
    with console.file:
        console.print(
            status_view.render([seen(job=ended(2) | {"log_tail": ["[red]x[/]"]})], Prices())
        )
    assert "[red]x[/]" in console.export_text()


class FakeConnection:
    """A box that prints what it is given, and a laptop's folder of its own."""

    host = HOST

    def __init__(self, folder: Path) -> None:
        self.state = StateFolder(folder)
        self.printed = ""

    def run(
        self, words: Sequence[str], *, stdin: bytes, timeout_s: float
    ) -> subprocess.CompletedProcess[bytes]:
        if not self.printed:
            raise UnreachableError(HOST, "no answer.")
        return subprocess.CompletedProcess(words, 0, self.printed.encode(), b"")


def box_that_prints(connection: FakeConnection, answer: Any) -> RemoteBox:
    connection.printed = json.dumps(answer)
    return RemoteBox(connection)  # type: ignore[arg-type]


ANSWER: dict[str, Any] = {
    "machine_age_s": 1800.0,
    "ready": {"machine_class": "gpu", "python": "/p", "revision": "0" * 40, "at": 1.7e9},
    "deadman": DEADMAN | {"fired": fired(0)},
    "job": JOB | ended(0) | {"split": None, "headline": "h", "best_config": {"num_envs": 8}},
}


def test_a_newer_box_may_say_more(tmp_path: Path) -> None:
    newer = ANSWER | {"mood": "good", "job": ANSWER["job"] | {"mood": 1}}
    one = status.read(box_that_prints(FakeConnection(tmp_path), newer))
    assert one == status.read(box_that_prints(FakeConnection(tmp_path), ANSWER))
    assert one.succeeded


def test_keys_of_an_answer_are_those_that_scripts_read(tmp_path: Path) -> None:
    one = status.read(box_that_prints(FakeConnection(tmp_path), ANSWER))
    printed = json.loads(json.dumps(status_view.to_dict(one, Prices())))["answer"]
    assert printed["deadman"] == ANSWER["deadman"]
    assert printed["ready"] == ANSWER["ready"]
    assert printed["job"] | ANSWER["job"] == printed["job"]


def test_what_a_box_said_last_is_kept_for_when_it_is_silent(tmp_path: Path) -> None:
    connection = FakeConnection(tmp_path)
    before = status.read(box_that_prints(connection, ANSWER))
    connection.printed = ""
    after = status.read(RemoteBox(connection))  # type: ignore[arg-type]
    assert not after.reachable
    assert after.answer == before.answer


def test_an_answer_that_is_no_status_is_the_boxs_problem(tmp_path: Path) -> None:
    one = status.read(box_that_prints(FakeConnection(tmp_path), ANSWER | {"deadman": {}}))
    assert one.problem == "a: answered no status: deadman.left_s: missing."
