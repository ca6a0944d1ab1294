"""The claims of searches beside neighbours: true ones, or marked."""

import collections
import dataclasses
import functools
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest

from benchmarks import recorded
from benchmarks.replay import Replay, replay
from benchmarks.search_runs import FOLDER
from benchmarks.truth import alarms, real, simulated
from benchmarks.truth.busy_loop import BUSY_LOOPS
from benchmarks.truth.noisy_machine import NEIGHBOURS, slowed_down
from benchmarks.truth.runs import MeasuredTrial, RealRun, read
from benchmarks.truth.simulated import TruthRun
from cluster.structure import destructure
from trainables.machine_speed import MachineSpeed, SpeedLevel

SEARCHES = 6
SEEN = [name for name, neighbour in NEIGHBOURS.items() if neighbour.is_seen]


@functools.cache
def scene() -> Replay:
    return replay("phase1-2cpu", recorded.read(FOLDER / "phase1-2cpu.json"))


@functools.cache
def runs(name: str, *, is_seen: bool = True) -> list[TruthRun]:
    neighbour = dataclasses.replace(NEIGHBOURS[name], is_seen=is_seen)
    return simulated.searches(scene(), neighbour, SEARCHES)


@pytest.mark.seconds(40)
def test_intervals_cover_the_true_speed_up_and_nothing_slower_is_called_faster() -> None:
    ran = [run for name in SEEN for run in runs(name)]
    assert statistics.fmean(run.covers for run in ran) >= 0.9
    assert not any(run.claims_false for run in ran)


UNSEEN = sorted(NEIGHBOURS.keys() - set(SEEN))


@pytest.mark.parametrize("name", UNSEEN)
def test_what_the_kernel_does_not_count_is_told_by_the_canary(name: str) -> None:
    assert all(run.num_alarms for run in runs(name, is_seen=False))
    errors = [abs(run.error) for run in runs(name, is_seen=False) if not run.is_marked]
    assert max(errors, default=0.0) < 0.1


def test_intervals_cover_the_true_speed_up_beside_what_the_kernel_does_not_count() -> None:
    ran = [run for name in UNSEEN for run in runs(name, is_seen=False)]
    assert statistics.fmean(run.covers for run in ran) >= 0.9  # they are 95 % intervals


def test_promises_hold_unless_they_are_marked() -> None:
    unmarked = [run for name in SEEN for run in runs(name) if not run.is_marked]
    errors = [abs(run.error) for run in unmarked]
    assert statistics.median(errors) < 0.03
    assert statistics.quantiles(errors, n=10)[-1] < 0.08
    unmarked += [run for name in UNSEEN for run in runs(name, is_seen=False) if not run.is_marked]
    assert statistics.fmean(run.holds for run in unmarked) >= 0.9  # they are 95 % intervals


def test_a_machine_that_is_never_quiet_marks_its_result_and_a_quiet_one_never() -> None:
    assert all(run.is_marked for run in runs("always"))
    assert not any(run.is_marked or run.num_alarms for run in runs("none"))


@pytest.mark.parametrize(("max_time_s", "slower"), [(200.0, 1.0), (270.0, 2.0)])
def test_what_is_promised_has_two_rounds_though_time_is_short(
    max_time_s: float, slower: float
) -> None:
    machine = slowed_down(scene(), slower)
    ran = simulated.searches(machine, NEIGHBOURS["none"], SEARCHES, max_time_s)
    assert sum(run.num_rounds >= 2 for run in ran) >= SEARCHES - 1
    assert all(run.wall_s <= max_time_s for run in ran)


def test_without_a_look_at_the_neighbours_promises_break() -> None:
    blind = runs("always", is_seen=False)
    assert all(abs(run.error) > 0.3 for run in blind)
    assert not any(run.is_marked for run in blind)


RUN = RealRun(
    task="phase1",
    neighbour="none",
    recorded_at="2026-11-29T00:00:00+00:00",
    chosen={"num_envs": 256},
    promised=100.0,
    promised_low=95.0,
    promised_high=105.0,
    is_marked=False,
    low=1.1,
    high=1.3,
    chosen_speeds=(99.0, 103.0),
    baseline_speeds=(82.0, 86.0),
    trials=(),
    wall_s=150.0,
)


@pytest.mark.parametrize(
    ("changes", "covers", "claims_false", "holds"),
    [
        ({}, True, False, True),
        ({"baseline_speeds": (99.0, 99.0)}, False, False, True),  # truly 1.02 x
        ({"baseline_speeds": (110.0, 110.0)}, False, True, True),
        ({"baseline_speeds": (110.0, 110.0), "is_marked": True}, True, False, True),
        ({"low": 0.9, "baseline_speeds": (110.0, 110.0)}, True, False, True),
        ({"low": None, "high": None, "baseline_speeds": ()}, True, False, True),
        ({"promised_high": 100.5}, True, False, False),
        ({"promised_high": 100.5, "is_marked": True}, True, False, True),
        ({"chosen_speeds": ()}, True, False, True),  # it was never quiet enough to tell
    ],
)
def test_a_real_search_is_judged_by_the_truth(
    changes: dict[str, Any], covers: bool, claims_false: bool, holds: bool
) -> None:
    run = dataclasses.replace(RUN, **changes)
    assert (run.covers, run.claims_false, run.holds) == (covers, claims_false, holds)


