"""GPUs of one host against each other: which is slower, and what that does to comparisons."""

import dataclasses
from pathlib import Path

import pytest

from factories import failed, measurement, outcome, trial
from search_spaces.config import config_key
from simulated_search import BASELINE, BUDGET, SHORT_FINALS, machine, make
from trainables.measurement import Outcome, OutcomeKind
from tune.search import gpus
from tune.search.candidates import candidates_of
from tune.search.trial import EXPLORING, Stage, Trial


def ran(
    gpu: str, speed: float, *, stage: Stage = Stage.GPU, width: float = 0.01, **changes: bool
) -> Trial:
    """A trial of the baseline on a GPU."""
    measured = measurement(
        steps_per_second=speed, low=speed * (1 - width), high=speed * (1 + width), **changes
    )
    return trial(stage=stage, config=BASELINE, outcome=outcome(measurement=measured, gpus=(gpu,)))


def on(one: Trial, *names: str) -> Trial:
    assert one.outcome is not None
    return dataclasses.replace(one, outcome=dataclasses.replace(one.outcome, gpus=names))


FIRST = ran("0", 1000.0, stage=Stage.BASELINE)


@pytest.mark.parametrize(
    ("trials", "relative", "slow"),
    [
        ([], {}, {}),
        ([FIRST], {}, {}),  # there is nothing to compare with
        ([FIRST, ran("1", 990.0)], {"0": 1.0, "1": 0.99}, {}),
        ([FIRST, ran("1", 800.0)], {"0": 1.0, "1": 0.8}, {"1": 0.8}),
        ([FIRST, ran("1", 1250.0)], {"0": 0.8, "1": 1.0}, {"0": 0.8}),  # the first may be it
        (
            [FIRST, ran("1", 1000.0), ran("2", 1500.0), ran("3", 700.0)],
            {"0": 1.0, "1": 1.0, "2": 1.5, "3": 0.7},
            {"3": 0.7},
        ),
        ([FIRST, ran("1", 880.0, width=0.05)], {"0": 1.0, "1": 0.88}, {}),  # not clearly
        ([FIRST, ran("1", 500.0, disturbed=True)], {}, {}),
        ([FIRST, ran("1", 500.0, stage=Stage.SEARCH)], {}, {}),
        ([FIRST, on(ran("1", 500.0), "1", "2")], {}, {}),  # one training on two
    ],
)
def test_a_gpu_is_slow_beside_the_typical_one(
    trials: list[Trial], relative: dict[str, float], slow: dict[str, float]
) -> None:
    here = {(None, name): share for name, share in relative.items()}
    assert gpus.relative_speeds(trials) == pytest.approx(here)
    assert gpus.slow(trials) == pytest.approx(slow)


def test_gpus_of_other_hosts_are_compared_among_themselves_and_none_is_left_out_here() -> None:
    there = [dataclasses.replace(one, source="b") for one in (ran("0", 300.0), ran("1", 200.0))]
    trials = [FIRST, ran("1", 1000.0), *there]
    relative = gpus.relative_speeds(trials)
    assert relative["b", "1"] == pytest.approx(2 / 3)
    assert gpus.relative_speed(trials[1], relative) == 1.0
    assert gpus.relative_speed(there[1], relative) == pytest.approx(2 / 3)
    assert gpus.slow(trials) == {}


def test_the_baseline_runs_on_each_gpu_once_after_it_began() -> None:
    begun = trial(stage=Stage.BASELINE, config=BASELINE, outcome=None)
    again = trial(stage=Stage.GPU, config=BASELINE, outcome=None)
    assert not gpus.is_to_compare([], BASELINE, 4)
    assert gpus.is_to_compare([begun], BASELINE, 4)
    assert gpus.is_to_compare([begun, again, again], BASELINE, 4)
    assert not gpus.is_to_compare([begun, again, again, again], BASELINE, 4)
    assert not gpus.is_to_compare([begun], BASELINE, 1)
    adopted = dataclasses.replace(again, source="b")
    assert gpus.is_to_compare([begun, adopted, adopted, adopted], BASELINE, 4)
    assert not gpus.is_to_compare([dataclasses.replace(begun, source="b")], BASELINE, 4)
    assert not gpus.is_to_compare([begun], BASELINE | {"num_devices": 1}, 4)


@pytest.mark.parametrize(
    ("kind", "is_compared"),
    [
        (OutcomeKind.EXCLUDED, False),
        (OutcomeKind.DEVICE_MEMORY, False),
        (OutcomeKind.HOST_MEMORY, False),
        (OutcomeKind.TIMEOUT, True),  # perhaps of this GPU alone
        (OutcomeKind.ERROR, True),  # of an earlier session, and mended since
        (OutcomeKind.NODE_LOST, True),
    ],
)
def test_a_baseline_that_met_a_limit_is_run_on_no_further_gpu(
    kind: OutcomeKind, is_compared: bool
) -> None:
    ended = trial(stage=Stage.BASELINE, config=BASELINE, outcome=failed(kind, "it ended."))
    again = trial(stage=Stage.BASELINE, config=BASELINE, outcome=None)
    assert gpus.is_to_compare([ended, again], BASELINE, 2) is is_compared
    there = dataclasses.replace(ended, source="b")
    assert gpus.is_to_compare([there, again], BASELINE, 2)
    of_one_gpu = dataclasses.replace(ended, stage=Stage.GPU)
    assert gpus.is_to_compare([again, of_one_gpu], BASELINE, 4)


