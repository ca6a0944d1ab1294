"""Trials beside a machine that changes: which of them it slowed, and what follows from that."""

import dataclasses

import pytest

import finals_trials
from finals_trials import config
from search_spaces.config import config_key
from trainables.machine_speed import MachineBest, MachineSpeed, SpeedLevel
from tune.search.candidates import candidates_of
from tune.search.machine import Machines, judged
from tune.search.rounds import counted
from tune.search.trial import Stage, Trial
from tune.summary.trials import disturbed_text


def beside(
    compute: float,
    memory: float = 10.0,
    *,
    error: float = 0.002,
    stage: Stage = Stage.SEARCH,
    num_envs: int = 1,
    thread_cap: int = 2,
    source: str | None = None,
    gpus: tuple[str, ...] = (),
    host: str | None = None,
    handoff: float | None = None,
    speed: float = 100.0,
) -> Trial:
    """A trial beside which the canary ran at these speeds."""
    made = finals_trials.measured(num_envs, speed, stage=stage)
    assert made.outcome is not None
    assert made.outcome.measurement is not None
    level = MachineSpeed(
        compute=SpeedLevel(mean=compute, error=error),
        memory=SpeedLevel(mean=memory, error=error),
        handoff=None if handoff is None else SpeedLevel(mean=handoff, error=error),
    )
    measurement = dataclasses.replace(made.outcome.measurement, machine_speed=level)
    outcome = dataclasses.replace(
        made.outcome, measurement=measurement, thread_cap=thread_cap, gpus=gpus, host=host
    )
    return dataclasses.replace(made, outcome=outcome, source=source)


def shares(*trials: Trial) -> list[float | None]:
    return [trial.machine_share for trial in judged(trials)]


@pytest.mark.parametrize(
    ("second", "slowed"),
    [
        (beside(100.0), False),
        (beside(96.0), False),  # as much as quiet trials differ by
        (beside(93.0), True),
        (beside(60.0), True),
        (beside(100.0, 9.1), False),
        (beside(100.0, 8.0), True),
        (beside(93.0, error=0.05), False),  # it changed from look to look: that is its average
        (beside(60.0, thread_cap=1), False),  # with fewer threads
        (beside(60.0, source="another"), False),
        (beside(60.0, host="10.0.0.2"), False),  # hosts of one class differ
        (beside(100.0, handoff=80.0), True),  # two CPUs are further apart than they were
        (beside(100.0, handoff=95.0), False),
        (beside(100.0, handoff=None), False),  # one CPU
        (beside(60.0, gpus=("0",)), False),  # explored beside others
        (beside(60.0, gpus=("0",), stage=Stage.FINAL), True),
        (finals_trials.measured(1, 50.0), False),  # no canary ran
        (finals_trials.died(1, Stage.SEARCH), False),
    ],
)
def test_a_trial_is_slowed_if_its_canary_is_clearly_below_the_best(
    second: Trial, slowed: bool
) -> None:
    first, found = judged([beside(100.0, handoff=100.0), second])
    assert first.machine_share is None
    assert (found.machine_share is not None) is slowed
    assert found.is_disturbed is slowed


def test_the_share_is_that_of_the_best_and_the_lower_of_the_two() -> None:
    [_, found] = shares(beside(100.0), beside(80.0, 5.0))
    assert found == pytest.approx(0.5, rel=0.01)


def test_a_later_trial_shows_that_an_earlier_one_was_slowed() -> None:
    slow, fast = beside(80.0), beside(100.0)
    assert shares(slow) == [None]
    assert shares(slow, fast) == [pytest.approx(0.8, rel=0.01), None]


def test_what_was_judged_is_judged_anew() -> None:
    once = judged([beside(80.0), beside(100.0)])
    assert judged(once) == once
    assert judged(once[:1])[0].machine_share is None


def test_a_slowed_final_is_run_again_and_does_not_count() -> None:
    slow = beside(80.0, stage=Stage.FINAL, num_envs=2, speed=70.0)
    finals = judged([beside(100.0, stage=Stage.FINAL), slow])
    assert counted(finals, Stage.FINAL, [config(2)])[config_key(config(2))] == []
    again = beside(100.0, stage=Stage.FINAL, num_envs=2, speed=100.0)
    [_, candidate] = candidates_of(judged([*finals, again]))
    assert candidate.steps_per_second == 100.0
    assert not candidate.disturbed


def test_a_slowed_soak_contradicts_nothing() -> None:
    final = beside(100.0, stage=Stage.FINAL)
    soak = beside(60.0, stage=Stage.SOAK, speed=60.0)
    [candidate] = candidates_of(judged([final, soak]))
    assert candidate.slower_soak is None
    assert candidate.promised == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("speeds", "text"),
    [
        ([100.0], ""),
        ([100.0, 80.0], "the CPUs ran at 0.80 x of their best beside 1 trial, by nothing"),
        ([100.0, 80.0, 60.0], "the CPUs ran at 0.60 to 0.80 x of their best beside 2 trials, by"),
    ],
)
def test_a_person_is_told_of_slower_machines(speeds: list[float], text: str) -> None:
    said = disturbed_text(judged([beside(speed) for speed in speeds]))
    assert said.startswith(text)
    assert bool(said) is bool(text)


def final(compute: float, number: int, began_at: float, ended_at: float) -> Trial:
    """A final on the GPU of its number."""
    made = beside(compute, stage=Stage.FINAL, gpus=(str(number),))
    return dataclasses.replace(made, number=number, started_at=began_at, ended_at=ended_at)


ALONE = final(100.0, 0, 0.0, 10.0)


@pytest.mark.parametrize(
    ("others", "slowed"),
    [
        # The host's power and memory bus are shared by then: that is no disturbance.
        ([final(80.0, 1, 10.0, 20.0), final(81.0, 2, 10.0, 22.0)], [False, False]),
        ([final(80.0, 1, 10.0, 20.0), final(60.0, 2, 15.0, 30.0)], [False, True]),
        ([final(80.0, 1, 10.0, 20.0), final(100.0, 2, 20.0, 30.0)], [True, False]),
    ],
)
def test_what_is_compared_side_by_side_is_judged_by_what_ran_so(
    others: list[Trial], slowed: list[bool]
) -> None:
    trials = [ALONE, *others]
    assert [share is not None for share in shares(*trials)] == [False, *slowed]
    machines = Machines()
    found: dict[int, Trial] = {}
    moments = sorted({at for one in trials for at in (one.started_at, one.ended_at) if at})
    for at in (0.0, *moments):  # as a search hears of them: first of ends, then of what begins
        ended = [one for one in trials if one.ended_at == at]
        begun = [
            dataclasses.replace(one, outcome=None, ended_at=None)
            for one in trials
            if one.started_at == at
        ]
        for one in (*ended, *begun):
            again = list(found.values()) if machines.learn([one]) else []
            found |= {each.number: machines.judge(each) for each in (*again, one)}
    assert [found[n].machine_share is not None for n in range(3)] == [False, *slowed]


def test_a_search_tells_its_trials_the_best_of_this_host() -> None:
    machines = Machines()
    machines.learn([beside(100.0, 20.0, handoff=50.0, error=0.0), beside(900.0, host="10.0.0.2")])
    assert machines.best(2) == MachineBest(compute=100.0, memory=20.0, handoff=50.0)
    assert machines.best(1) == MachineBest()
