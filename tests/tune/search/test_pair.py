"""The measured pair: a training alone and beside others, and what it decides."""

import dataclasses
from pathlib import Path

import pytest

from factories import measurement, outcome, trial
from simulated_search import BASELINE, machine, make
from trainables.measurement import OutcomeKind
from tune.search.candidates import candidates_of
from tune.search.finals import FinalsPlan
from tune.search.pair import is_due, measured_pair, side_by_side
from tune.search.trial import EXPLORING, Stage, Trial

NUM_GPUS = 4


def ran(
    gpu: str,
    speed: float = 1000.0,
    *,
    stage: Stage = Stage.GPU,
    ended_at: float = 20.0,
    width: float = 0.002,
    disturbed: bool = False,
    num_compilations: int | None = 2,
) -> Trial:
    """A trial of the baseline that took 20 s, and was measured in the last 4."""
    low, high = speed * (1 - width), speed * (1 + width)
    measured = measurement(
        steps_per_second=speed,
        low=low,
        high=high,
        disturbed=disturbed,
        peak_device_bytes=100,
        num_compilations=num_compilations,
    )
    return trial(
        stage=stage,
        config=BASELINE,
        outcome=outcome(measurement=measured, gpus=(gpu,)),
        started_at=ended_at - 20.0,
        ended_at=ended_at,
    )


FIRST = ran("0", stage=Stage.BASELINE)
EXPLORED = [FIRST, *(ran(str(number)) for number in range(1, NUM_GPUS))]


def alone(speed: float, **changes: float) -> Trial:
    return ran("0", speed, stage=Stage.FINAL, ended_at=60.0, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("final", "ratio", "is_alike"),
    [
        (alone(1000.0), 1.0, True),
        (alone(1010.0), 1 / 1.01, True),
        (alone(990.0), 1 / 0.99, True),
        (alone(1020.0), 1 / 1.02, False),  # maybe by 3 %
        (alone(1200.0), 1 / 1.2, False),
        (alone(900.0), 1 / 0.9, False),  # the machine has changed
        (alone(1000.0, width=0.03), 1.0, False),  # too noisy to tell
    ],
)
def test_trials_are_alike_if_the_baseline_is_as_fast_beside_the_others(
    final: Trial, ratio: float, is_alike: bool
) -> None:
    pair = measured_pair([*EXPLORED, final], BASELINE)
    assert pair is not None
    assert pair.num_beside == NUM_GPUS - 1
    assert pair.ratio == pytest.approx(ratio)
    assert pair.low < ratio < pair.high
    assert pair.is_alike is is_alike
    trials = [*EXPLORED, final]
    assert side_by_side(trials, "auto", BASELINE) is is_alike
    assert side_by_side(trials, "together", BASELINE)
    assert not side_by_side(trials, "alone", BASELINE)


def test_of_what_is_no_program_one_pair_does_not_tell_that_it_is_alike() -> None:
    """Processes of a script, or of Phase 3, differ by more than what is asked."""
    explored = [ran(str(number), num_compilations=None) for number in range(1, NUM_GPUS)]
    first = ran("0", stage=Stage.BASELINE, num_compilations=None)
    final = ran("0", stage=Stage.FINAL, ended_at=60.0, num_compilations=None)
    pair = measured_pair([first, *explored, final], BASELINE)
    assert pair is not None
    assert pair.low < 0.92
    assert pair.high > 1.08
    assert not pair.is_alike


BESIDE = ran("1", stage=Stage.FINAL, ended_at=65.0)


@pytest.mark.parametrize(
    "trials",
    [
        [],
        EXPLORED,
        [FIRST, alone(1000.0)],  # one GPU
        [*EXPLORED, alone(1000.0, disturbed=True)],
        [*EXPLORED, *[alone(1000.0, disturbed=True)] * 2],  # it is not run a third time
        [*EXPLORED, ran("7", stage=Stage.FINAL, ended_at=60.0)],  # no other figure of that GPU
        [*EXPLORED, alone(1000.0), BESIDE],  # it was not alone
        # One of the others had ended before the first was measured.
        [FIRST, EXPLORED[1], EXPLORED[2], ran("3", ended_at=15.0), alone(1000.0)],
    ],
)
def test_there_is_no_pair_unless_all_ran_beside_one_and_none_beside_the_other(
    trials: list[Trial],
) -> None:
    assert measured_pair(trials, BASELINE) is None
    assert not side_by_side(trials, "auto", BASELINE)


ELSEWHERE = [dataclasses.replace(one, source="ab" * 32) for one in (*EXPLORED, BESIDE)]
"""The same on another host, whose search this one knows."""