def test_a_baseline_that_does_not_fit_is_run_nowhere(tmp_path: Path) -> None:
    compiled = {config_key(BASELINE): BUDGET + 1}
    search = make(tmp_path, compiled=compiled, max_runs=4, num_parallel=2, num_gpus=2)
    asked = search.ask()
    assert asked is not None
    assert (asked.stage, asked.config == BASELINE) == (Stage.SEARCH, False)
    assert [t.kind for t in search.trials if t.config == BASELINE] == [OutcomeKind.EXCLUDED]


def test_what_explored_on_a_slower_gpu_is_compared_as_if_it_had_been_on_a_typical_one() -> None:
    compared = [FIRST, ran("1", 950.0), ran("2", 1000.0)]
    other = BASELINE | {"num_envs": 512}
    explored = dataclasses.replace(ran("1", 1900.0, stage=Stage.SEARCH), config=other)
    found = {c.config["num_envs"]: c for c in candidates_of([*compared, explored])}
    assert found[512].steps_per_second == pytest.approx(2000.0)
    assert found[512].low < 2000.0 < found[512].high
    assert found[512].low * found[512].high == pytest.approx(2000.0**2, rel=0.01)
    final = dataclasses.replace(explored, stage=Stage.FINAL)
    (confirmed,) = [c for c in candidates_of([*compared, explored, final]) if c.confirmed]
    assert confirmed.steps_per_second == 1900.0  # it was measured where all finals are
    of_two = on(explored, "0", "1")
    (slowest,) = [c for c in candidates_of([*compared, of_two]) if c.config == other]
    assert slowest.steps_per_second == pytest.approx(2000.0)


def test_a_search_compares_its_gpus_first_and_that_costs_none_of_its_runs(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=6, num_parallel=4, num_gpus=4)
    running: list[Trial] = []
    for _ in range(4):
        asked = search.ask()
        assert asked is not None
        running.append(asked)
    assert [t.stage for t in running] == [Stage.BASELINE, Stage.GPU, Stage.GPU, Stage.GPU]
    for number, asked in enumerate(running):
        search.tell(asked, dataclasses.replace(machine(asked), gpus=(str(number),)))
    while (asked := search.ask()) is not None:
        search.tell(asked, dataclasses.replace(machine(asked), gpus=("0",)))
    explored = [t for t in search.trials if t.stage in EXPLORING - {Stage.GPU}]
    assert len(explored) == 6
    assert sum(t.stage is Stage.GPU for t in search.trials) == 3


def test_scores_of_a_slow_gpu_do_not_mislead_the_search(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=6, num_parallel=2, num_gpus=2)
    first, second = search.ask(), search.ask()
    assert first is not None
    assert second is not None
    told = search.tell(first, slowed(machine(first), "0", 1.0))
    assert search.slow_below(second) is None, "a slow GPU's trial is measured to its end"
    search.tell(second, slowed(machine(second), "1", 0.5))
    third = search.ask()
    assert third is not None
    assert third.stage is Stage.RAMP
    healthy = machine(third)
    scored = search.tell(third, slowed(healthy, "1", 0.5))
    assert healthy.measurement is not None
    assert scored.score == pytest.approx(healthy.measurement.steps_per_second)
    assert told.measurement is not None
    assert told.score == told.measurement.steps_per_second


def test_what_cannot_win_is_told_by_the_speed_of_its_gpu(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=6, num_parallel=2, num_gpus=2)
    for gpu, share in (("0", 1.0), ("1", 0.92)):
        asked = search.ask()
        assert asked is not None
        search.tell(asked, slowed(machine(asked), gpu, share))
    asked = search.ask()
    assert asked is not None
    typical = search.slow_below(asked, ("0",))
    assert typical == search.slow_below(asked) == pytest.approx(0.9 * search.best.score)  # type: ignore[union-attr]
    assert typical is not None
    for on in (("1",), ("0", "1")):
        assert search.slow_below(asked, on) == pytest.approx(0.92 * typical)


@pytest.mark.parametrize(("share", "num_beside"), [(1.0, 2), (0.5, 1)])
def test_a_gpu_that_is_left_out_saves_no_time_for_finals(
    tmp_path: Path, share: float, num_beside: int
) -> None:
    plan = dataclasses.replace(SHORT_FINALS, order="together", soak_updates=0)
    search = make(tmp_path, max_runs=2, plan=plan, num_parallel=2, num_gpus=2)
    asked = [search.ask(), search.ask()]
    for gpu, of_gpu in (("0", 1.0), ("1", share)):
        one = asked[int(gpu)]
        assert one is not None
        search.tell(one, slowed(machine(one), gpu, of_gpu))
    while (one := search.ask()) is not None and one.stage is not Stage.FINAL:
        search.tell(one, slowed(machine(one), "0", 1.0))
    # Each of them takes 10 s, and one runs already.
    assert search.expected_s == pytest.approx(10.0 * (plan.num_trials - 1) / num_beside)


def slowed(made: Outcome, gpu: str, share: float) -> Outcome:
    """The outcome that a GPU of a share of the speed would have had."""
    assert made.measurement is not None
    speed = share * made.measurement.steps_per_second
    measured = dataclasses.replace(
        made.measurement, steps_per_second=speed, low=0.99 * speed, high=1.01 * speed
    )
    return dataclasses.replace(made, measurement=measured, gpus=(gpu,))
