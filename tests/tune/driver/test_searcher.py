"""The searcher under faults: a worker that is silent, a journal that cannot be written."""

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

import factories
from simulated_search import machine, make
from trainables.measurement import Outcome, OutcomeKind, Phase, Progress
from trainables.ray_trainable import Place, TrialOrder
from tune.driver import searcher as module
from tune.driver.hosts.places import LocalPlaces
from tune.driver.searcher import StudySearcher
from tune.preflight.findings import GpuPlace
from tune.search.trial import EXPLORING, Stage, Trial


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

    def slow_gpus(self) -> dict[str, float]:
        return {}


@dataclasses.dataclass
class Clock:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


class Trials(OneTrial):
    """A search with trials on so many GPUs, one after the other."""

    def __init__(self, *num_gpus: int) -> None:
        super().__init__()
        self.told: list[Trial] = []
        self._left = [
            factories.trial(number=number, config={"num_devices": of_each}, outcome=None)
            for number, of_each in enumerate(num_gpus)
        ]

    def ask(self) -> Trial | None:  # type: ignore[override]
        return self._left.pop(0) if self._left else None

    def tell(self, trial: Trial, outcome: Any) -> Trial:
        self.told.append(dataclasses.replace(trial, outcome=outcome))
        return self.told[-1]


def searcher_of(
    search: Any, *, is_remote: bool = False, places: LocalPlaces | None = None
) -> StudySearcher:
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
    if places is None:
        places = LocalPlaces(on_gpu=False, note=len)

    def order_for(trial: Trial) -> TrialOrder:
        number = trial.config.get("num_devices", 1)
        place = places.take(alone=trial.stage not in EXPLORING, num_gpus=number)
        return dataclasses.replace(order, place=place)

    return StudySearcher(search, order_for, Nobody(), places)


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


def gpus(number: int, **faults: str) -> LocalPlaces:
    places = [GpuPlace(name=str(index), cpus=(index,)) for index in range(number)]
    return LocalPlaces(places, on_gpu=True, note=len, fault_of=faults.get)


def gpus_of(suggestion: Any) -> tuple[str, ...]:
    place: Place = suggestion["order"].place
    return place.gpus


def test_a_trial_on_all_gpus_waits_for_them_and_none_is_taken_before_it() -> None:
    searcher = searcher_of(Trials(1, 1, 4, 1), places=gpus(4))
    assert gpus_of(searcher.suggest("a")) == ("0",)
    assert gpus_of(searcher.suggest("b")) == ("1",)
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a")
    assert searcher.suggest("c") is None, "the one on four comes first"
    searcher.on_trial_complete("b")
    assert gpus_of(searcher.suggest("c")) == ("0", "1", "2", "3")
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("c")
    assert gpus_of(searcher.suggest("d")) == ("2",), "it ran one trial, and 0 and 1 ran two"
    assert searcher.suggest("e") is None
    searcher.on_trial_complete("d")
    assert searcher.suggest("e") == "FINISHED"


def test_a_trial_for_which_gpus_died_is_told_so_and_not_waited_for() -> None:
    search = Trials(1, 4, 1)
    searcher = searcher_of(search, places=gpus(4, **{"0": "GPU is lost"}))
    searcher.suggest("a")
    searcher.on_trial_complete("a")
    assert gpus_of(searcher.suggest("b")) == ("1",)
    told = search.told[-1].outcome
    assert told is not None
    assert (told.kind, told.message) == (
        OutcomeKind.INVALID,
        "it needs 4 GPUs of one host, and 3 are left; not run.",
    )


def test_devices_that_the_cpu_simulates_take_one_place() -> None:
    searcher = searcher_of(Trials(4))
    assert searcher.suggest("a") is not None


FOUR = {"num_gpus": 4, "num_parallel": 4, "max_runs": 6}


def ran_on(trial: Trial, gpu: str, share: float = 1.0) -> Outcome:
    """The outcome on a GPU of a share of the speed."""
    made = machine(trial)
    if made.measurement is None:
        return dataclasses.replace(made, gpus=(gpu,))
    speed = share * made.measurement.steps_per_second
    measured = dataclasses.replace(
        made.measurement, steps_per_second=speed, low=0.99 * speed, high=1.01 * speed
    )
    return dataclasses.replace(made, measurement=measured, gpus=(gpu,))


def test_a_resumed_search_compares_the_gpus_that_it_has_not_compared_yet(tmp_path: Path) -> None:
    search = make(tmp_path, **FOUR)
    asked = [search.ask() for _ in range(4)]
    for number, trial in enumerate(asked[:2]):
        assert trial is not None
        search.tell(trial, ran_on(trial, str(number)))
    searcher = searcher_of(make(tmp_path, resume=True, **FOUR), places=gpus(4))
    suggested = [searcher.suggest(name) for name in ("a", "b")]
    assert [one["stage"] for one in suggested] == ["gpu", "gpu"]  # type: ignore[index]
    assert [gpus_of(one) for one in suggested] == [("2",), ("3",)]


def test_a_resumed_search_leaves_out_the_gpu_that_was_slow(tmp_path: Path) -> None:
    search = make(tmp_path, **FOUR)
    for number, trial in enumerate([search.ask() for _ in range(4)]):
        assert trial is not None
        search.tell(trial, ran_on(trial, str(number), 0.7 if number == 0 else 1.0))
    while (trial := search.ask()) is not None and trial.stage is not Stage.SOAK:
        search.tell(trial, ran_on(trial, "1"))
    searcher = searcher_of(make(tmp_path, resume=True, **FOUR), places=gpus(4))
    suggested = searcher.suggest("a")
    assert isinstance(suggested, dict)
    assert suggested["stage"] == "soak"
    assert gpus_of(suggested) == ("1",)