def test_the_error_is_that_of_a_promise_without_a_mark() -> None:
    assert RUN.error == pytest.approx(100.0 / math.sqrt(99.0 * 103.0) - 1.0)
    assert dataclasses.replace(RUN, is_marked=True).error is None


def test_a_promise_that_says_it_may_be_a_tenth_off_is_vague_and_has_no_error() -> None:
    vague = dataclasses.replace(RUN, promised_low=85.0)
    assert vague.is_vague
    assert vague.error is None
    assert not RUN.is_vague


def test_recorded_real_searches_claimed_nothing_false_and_promised_what_was_there() -> None:
    searches = read(real.RECORDS / "2cpu.json")
    kinds = collections.Counter((run.task, run.neighbour) for run in searches)
    assert len(kinds) == len(real.TASKS) * len(BUSY_LOOPS)
    assert min(kinds.values()) >= 5
    assert not any(run.claims_false for run in searches)
    assert statistics.fmean(run.covers for run in searches) >= 0.9
    errors = [abs(run.error) for run in searches if run.error is not None]
    assert statistics.median(errors) <= 0.02
    assert max(errors) <= 0.05
    false = [alarms.is_false(trial, share) for trial, _, share in alarms.shares(searches)]
    assert 0 < sum(false) < 0.05 * len(false)


def ran(speed: float, *, disturbed: bool = False, memory: float = 1e9) -> MeasuredTrial:
    compute, swept = SpeedLevel(mean=1e9, error=0.0), SpeedLevel(mean=memory, error=0.0)
    return MeasuredTrial(
        stage="final",
        steps_per_second=speed,
        disturbed=disturbed,
        num_disturbed_blocks=4 * disturbed,
        others_cpus=0.0,
        machine_share=None,
        config={"num_envs": 256},
        machine_speed=MachineSpeed(compute=compute, memory=swept, handoff=None),
        num_blocks=5,
        wall_s=9.0,
    )


def beside_nobody(*trials: MeasuredTrial, at: str = "2026-11-29T00:00:00+00:00") -> RealRun:
    return dataclasses.replace(RUN, trials=trials, recorded_at=at, wall_s=100.0, look_s=0.02)


def test_alarms_are_judged_by_the_undisturbed_trials_of_their_sitting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searches = [
        beside_nobody(ran(100.0), ran(100.0), ran(60.0, disturbed=True)),
        # Twenty minutes later: a false alarm, and one that was slow and not told.
        beside_nobody(
            ran(99.0, disturbed=True), ran(90.0, memory=0.87e9), at="2026-11-29T00:20:00+00:00"
        ),
        # Another day on which the machine is half as fast.
        beside_nobody(ran(50.0), ran(51.0), at="2026-11-30T00:00:00+00:00"),
        dataclasses.replace(RUN, neighbour="constant", trials=(ran(30.0, disturbed=True),)),
    ]
    path = tmp_path / "runs.json"
    path.write_text(json.dumps({"runs": [destructure(run) for run in searches]}))
    assert [len(sitting) for sitting in alarms.sittings(searches[:3])] == [2, 1]
    alarms.show(path)
    shown = capsys.readouterr().out
    assert "| as recorded | 7 | 2 | 1 | 1 | 1 |" in shown
    assert "| memory below 0.88 | 5 | 1 | 1 | 0 | 0 |" in shown
    # Looks: 7 trials of 1 + 5 and 4 more in each disturbed one. A false alarm: one more trial.
    assert "3 searches of 300 s: looks took 0.3%, and trials after false alarms 3.0%" in shown


def test_recorded_searches_are_read_as_they_were_written(tmp_path: Path) -> None:
    level = SpeedLevel(mean=1e9, error=0.01)
    trial = MeasuredTrial(
        stage="final",
        steps_per_second=100.0,
        disturbed=False,
        num_disturbed_blocks=1,
        others_cpus=None,
        machine_share=0.8,
        config={"num_envs": 256},
        machine_speed=MachineSpeed(compute=level, memory=level, handoff=None),
    )
    assert trial.is_alarm
    run = dataclasses.replace(RUN, trials=(trial,))
    path = tmp_path / "runs.json"
    path.write_text(json.dumps({"runs": [destructure(run)]}))
    assert read(path) == [run]
    assert read(tmp_path / "none.json") == []