@pytest.mark.parametrize(
    "others",
    [[ran("1", stage=Stage.FINAL, ended_at=80.0)], ELSEWHERE],
    ids=["began as it ended", "on another host"],
)
def test_who_ran_later_or_elsewhere_did_not_run_beside_the_one_alone(others: list[Trial]) -> None:
    pair = measured_pair([*EXPLORED, alone(1000.0), *others], BASELINE)
    assert pair is not None
    assert pair.num_beside == NUM_GPUS - 1


def test_two_gpus_are_a_pair() -> None:
    pair = measured_pair([*EXPLORED[:2], alone(1000.0)], BASELINE)
    assert pair is not None
    assert pair.num_beside == 1


def test_the_baselines_final_is_due_once_on_a_host_of_several_gpus() -> None:
    assert is_due(EXPLORED, BASELINE)
    assert is_due(EXPLORED[:2], BASELINE)
    assert not is_due([FIRST], BASELINE)
    assert not is_due([FIRST, *ELSEWHERE], BASELINE)
    assert not is_due([*EXPLORED, alone(1200.0)], BASELINE)
    died = trial(config=BASELINE, outcome=outcome(kind=OutcomeKind.DEVICE_MEMORY, measurement=None))
    assert not is_due([*EXPLORED, died], BASELINE)


@pytest.mark.parametrize("slowed", [1.0, 0.9])
def test_finals_run_side_by_side_once_the_pair_says_that_it_changes_nothing(
    tmp_path: Path, slowed: float
) -> None:
    plan = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=5, order="auto")
    search = make(tmp_path, max_runs=4, plan=plan, num_gpus=NUM_GPUS, num_parallel=NUM_GPUS)
    free, most = [str(number) for number in range(NUM_GPUS)], 0
    running: list[tuple[Trial, str]] = []
    stages = []
    while True:
        while free and (asked := search.ask()) is not None:
            running.append((asked, free.pop(0)))
            stages.append(asked.stage)
        if not running:
            break
        compared = [one for one, _ in running if one.stage not in EXPLORING]
        most = max(most, len(compared))
        one, gpu = running.pop(0)
        ended = machine(one)
        if ended.measurement is not None:
            # So short that none of what explores has ended before another one is measured.
            share = slowed if one.stage in EXPLORING else 1.0
            speed = share * ended.measurement.steps_per_second
            found = measurement(
                steps_per_second=speed,
                low=0.999 * speed,
                high=1.001 * speed,
                measure_s=1e-9,
                peak_device_bytes=100,
            )
            ended = outcome(measurement=found)
        search.tell(one, outcome(measurement=ended.measurement, kind=ended.kind, gpus=(gpu,)))
        free = sorted([*free, gpu])
    assert stages.count(Stage.GPU) == NUM_GPUS - 1
    finals = [one for one in search.trials if one.stage is Stage.FINAL]
    assert finals[0].config == BASELINE
    assert (most > 1) is (slowed == 1.0)
    assert stages[-1] is Stage.SOAK


def test_finals_on_gpus_that_differ_are_compared_as_if_on_the_first_ones() -> None:
    slower = [FIRST, *(ran(gpu, 960.0) for gpu in ("1", "2", "3"))]
    first = alone(1000.0)
    others = [ran("1", speed, stage=Stage.FINAL, ended_at=90.0) for speed in (960.0, 950.0)]
    [found] = candidates_of([*slower, first, *others])
    assert found.rounds == pytest.approx((1000.0, 1000.0, 950.0 / 0.96))
    [found] = candidates_of([*slower, first, first])
    assert found.rounds == (1000.0, 1000.0)  # alone, what was measured is what is said


@pytest.mark.parametrize(("speed", "contradicts"), [(960.0, False), (860.0, True)])
def test_a_soak_on_a_slower_gpu_is_compared_as_if_on_the_first_finals(
    speed: float, contradicts: bool
) -> None:
    slower = [FIRST, *(ran(gpu, 960.0) for gpu in ("1", "2", "3"))]
    soak = ran("3", speed, stage=Stage.SOAK, ended_at=120.0)
    [found] = candidates_of([*slower, alone(1000.0), alone(1000.0), soak])
    assert found.soak is not None
    assert found.soak.steps_per_second == pytest.approx(speed / 0.96)
    assert found.soak.low == pytest.approx(0.998 * speed / 0.96)
    assert found.soak.high == pytest.approx(1.002 * speed / 0.96)
    assert (found.slower_soak is not None) is contradicts
    assert found.promised == pytest.approx(speed / 0.96 if contradicts else 1000.0)
