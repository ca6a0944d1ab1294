"""A trial's host memory as its watch sees it, of processes that a test gives."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from trainables import trial_watch
from trainables.process_tree import TreeUsage
from trainables.trial_watch import TrialWatch


def usage(num_bytes: int) -> TreeUsage:
    return TreeUsage(pids=(1, 2), num_threads=2, resident_bytes=num_bytes)


def test_shared_pages_are_read_at_times_and_before_a_trial_is_over_its_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes share 60 of their bytes, each look is after a second, the budget is 100."""
    clock, reads = SimpleNamespace(now=1000.0), list[int]()

    def proportional(pids: tuple[int, ...]) -> int:
        reads.append(int(clock.now - 1000.0))
        return resident - 60

    monkeypatch.setattr(trial_watch, "proportional_bytes", proportional)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    watch = TrialWatch(thread_cap=1, num_cpus=1, log_path=tmp_path / "log", started=0.0)
    seen = []
    for resident in (90, 110, 112, 114, 150, 155, 165):
        seen.append(watch._host_bytes(usage(resident), 100))
        clock.now += 1.0
    assert seen == [90, 50, 52, 54, 90, 95, 105]
    assert reads == [1, 3, 5, 6], "the last, before it is taken to be over"


def test_where_nobody_tells_what_is_shared_the_plain_sum_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_watch, "proportional_bytes", lambda pids: None)
    watch = TrialWatch(thread_cap=1, num_cpus=1, log_path=tmp_path / "log", started=0.0)
    assert watch._host_bytes(usage(130), 100) == 130
