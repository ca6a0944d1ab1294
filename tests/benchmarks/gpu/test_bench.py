"""What the bench keeps, and what the end of the time leaves to the next command."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import bench as benches
from benchmarks.gpu import deaths, memory, recording
from benchmarks.gpu.bench import OutOfTime
from benchmarks.gpu.recording import CardRecord
from card_bench import bench_in
from cluster.node import limits
from cluster.node.thread_env import DEVICE_POOL_FRACTION, GPU_CAP
from places import PYTHONPATH
from trainables.measurement import Outcome, OutcomeKind, TrialRequest


@pytest.mark.parametrize(
    ("row", "is_measured"),
    [
        ({"kind": "completed"}, True),
        ({"kind": "device_memory"}, True),
        ({"kind": "unstable"}, True),
        ({"kind": "timeout"}, False),
        ({"kind": "error"}, False),
        ({"kind": "node_lost"}, False),
        ({"compiled": {}, "measured": {"ratio": 1.0}}, True),
        ({"compiled": {}, "measured": None}, False),
        ({"visits": 3}, True),
    ],
)
def test_a_row_that_says_nothing_is_measured_again(
    tmp_path: Path, row: dict[str, Any], is_measured: bool
) -> None:
    bench = bench_in(tmp_path)
    assert not bench.has("memory", "a")
    bench.add("memory", "a", row)
    assert bench.has("memory", "a") is is_measured
    record = recording.read(bench.out)
    assert record is not None
    assert "a" in record.parts["memory"].rows  # the evidence is kept all the same


def test_jobs_side_by_side_keep_their_rows_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing: list[int] = []
    written: list[int] = []

    def write(_: Path, record: CardRecord) -> None:
        writing.append(1)
        written.append(len(writing))
        time.sleep(0.2)
        writing.pop()

    monkeypatch.setattr(recording, "write", write)
    bench = bench_in(tmp_path)
    bench.side_by_side([lambda _, key=key: bench.add("memory", key, {}) for key in "abc"])
    assert written == [1, 1, 1]
    assert set(bench.record.part("memory").rows) == set("abc")


def test_a_child_that_the_end_of_the_time_ends_leaves_no_row(tmp_path: Path) -> None:
    bench = bench_in(tmp_path, left_s=1.5)
    request = bench.request("fake_workloads:Sleeper", {"update_ms": 60_000})
    environment = bench.environment() | {"PYTHONPATH": PYTHONPATH}
    with pytest.raises(OutOfTime, match="too few for slow"):
        bench.run(request, environment=environment, name="slow")
    bench = bench_in(tmp_path)
    outcome, _ = bench.run(request, environment=environment, name="slow", timeout_s=1.0)
    assert outcome.kind is OutcomeKind.TIMEOUT  # its own time is up, and others' is not


def test_no_trial_of_the_memory_part_begins_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_in(tmp_path, rehearsed=False, left_s=100.0, num_side_by_side=1)
    ran = []

    def run(request: object, **_: object) -> Iterator[Outcome]:
        ran.append(request)
        bench.deadline -= 50.0
        yield Outcome(kind=OutcomeKind.COMPLETED, message="", wall_s=50.0, thread_cap=1)

    monkeypatch.setattr(benches, "run_child", run)
    with pytest.raises(OutOfTime, match="60 s are needed"):
        memory.measure(bench)
    assert len(ran) == 1
    assert len(bench.record.part(memory.MEMORY).rows) == 1


def test_a_trial_near_the_limit_compiles_for_the_whole_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def run(request: Any, *, environment: dict[str, str], **_: object) -> Iterator[Outcome]:
        given.append((request, environment))
        yield Outcome(kind=OutcomeKind.COMPLETED, message="", wall_s=1.0, thread_cap=1)

    monkeypatch.setattr(benches, "run_child", run)
    bench = bench_in(tmp_path, rehearsed=False, platform="cuda", num_side_by_side=1)
    memory.measure(bench)
    alone = [(one, variables) for one, variables in given if one.config["batch_size"] >= 2**22]
    assert len(alone) == 4
    for request, variables in alone:
        assert isinstance(request, TrialRequest)  # nothing compiled it before, in a share
        assert variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] == f"{DEVICE_POOL_FRACTION}"
        assert "JAX_COMPILATION_CACHE_DIR" not in variables
        assert request.cpus == limits.cpus().allowed[:GPU_CAP]


def test_a_program_that_was_not_compiled_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    bench = bench_in(tmp_path, say=said.append)
    bench.compile([("fake_workloads:absent", benches.sizes(8, 4, 32))])
    assert len(said) == 1
    assert "fake_workloads:absent, 8 x 4 / 32: not compiled; " in said[0]


_TELLS_ITS_CPUS = """
import sys
open(sys.argv[1], "w").write(" ".join(map(str, os.sched_getaffinity(0))))
print("runs", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(len(limits.cpus().allowed) < 2, reason="it takes two CPUs")
def test_a_neighbour_is_kept_off_the_trials_cpus(tmp_path: Path) -> None:
    bench, told = bench_in(tmp_path), tmp_path / "cpus"
    with benches.beside(bench, _TELLS_ITS_CPUS, str(told), share=0.1) as runs:
        assert runs
    cpus = {int(word) for word in told.read_text().split()}
    assert cpus == set(bench.cpus(1))
    assert not cpus & set(bench.request("any", {}).cpus)


def test_a_holder_that_died_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_in(tmp_path, rehearsed=False, platform="cuda")
    part = bench.record.part(deaths.DEATHS)
    for kind in ("an array", "a program", "a tensor"):
        part.rows[f"{kind} too large"] = {"kind": "device_memory"}
    monkeypatch.setattr(deaths, "_HOLDER", "raise SystemExit(1)")
    deaths.measure(bench)
    assert len(part.rows) == 3
    assert part.problems == [
        f"another process holds {share}%: it died as it started." for share in (90, 97, 99)
    ]


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("print('a', flush=True); time.sleep(60)", "a\n"),
        ("time.sleep(60)", ""),
        ("sys.stdout.write('half'); sys.stdout.flush(); time.sleep(60)", ""),
        ("sys.exit(1)", ""),
    ],
)
def test_no_line_is_waited_for_beyond_the_time(tmp_path: Path, program: str, line: str) -> None:
    started = time.monotonic()
    command = [sys.executable, "-c", f"import sys, time; {program}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert benches.next_line(bench_in(tmp_path, left_s=3.0), process) == line
        process.kill()
    assert time.monotonic() - started < 30.0
