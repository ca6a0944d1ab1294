"""Who explores which part of a shared search, and when which box may finish it."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.box.answer import BoxStatus
from cluster.errors import FleetError
from cluster.fleet import commands, finish, split, status, status_view, submit
from cluster.fleet.hosts import Host
from cluster.fleet.offers.prices import Prices
from cluster.fleet.part import Part, SharedSearch
from cluster.fleet.ssh import Connection, HostError, StateFolder
from cluster.fleet.status import HostStatus
from cluster.structure import structure_known

HOSTS = {name: Host(name=name, address=name) for name in "abcd"}
ENDED = {"exit_code": 0, "reason": "ended", "ended_at": 1.7e9}


def box(
    name: str,
    *,
    machine_class: str | None = "rtx",
    part: int | None = 1,
    of: int = 0,
    state: str = "ended",
    exit: dict[str, Any] | None = ENDED,  # noqa: A002
    fired: bool = False,
    ends: str = "alive stops",
    words: Sequence[str] = ("python", "x"),
    own_words: Sequence[str] | None = None,
    submission: str | None = None,
    **fields: Any,
) -> HostStatus:
    """A box: whole by itself, or with a part of a search that so many share (0: no job at all)."""
    given = {"name": "s", "machine_class": machine_class, "number": part, "count": of}
    given |= {"submission": submission} if submission else {}  # an earlier version told none
    job = {
        "name": "s" if part else "s-finals",
        "state": state,
        "num_trials": 3,
        "words": list(words),
        "own_words": own_words,
        "elapsed_s": 60.0,
        "exit": ENDED | exit if exit and state == "ended" else None,
        "log_tail": [],
        "split": given if of > 1 else None,
    }
    answer = {
        "machine_age_s": 1.0,
        "ready": None
        if machine_class is None
        else {"machine_class": machine_class, "python": "/p"},
        "deadman": {
            "alive": "alive" in ends,
            "stops_instance": "stops" in ends,
            "left_s": 60.0,
            "fired": {"at": 1.7e9, "job": "s", "stop_exit_code": 0} if fired else None,
        },
        "job": job if of else None,
    }
    known = structure_known(BoxStatus, answer)
    return HostStatus(host=HOSTS[name], answer=known, age_s=0.0, **fields)


def silent(name: str, **fields: Any) -> HostStatus:
    return box(name, reachable=False, problem=f"{name}: no answer.", **fields)


def failing(name: str, **fields: Any) -> HostStatus:
    return box(name, problem=f"{name}: failed with exit code 137.", **fields)


@pytest.mark.parametrize(
    ("seen", "parts"),
    [
        ([box("a"), box("b")], "a 1/2, b 2/2"),
        ([box("b"), box("a"), box("c")], "b 1/3, a 2/3, c 3/3"),
        ([box("a"), box("b", machine_class="a100"), box("c")], "a 1/2, b 1/1, c 2/2"),
        ([box("a", of=2, part=1), box("b", of=1)], "a 1/2, b 2/2"),
        ([box("a"), box("b", of=1, state="running"), box("c")], "a 1/2, b -, c 2/2"),
        ([box("a"), silent("b")], "a 1/1, b -"),
        ([box("a"), box("b", fired=True), box("c", fired=True, ends="stops")], "a 1/2, b -, c 2/2"),
        ([box("a", machine_class=None)], "a -"),
    ],
)
def test_boxes_of_one_class_that_can_start_are_numbered(seen: list[HostStatus], parts: str) -> None:
    def part(one: HostStatus) -> str:
        try:
            given = split.part_of(one.host, seen, name="s", submission="1f")
        except HostError:
            return "-"
        assert (given.machine_class, given.submission) == (one.machine_class, "1f")
        return f"{given.number}/{given.count}"

    assert ", ".join(f"{one.host.name} {part(one)}" for one in seen) == parts


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (box("a", machine_class=None), "a: is not set up: run `up` first."),
        (box("a", of=1, state="running"), "a: already runs the job s: wait, or end it with `down`"),
        (silent("a"), "^a: no answer"),
    ],
)
def test_box_that_can_have_no_part_is_refused(one: HostStatus, message: str) -> None:
    with pytest.raises(HostError, match=message):
        split.part_of(one.host, [one, box("b")], name="s", submission="1f")


@pytest.mark.parametrize("words", [["x", "--shard", "1/2"], ["x", "--known=y"]])
def test_parts_are_not_the_persons_to_say(words: list[str]) -> None:
    submit.check_words(words, split=False)
    with pytest.raises(FleetError, match=r"leave --\w+ out: the fleet adds it"):
        submit.check_words(words, split=True)


A_DONE, B_DONE = box("a", part=1, of=2), box("b", part=2, of=2)
A_RUNS, B_RUNS = box("a", part=1, of=2, state="running"), box("b", part=2, of=2, state="running")
B_FAILED = box("b", part=2, of=2, exit={"exit_code": 2, "reason": "ended"})
A_STOPPED = box("a", part=1, of=2, exit={"exit_code": 130, "reason": "stopped"})
A_DEADLINE = box("a", part=1, of=2, exit={"exit_code": 130, "reason": "deadline"}, fired=True)
A_FINALS, A_FINALS_RUN = box("a", part=None, of=2), box("a", part=None, of=2, state="running")
A_DIED, B_DIED = (box(name, part=1 + (name == "b"), of=2, state="died") for name in "ab")


@pytest.mark.parametrize(
    ("members", "lost", "who"),
    [
        ([A_RUNS, B_RUNS], "", ""),
        ([A_DONE, B_RUNS], "", ""),
        ([A_DONE, B_DONE], "", "ab"),
        ([A_DONE, silent("b", part=2, of=2, state="running")], "", ""),
        ([A_DONE, silent("b", part=2, of=2, state="running")], "b", "a"),
        ([silent("a", part=1, of=2), B_DONE], "", ""),  # it may come back with trials
        ([silent("a", part=1, of=2), B_DONE], "a", "b"),
        ([A_DONE, failing("b", part=2, of=2)], "", ""),
        ([A_DONE, failing("b", part=2, of=2)], "b", "a"),
        ([B_DONE, A_DONE], "", "ab"),  # two laptops, whose hosts files have other orders
        ([A_DONE, B_FAILED], "", "ab"),
        ([box("a", part=1, of=2, exit={"exit_code": -9, "reason": "ended"}), B_DONE], "", "ba"),
        ([A_DEADLINE, B_DONE], "", "b"),
        ([A_DIED, B_DONE], "", "b"),
        ([A_DONE, box("b", part=2, of=2, fired=True)], "", "a"),
        # Of a dead-man that ended the job alone, or of a box that was started again.
        ([box("a", part=1, of=2, fired=True, ends=""), A_DIED], "", "a"),
        ([box("a", part=1, of=2, fired=True, ends="stops"), B_DONE], "", "ab"),
        ([box("a", part=1, of=2, fired=True, ends="alive"), B_DONE], "", "ab"),
        ([A_DONE], "", "a"),  # the other never began, or is gone from the hosts file
        ([A_FINALS_RUN, B_DONE], "", ""),
        ([A_FINALS, B_DONE], "", ""),
        ([box("a", part=None, of=2, exit={"exit_code": 2, "reason": "ended"}), B_DONE], "", ""),
        ([silent("a", part=None, of=2, state="running"), B_DONE], "", ""),
        ([silent("a", part=None, of=2, state="running"), B_DONE], "a", "b"),
        ([silent("a", part=None, of=2), B_DONE], "a", ""),  # it had ended; destroyed since
        ([box("c", part=1, of=2, state="running"), silent("a", part=1, of=2), B_DONE], "a", ""),
    ],
)
def test_search_is_finished_once_when_no_part_is_to_be_waited_for(
    members: list[HostStatus], lost: str, who: str
) -> None:
    verdict = split.judge(members, lost=set(lost), is_whole=True)
    assert "".join(one.host.name for one in verdict.boxes) == who
    assert verdict.problem is None


@pytest.mark.parametrize(
    ("members", "is_whole", "problem"),
    [
        ([A_STOPPED, B_DONE], True, "a part was stopped: `submit --resume`"),
        ([A_DONE], False, "part 2 is on another box: watch without --only"),
        ([A_DEADLINE, B_DIED], True, "no box of its class is left: `up --max-hours HOURS`, then"),
        ([box("a", part=1, of=2, fired=True), B_DIED], True, "no box of its class is left"),
    ],
)
def test_search_that_nobody_will_finish_is_told_why(
    members: list[HostStatus], is_whole: bool, problem: str
) -> None:
    verdict = split.judge(members, lost=(), is_whole=is_whole)
    assert verdict.boxes == ()
    assert problem in str(verdict.problem)


@pytest.mark.parametrize(
    ("end", "part", "is_done"),
    [
        ({}, {}, True),
        ({"exit_code": 2}, {}, False),
        ({"reason": "deadline"}, {}, False),
        (None, {}, False),  # it runs
        ({}, {"number": 2}, False),
        ({}, {"machine_class": "a100"}, False),
        ({}, {"submission": "night 2"}, False),
    ],
)
def test_search_is_done_when_its_finals_are_here(
    end: dict[str, Any] | None, part: dict[str, Any], is_done: bool, tmp_path: Path
) -> None:
    finals = tmp_path / "gone" / "s-finals"  # of a box that was destroyed, and is in no hosts file
    finals.mkdir(parents=True)
    split = {"name": "s", "machine_class": "rtx", "number": None, "count": 2} | part
    (finals / "job.json").write_text(json.dumps({"words": [], "split": split}))
    if end is not None:
        (finals / "exit.json").write_text(json.dumps(ENDED | end))
    assert finish.has_profile(B_DONE, tmp_path) is is_done
    told = finish.finish([], [B_DONE], lost=(), is_whole=False, out=tmp_path)
    problem = "s on rtx is not finished: part 1 is on another box: watch without --only"
    assert told == ([], [] if is_done else [problem])
    assert finish.has_profile(box("c", of=1), tmp_path)


@pytest.mark.parametrize(
    "sent",
    ["", "[]", "{}", '{"split": 7}', '{"split": {"name": "s"}}', "[" * 100_000, "a folder"],
)
def test_what_a_box_sends_in_place_of_a_job_ends_no_watch(sent: str, tmp_path: Path) -> None:
    def send(path: Path) -> None:
        path.mkdir() if sent == "a folder" else path.write_text(sent)

    finals = {"name": "s", "machine_class": "rtx", "number": None, "count": 2}
    for name in ("request", "end"):
        job = tmp_path / "a" / name
        job.mkdir(parents=True)
        send(job / "exit.json")
    send(tmp_path / "a" / "request" / "job.json")
    (tmp_path / "a" / "end" / "job.json").write_text(json.dumps({"split": finals}))
    assert not finish.has_profile(B_DONE, tmp_path)


@pytest.mark.parametrize(
    ("one", "state", "doing"),
    [
        (A_RUNS, "running", "part 1/2"),
        (B_DONE, "part done", "part 2/2"),
        (A_FINALS_RUN, "running", "finals"),
        (A_FINALS, "done", "finals"),
        (box("a", of=1), "done", "-"),
    ],
)
def test_table_says_which_part_a_box_has(one: HostStatus, state: str, doing: str) -> None:
    assert status_view.cells(one, Prices())[2:4] == (state, doing)


def test_box_that_has_never_answered_may_have_a_part(tmp_path: Path) -> None:
    unseen = HostStatus(host=HOSTS["b"], answer=None, age_s=0.0, problem="b: cannot fork.")
    for lost, problem in (("", "part 2 is on another box"), ("b", "no part has left a journal")):
        _, told = finish.finish([], [A_DONE, unseen], lost=lost, is_whole=True, out=tmp_path)
        assert problem in told[0]


def test_journals_are_those_of_every_part_of_this_search(tmp_path: Path) -> None:
    def pulled(place: str, *, lines: int, **changes: Any) -> None:
        part = {"name": "s", "machine_class": "rtx", "number": 1, "count": 2} | changes
        (tmp_path / place / "run").mkdir(parents=True)
        (tmp_path / place / "run" / "journal.log").write_text("x\n" * lines)
        split = part if part["name"] else None
        (tmp_path / place / "job.json").write_text(json.dumps({"words": [], "split": split}))

    pulled("a/s", lines=5)
    pulled("b/s", lines=3, number=2)
    pulled("c/s-from-b", lines=4, number=2)  # took it over, and went on
    pulled("a/s-finals", lines=9, number=None)
    pulled("d/s", lines=9, machine_class="a100")
    pulled("d/other", lines=9, name="other")
    pulled("d/whole", lines=9, name=None)
    pulled("e/s", lines=2, submission="night 2", number=2)  # on boxes that were rented later
    for submission, expected in ((None, ["a/s", "c/s-from-b"]), ("night 2", ["e/s"])):
        found = finish.journals(tmp_path, SharedSearch("s", "rtx", submission))
        assert [path.parents[1].relative_to(tmp_path).as_posix() for path in found] == expected


class FakeBox:
    """A box that takes what is sent, and what is asked."""

    host = HOSTS["a"]
    connection = Connection(host, StateFolder(Path("/none")))

    def shell(self, script: str, *arguments: str, stdin: bytes, timeout_s: float) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(stdin)) as tar:
            self.files = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
        return b""

    def ask(self, command: str, request: dict[str, Any]) -> dict[str, Any]:
        self.request = request
        return {"words": request["words"] or []}

    def status(self) -> BoxStatus | None:
        return box("a").answer


OWN = ["python", "x", "--seed", "7"]


def test_a_part_keeps_the_persons_own_words_apart() -> None:
    taker = FakeBox()
    part = Part(name="s", machine_class="rtx", number=2, count=2, submission="1f")
    submit.start_part(taker, part, OWN)  # type: ignore[arg-type]
    assert taker.request["words"] == [*OWN, "--shard", "2/2"]
    assert taker.request["own_words"] == OWN
    assert Part.of(taker.request["split"]) == part


def test_parts_of_one_submit_belong_together_and_to_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    takers = [FakeBox(), FakeBox()]
    takers[1].host = HOSTS["b"]
    monkeypatch.setattr(commands.SubmitCommand, "boxes", lambda self: takers)
    monkeypatch.setattr(status, "read", lambda taker: box(taker.host.name))
    searches = []
    for _ in range(2):
        assert commands.SubmitCommand(split=True, name="s").run(OWN) == 0
        parts = [Part.of(taker.request["split"]) for taker in takers]
        assert [part and part.number for part in parts] == [1, 2]
        searches.append({part and part.search for part in parts})
    assert [len(search) for search in searches] == [1, 1]
    assert searches[0] != searches[1]


@pytest.mark.parametrize(
    ("words", "own_words", "submission"),
    [
        ([*OWN, "--shard", "1/2"], None, None),  # of a box that was set up by an earlier version
        ([*OWN, "--shard", "1/2"], OWN, "1f"),
        ([*OWN, "--whatever", "comes", "behind"], OWN, "1f"),
    ],
)
def test_what_finishes_a_search_knows_all_parts_and_can_be_taken_over(
    words: list[str], own_words: list[str] | None, submission: str | None, tmp_path: Path
) -> None:
    journals = [tmp_path / place / "run" / "journal.log" for place in ("a/s", "a/s-from-b")]
    for journal in journals:  # a box that took another's part over has two
        journal.parent.mkdir(parents=True)
        journal.write_text(f"{journal.parts[-3]}\n")
    one = box("a", part=1, of=2, words=words, own_words=own_words, submission=submission)
    taker = FakeBox()
    submit.finish(taker, one, journals)  # type: ignore[arg-type]
    assert taker.files == {"a-s.log": b"s\n", "a-s-from-b.log": b"s-from-b\n"}
    there = [f"../jobs/s-finals/known/{name}" for name in taker.files]
    assert taker.request == {
        "name": "s-finals",
        "words": [*OWN, "--known", *there],
        "own_words": OWN,
        "resume": False,
        "split": {
            "name": "s",
            "machine_class": "rtx",
            "number": None,
            "count": 2,
            "submission": submission,
        },
    }

    request = taker.request
    for kept in (request, {name: request[name] for name in request if name != "own_words"}):
        (journals[0].parents[1] / "job.json").write_text(json.dumps(kept))
        submit.take_over(taker, journals[0].parents[1])  # type: ignore[arg-type]
        assert set(taker.files) == {"job.json", "run/journal.log"}
        assert json.loads(taker.files["job.json"])["words"] == OWN


def test_options_of_the_training_itself_are_its_own() -> None:
    words = ["python", "-m", "tune.command", "--space", "n=1", "--", "python", "t.py", "--out=x"]
    submit.check_words(words, split=True)
    with pytest.raises(FleetError, match="leave --out out"):
        submit.check_words([*words[:3], "--out=x", *words[3:]], split=True)
