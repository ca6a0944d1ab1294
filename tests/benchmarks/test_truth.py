"""The claims of searches beside simulated neighbours: true ones, or marked."""

import dataclasses
import functools
import statistics

import pytest

from benchmarks import recorded
from benchmarks.replay import Replay, replay
from benchmarks.search_runs import FOLDER
from benchmarks.truth import simulated
from benchmarks.truth.simulated import NEIGHBOURS, TruthRun

SEARCHES = 6
SEEN = [name for name, neighbour in NEIGHBOURS.items() if neighbour.is_seen]


@functools.cache
def scene() -> Replay:
    return replay("phase1-2cpu", recorded.read(FOLDER / "phase1-2cpu.json"))


@functools.cache
def runs(name: str, *, is_seen: bool = True) -> list[TruthRun]:
    neighbour = dataclasses.replace(NEIGHBOURS[name], is_seen=is_seen)
    return simulated.searches(scene(), neighbour, SEARCHES)


@pytest.mark.seconds(70)
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
    errors = [abs(run.error) for name in SEEN for run in runs(name) if not run.is_marked]
    assert statistics.median(errors) < 0.03
    assert statistics.quantiles(errors, n=10)[-1] < 0.08


def test_a_machine_that_is_never_quiet_marks_its_result_and_a_quiet_one_never() -> None:
    assert all(run.is_marked for run in runs("always"))
    assert not any(run.is_marked or run.num_alarms for run in runs("none"))


def test_without_a_look_at_the_neighbours_promises_break() -> None:
    blind = runs("always", is_seen=False)
    assert all(abs(run.error) > 0.3 for run in blind)
    assert not any(run.is_marked for run in blind)
