"""The claims about one driver of many GPUs, reduced: counts and ratios alone."""

import contextlib
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from benchmarks import scale
from search_spaces.config import Config, config_key
from search_spaces.space import Axis, SearchSpace, doubling

NUM_SLOTS, NUM_TRIALS = 64, 400


class CountedSpace(SearchSpace):
    """A space that counts how often its configurations are listed."""

    num_listed = 0

    def configurations(self) -> Iterator[Config]:
        type(self).num_listed += 1
        return super().configurations()


SPACE = CountedSpace(
    axes=(
        Axis(name="num_envs", values=doubling(64, 8192)),
        Axis(name="num_steps", values=doubling(16, 256)),
        Axis(name="batch_size", values=doubling(512, 16384)),
        Axis(name="num_epochs", values=(1, 2, 3, 4, 6, 8)),
    )
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> scale.ScaleRun:
    CountedSpace.num_listed = 0
    folder = tmp_path_factory.mktemp("scale")
    return scale.run(folder, num_slots=NUM_SLOTS, num_trials=NUM_TRIALS, space=SPACE)


def test_no_configuration_is_suggested_twice(ran: scale.ScaleRun) -> None:
    assert len(ran.configs) == NUM_TRIALS
    assert len({config_key(config) for config in ran.configs}) == NUM_TRIALS


def test_the_space_is_listed_once_however_many_trials_there_are(ran: scale.ScaleRun) -> None:
    assert CountedSpace.num_listed == 1


def test_a_suggestion_after_more_trials_costs_about_as_much(ran: scale.ScaleRun) -> None:
    early, late = ran.suggestion_s[100:200], ran.suggestion_s[300:400]
    assert statistics.fmean(late) < 5.0 * statistics.fmean(early)


def test_a_step_does_as_much_however_many_trials_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[str, list[int]] = {"_next": [], "_tell": []}

    def counting(name: str) -> None:
        work = getattr(scale, name)

        def counted(*arguments: object) -> object:
            with lines() as count:
                done = work(*arguments)
            counts[name].append(count[0])
            return done

        monkeypatch.setattr(scale, name, counted)

    for name in counts:
        counting(name)
    scale.run(tmp_path, num_slots=NUM_SLOTS, num_trials=NUM_TRIALS, space=SPACE)
    for found in counts.values():  # most steps; a batch, one in eight, reads all trials once
        early, late = found[80:180], found[300:400]
        more = statistics.median(late) - statistics.median(early)
        assert more < 0.5 * 220  # a look at each of the trials since would be 220 lines


@contextlib.contextmanager
def lines() -> Iterator[list[int]]:
    """Count the lines of Python that run, and each turn of a loop."""
    count, before = [0], sys.gettrace()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        count[0] += event == "line"
        return trace

    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


def test_slots_are_idle_or_busy_for_the_whole_time(ran: scale.ScaleRun) -> None:
    assert 0.0 < ran.idle_share < 1.0
    assert ran.busy_s == pytest.approx(10.0 * NUM_TRIALS, rel=0.02)
    assert ran.idle_s + ran.busy_s <= NUM_SLOTS * ran.took_s
    assert ran.driver_s < ran.took_s


def test_the_journal_has_a_sync_for_an_ask_and_one_for_an_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    scale.run(tmp_path, num_slots=8, num_trials=16, space=SPACE)
    assert 2 * 16 <= len(synced) <= 2 * 16 + 5
