"""The state of a box is one word; what it said last is kept for when it is silent."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.fleet import status, status_view
from cluster.fleet.offers.prices import Prices
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import StateFolder, UnreachableError
from cluster.fleet.status import HostStatus
from host_states import DEADMAN, HOST, JOB, ended, fired, seen


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


class FakeConnection:
    """A box that prints what it is given, and a laptop's folder of its own."""

    host = HOST

    def __init__(self, folder: Path) -> None:
        self.state = StateFolder(folder)
        self.printed = ""
        self.code = 0

    def run(
        self, words: Sequence[str], *, stdin: bytes, timeout_s: float
    ) -> subprocess.CompletedProcess[bytes]:
        if not self.printed:
            raise UnreachableError(HOST, "no answer.")
        return subprocess.CompletedProcess(words, self.code, self.printed.encode(), b"")


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


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"deadman": {}}, "deadman.left_s: missing."),
        ({"job": ANSWER["job"] | {"split": {"name": 7}}}, "name: must be text, got 7."),
    ],
)
def test_an_answer_that_is_no_status_is_the_boxs_problem(
    wrong: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    one = status.read(box_that_prints(FakeConnection(tmp_path), ANSWER | wrong))
    assert one.problem == f"a: answered no status: {problem}"


@pytest.mark.parametrize(
    ("code", "printed", "problem"),
    [
        (137, "", "a: failed with exit code 137: it said nothing"),
        (2, "", "a: failed with exit code 2"),
        (0, '{"job": ', "a: answered no JSON to status"),
    ],
)
def test_box_that_fails_to_answer_is_asked_again(
    code: int, printed: str, problem: str, tmp_path: Path
) -> None:
    connection = FakeConnection(tmp_path)
    before = status.read(box_that_prints(connection, ANSWER))
    connection.printed, connection.code = printed or "x", code
    after = status.read(RemoteBox(connection))  # type: ignore[arg-type]
    assert problem in str(after.problem)
    assert after.is_silent
    assert after.state == "problem"
    assert after.answer == before.answer


def test_box_that_is_not_set_up_is_not_waited_for(tmp_path: Path) -> None:
    connection = FakeConnection(tmp_path)
    connection.printed, connection.code = "x", 4
    one = status.read(RemoteBox(connection))  # type: ignore[arg-type]
    assert one.problem == "a: is not set up: run `up` first."
    assert not one.is_silent


@pytest.mark.parametrize(
    ("job", "then"),
    [
        (JOB, "of its search j1 there is what was pulled: run `up`, then `submit --only a --take-"),
        (ANSWER["job"], "its rent but you: run `up`, or end its rent."),
        (None, "its rent but you: run `up`, or end its rent."),
    ],
)
def test_box_that_came_back_empty_is_told_from_one_that_is_not_set_up(
    job: dict[str, Any] | None, then: str, tmp_path: Path
) -> None:
    connection = FakeConnection(tmp_path)
    status.read(box_that_prints(connection, ANSWER | {"job": job}))
    connection.printed, connection.code = "x", 4
    for _ in range(2):
        one = status.read(RemoteBox(connection))  # type: ignore[arg-type]
        assert str(one.problem).startswith("a: came back empty: all on it is gone, ")
        assert then in str(one.problem)
        assert not one.is_silent


@pytest.mark.parametrize(
    "kept",
    [
        '{"at": 1.7e9, "place": ["x", 22], "answer": {"deadman": {"mood": 1}}}',
        '{"at": 1.7e9, "place": ["x", 22]}',
        '{"at": 1.7e9, "answer": null}',
        '{"at"',
        "[7]",
    ],
)
def test_what_another_version_has_kept_is_passed_over(kept: str, tmp_path: Path) -> None:
    connection = FakeConnection(tmp_path)
    connection.state.last_seen(HOST).write_text(kept)
    one = status.read(RemoteBox(connection))  # type: ignore[arg-type]
    assert (one.problem, one.answer) == ("a: no answer.", None)


def test_answer_that_cannot_be_kept_is_an_answer(tmp_path: Path) -> None:
    connection = FakeConnection(tmp_path)
    connection.state.last_seen(HOST).mkdir()  # any write fails, as on a full disk
    one = status.read(box_that_prints(connection, ANSWER))
    assert one.succeeded
    connection.printed = ""
    assert status.read(RemoteBox(connection)).answer is None  # type: ignore[arg-type]
