"""The searcher under faults: a worker that is silent, a journal that cannot be written."""

import dataclasses
import json
from typing import Any, ClassVar

import pytest

import factories
from trainables.measurement import Phase, Progress
from trainables.ray_trainable import Place, TrialOrder
from tune.driver import searcher as module
from tune.driver.hosts.places import LocalPlaces
from tune.driver.searcher import StudySearcher
from tune.search.trial import Trial


class Nobody:
    def trial_started(self, trial: Trial) -> None: ...
    def trial_progress(self, trial: Trial, progress: Progress) -> None: ...
    def trial_ended(self, trial: Trial) -> None: ...


class OneTrial:
    """A search that has one trial, and perhaps a full disk."""

    trials: ClassVar[tuple[Trial, ...]] = ()

    def __init__(self, *, disk_is_full: bool = False) -> None:
        self._disk_is_full = disk_is_full

    def ask(self) -> Trial:
        return factories.trial(outcome=None)

    def tell(self, trial: Trial, outcome: Any) -> Trial:
        if self._disk_is_full:
            raise OSError(28, "No space left on device")
        return dataclasses.replace(trial, outcome=outcome)


@dataclasses.dataclass
class Clock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


def searcher_of(search: Any, *, is_remote: bool = False) -> StudySearcher:
    order = TrialOrder(
        name="x",
        request=None,  # type: ignore[arg-type]
        framework="jax",
        place=Place(resources={"CPU": 1.0}),
        thread_cap=1,
        timeout_s=100.0,
        host_budget_bytes=None,
        log="log",
        is_remote=is_remote,
    )
    return StudySearcher(search, lambda trial: order, Nobody(), LocalPlaces(on_gpu=False, note=len))


def progress() -> dict[str, Any]:
    return {"progress": json.dumps(dataclasses.asdict(Progress(phase=Phase.IMPORT)))}


def test_a_worker_is_silent_long_after_its_trials_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    searcher = searcher_of(OneTrial())
    searcher.suggest("a")
    clock.now = 215.0
    assert not searcher.is_silent()
    searcher.on_trial_result("a", progress())
    clock.now += 155.0
    assert not searcher.is_silent()
    clock.now += 10.0
    assert searcher.is_silent()
    searcher.on_trial_complete("a")
    assert not searcher.is_silent()


def test_a_trial_that_waits_for_its_turn_on_a_cluster_is_not_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    searcher = searcher_of(OneTrial(), is_remote=True)
    searcher.suggest("a")
    clock.now = 1e6
    assert not searcher.is_silent()
    searcher.on_trial_result("a", progress())
    clock.now += 161.0
    assert searcher.is_silent()


def test_a_journal_that_cannot_be_written_ends_the_search() -> None:
    searcher = searcher_of(OneTrial(disk_is_full=True))
    searcher.suggest("a")
    searcher.on_trial_complete("a")
    assert searcher.is_unwritable
    assert searcher.suggest("b") == "FINISHED"
