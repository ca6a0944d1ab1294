"""The measurement of a card, rehearsed on the CPU: every part runs, is kept, and is shown."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.gpu import recording, show
from benchmarks.gpu.__main__ import PARTS, main
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.recording import CardRecord, PartRecord
from cluster.errors import UserError


@pytest.mark.slow
@pytest.mark.seconds(300)
def test_every_part_runs_is_kept_and_is_not_run_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "card.json"
    command = ["--rehearse", "--out", str(out), "--minutes", "30"]
    assert main(command) == 0
    record = recording.read(out)
    assert record is not None
    assert list(record.parts) == list(PARTS)
    assert all(part.is_done for part in record.parts.values()), capfd.readouterr().out
    deaths = record.parts["deaths"]
    assert {row["kind"] for row in deaths.rows.values()} == {"host_memory"}
    search = record.parts["search"].rows
    assert search["search"]["exit_code"] == 0
    assert search["search"]["peak_threads"] > max(
        trial["outcome"]["peak_threads"] for trial in search["search"]["trials"]
    )
    # On a machine that others use it may be slower or faster than before, or tell nothing now.
    validated = search["validation 2"]
    assert validated["exit_code"] in {0, 1, 3}, validated["output"]
    assert any(
        "what the profile promises" in line or "quiet" in line for line in validated["output"]
    )
    speeds = record.parts["speed"].rows
    assert all(row["measured"]["ratio"] > 0 for row in speeds.values())
    assert all(row["compiled"]["ours"]["launches"] > 100 for row in speeds.values())
    compiling = record.parts["compiling"].rows
    assert [row["compiled"]["ours"]["from_cache"] for row in compiling.values()] == [False, True]
    beside = record.parts["neighbours"].rows
    assert not beside["nobody, 0"]["measurement"]["num_gpu_shared_blocks"]
    assert beside["busy loops on the trial's CPUs, 0"]["measurement"]["others_cpus"] > 0.5
    assert record.parts["landscape"].rows[f"phase1-{record.machine_class}.json"]["visits"] >= 3
    capfd.readouterr()
    assert main(command) == 0
    assert capfd.readouterr().out.count("done before") == len(PARTS)
    assert main(["show", str(out)]) == 0
    shown = capfd.readouterr().out
    assert "says nothing about a card" in shown
    assert "| Phase 1, 16 x 4 / 32 |" in shown
    # How fast a trial is beside them, one trial of each does not tell on a machine that others use.
    assert re.search(r"^\| busy loops on the trial's CPUs \| 1 \| \d\.\d\d x \|", shown, re.M)


def test_a_part_that_an_error_ends_leaves_the_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(bench: Bench) -> None:
        bench.add("memory", "a", {"kind": "completed"})
        raise UserError("a trial failed.")

    monkeypatch.setitem(PARTS, "memory", fail)
    monkeypatch.setitem(PARTS, "deaths", lambda bench: bench.add("deaths", "b", {"kind": "error"}))
    monkeypatch.setitem(PARTS, "speed", lambda bench: bench.add("speed", "c", {"measured": None}))
    out = tmp_path / "card.json"
    only = ["--only", "memory", "deaths", "speed"]
    assert main(["--rehearse", "--out", str(out), *only]) == 0
    record = recording.read(out)
    assert record is not None
    assert {name: part.is_done for name, part in record.parts.items()} == {
        "memory": False,
        "deaths": True,  # how a death is taken is the measurement
        "speed": False,
    }
    assert record.parts["memory"].problems == ["ended by UserError('a trial failed.')"]
    assert list(record.parts["memory"].rows) == ["a"]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = CardRecord(
        machine={"versions": {"jax": "0.11.2"}, "driver_version": "580.1"},
        machine_class="h100",
        rehearsed=False,
        parts={
            "memory": PartRecord(
                is_done=True,
                wall_s=3.0,
                problems=["none lies here."],
                rows={"a": {"kind": "completed", "message": "x", "predicted_device_bytes": 2**20}},
            ),
            "deaths": PartRecord(),
        },
    )
    path = tmp_path / "card.json"
    recording.write(path, record)
    assert recording.read(path) == record
    assert json.loads(path.read_text())["parts"]["memory"]["rows"]["a"]["kind"] == "completed"
    assert "| a | 1.0 MiB | - | - | completed |" in list(show.lines(record))


def test_another_file_and_an_unknown_part_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "card.json"
    path.write_text("[1]")
    with pytest.raises(UserError, match="is no record of a card"):
        recording.read(path)
    assert main(["--rehearse", "--out", str(tmp_path / "new.json"), "--only", "magic"]) == 2
    assert "the parts are search, memory" in capsys.readouterr().err
    assert main(["show", str(tmp_path / "absent.json")]) == 2
