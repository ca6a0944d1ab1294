"""Levers are compared with the winner by turns, and one is kept only where all speaks for it."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factories import failed
from finals_trials import EXPLORED, config, ended
from search_spaces.config import Config, variables_of
from simulated_search import machine, make
from trainables.measurement import Outcome, OutcomeKind
from tune.search import finals, levers, stopping
from tune.search.candidates import choose_candidates
from tune.search.finals import Affordable, FinalsPlan
from tune.search.levers import Lever, Verdict, with_lever
from tune.search.objective import Objective
from tune.search.result import Kind
from tune.search.trial import Stage, Trial

ONE, TWO = (Lever(name=name, variables={name: "1"}) for name in ("ONE", "TWO"))
BF16 = Lever(name="BF16", variables={"BF16": "1"}, changes_numbers=True)
WINNER, BASELINE = config(4), {"num_envs": 1, "batch_size": 1}
PLAN = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=10, levers=(ONE, TWO))


def name(of: Config) -> str:
    return levers.name_of(of, WINNER).removesuffix("=1") or str(of["num_envs"])


def play(
    speeds: Mapping[str, float],
    plan: FinalsPlan = PLAN,
    *,
    affordable: float = math.inf,
    noise: Callable[[], float] = lambda: 1.0,
    **more: Any,
) -> tuple[list[str], list[Trial]]:
    """Run finals, levers and soak to their end: what was run, and the trials."""
    trials, ran = list(EXPLORED), []
    while True:
        left = affordable - len(ran)
        step = finals.next_step(
            trials,
            plan,
            Objective.THROUGHPUT,
            BASELINE,
            affordable=Affordable(num=left, num_needed=left),
        )
        if step is None:
            return ran, trials
        stage, of = step
        ran.append(f"{stage} {name(of)}")
        speed = speeds[name(of)] * noise()
        trials.append(ended(of, speed, stage=stage, first={"loss": 1.0}, **more))
        assert len(ran) < 50


SPEEDS = {"1": 100.0, "4": 400.0, "8": 300.0, "ONE": 480.0, "TWO": 390.0}
OF_LEADERS = [f"final {one}" for one in (4, 8, 1, 1, 4)]  # 8 is beaten after one round


def test_levers_take_turns_with_the_winner_and_the_one_kept_has_finals_and_the_soak() -> None:
    ran, trials = play(SPEEDS)
    assert ran == [
        *OF_LEADERS,
        *("lever 4", "lever ONE", "lever TWO"),
        *("lever ONE", "lever 4"),  # TWO was slower
        *("final ONE", "final ONE", "soak ONE"),
    ]
    fastest = choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST]
    assert fastest.config == with_lever(WINNER, ONE)
    assert fastest.rounds == (480.0, 480.0), "of its finals alone"


@pytest.mark.parametrize(
    ("affordable", "ran"),
    [
        (len(OF_LEADERS) + 1, [*OF_LEADERS, "soak 4"]),
        # With time for a comparison, and not for the finals of what it would keep, there is none.
        (len(OF_LEADERS) + 2, [*OF_LEADERS, "soak 4"]),
        (len(OF_LEADERS) + 3, [*OF_LEADERS, "lever 4", "soak 4"]),
    ],
)
def test_without_time_the_winner_is_soaked_as_it_is(affordable: int, ran: list[str]) -> None:
    assert play(SPEEDS, affordable=affordable)[0] == ran


@pytest.mark.parametrize("gain", [0.9, 1.0, 1.005])
def test_a_lever_without_a_gain_changes_nothing(gain: float) -> None:
    ran, trials = play(SPEEDS | {"ONE": 400.0 * gain, "TWO": 400.0 * gain})
    assert ran[-1] == "soak 4"
    assert "final ONE" not in ran
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config == WINNER


def tried_with(
    *own: Trial, bare: tuple[Trial, ...] = (ended(WINNER, 400.0), ended(WINNER, 400.0))
) -> levers.Tried:
    [one] = levers.tried([*EXPLORED, *bare, *own])
    return one


LEVERED = with_lever(WINNER, ONE)
FASTER = (ended(LEVERED, 480.0), ended(LEVERED, 480.0))


def test_a_lever_that_was_never_quiet_in_a_round_is_compared_in_the_others() -> None:
    """The machine is 5 % faster in the second round; the lever gains 20 % there."""
    bare, never_quiet = ended(WINNER, 400.0), [ended(LEVERED, 400.0, disturbed=True)] * 3
    second = ended(LEVERED, 504.0), ended(WINNER, 420.0)
    [found] = levers.tried([*EXPLORED, bare, *never_quiet, *second])
    assert found.gain is not None
    assert found.gain.ratio == pytest.approx(1.2)


def both(bare: float, own: float, *more: float, figure: str = "loss") -> levers.Tried:
    """The verdict by a figure of the first update without (also in `more`) and with the lever."""
    return tried_with(
        *(ended(LEVERED, 480.0, first={figure: own}) for _ in range(2)),
        bare=tuple(
            ended(WINNER, 400.0, first={figure: value}) for value in (bare, *(more or (bare,)))
        ),
    )


def surely(gain: float) -> levers.Tried:
    """The verdict on a gain that eight quiet processes on a GPU agree on."""
    bare, own = (
        tuple(ended(of, speed, peak_device_bytes=100) for _ in range(8))
        for of, speed in ((WINNER, 400.0), (LEVERED, gain * 400.0))
    )
    found = tried_with(*own, bare=bare)
    assert found.gain is not None
    assert found.gain.low > 1.0
    return found


@pytest.mark.parametrize(
    ("tried", "verdict", "why"),
    [
        (tried_with(*FASTER), Verdict.KEPT, ""),
        (tried_with(ended(LEVERED, 300.0)), Verdict.SLOWER, ""),
        (tried_with(ended(LEVERED, 404.0), ended(LEVERED, 404.0)), Verdict.NO_GAIN, ""),
        (tried_with(ended(LEVERED, 500.0), ended(LEVERED, 390.0)), Verdict.NO_GAIN, ""),
        (surely(1.008), Verdict.LITTLE_GAIN, ""),
        (surely(1.015), Verdict.KEPT, ""),
        (both(0.5, 0.506), Verdict.KEPT, ""),
        (
            both(0.5, 0.6),
            Verdict.OTHER_LEARNING,
            "loss is 0.6 after the first update, and 0.5 without it",
        ),
        (both(0.5, 0.6, 0.65), Verdict.KEPT, ""),  # the winner's own processes differ as much
        (both(1122.0, 1500.0, figure="gradient_noise_scale"), Verdict.KEPT, ""),
        (both(-0.001, -0.0005), Verdict.OTHER_LEARNING, "loss is -0.0005 after the first update"),
        (
            tried_with(
                dataclasses.replace(
                    FASTER[0], outcome=failed(OutcomeKind.DEVICE_MEMORY, "out of memory.")
                )
            ),
            Verdict.FAILED,
            "out of memory.",
        ),
        (
            tried_with(
                *FASTER, bare=(dataclasses.replace(FASTER[0], config=WINNER, outcome=None),)
            ),
            Verdict.UNTRIED,
            "",
        ),
    ],
)
def test_a_lever_is_kept_if_it_is_faster_beyond_noise_and_learns_alike(
    tried: levers.Tried, verdict: Verdict, why: str
) -> None:
    assert tried.verdict is verdict
    assert tried.why.startswith(why)
    assert bool(tried.why) == bool(why)


def test_of_two_that_gain_the_better_one_is_kept() -> None:
    ran, trials = play(SPEEDS | {"TWO": 460.0})
    assert ran[-1] == "soak ONE"
    assert {one.name: one.verdict for one in levers.tried(trials)} == {
        "ONE=1": Verdict.KEPT,
        "TWO=1": Verdict.LESS_GAIN,
    }


def test_a_disturbed_comparison_is_run_again_twice_at_most() -> None:
    disturbed = ended(LEVERED, 480.0, disturbed=True)
    trials = [*EXPLORED, ended(WINNER, 400.0)]
    ran = []
    for _ in range(4):
        of = levers.next_trial(trials, (ONE, TWO), WINNER, num_rounds=2)
        assert of is not None
        ran.append(name(of))
        trials.append(disturbed if of == LEVERED else ended(of, 390.0))
    assert ran == ["ONE", "ONE", "ONE", "TWO"]


@pytest.mark.parametrize(
    ("winner", "first", "tries"),
    [
        (WINNER, {}, False),  # it says nothing of its learning
        (WINNER, {"loss": 1.0}, True),
        (WINNER | {"env.BF16": "0"}, {"loss": 1.0}, False),  # the person's axis
    ],
)
def test_levers_that_change_numbers_need_a_training_that_tells_of_its_learning(
    winner: Config, first: dict[str, float], tries: bool
) -> None:
    trials = [ended(winner, 400.0, stage=Stage.FINAL, first=first)]
    step = levers.next_trial(trials, (BF16,), winner, num_rounds=2)
    assert step == (winner if tries else None)


def test_a_lever_that_dies_leaves_the_winner_alone() -> None:
    dead = dataclasses.replace(FASTER[0], outcome=failed(OutcomeKind.ERROR, "exit code 1."))
    trials = [
        *EXPLORED,
        *(ended(WINNER, 400.0, stage=Stage.FINAL),) * 2,
        ended(WINNER, 400.0),
        dead,
    ]
    assert levers.next_trial(trials, (ONE,), WINNER, num_rounds=2) is None
    assert choose_candidates(trials, Objective.THROUGHPUT)[Kind.FASTEST].config == WINNER


def test_levers_that_die_one_after_the_other_do_not_end_the_search() -> None:
    dead = failed(OutcomeKind.ERROR, "exit code 1.")
    died = [
        dataclasses.replace(FASTER[0], number=number, outcome=dead, stage=stage)
        for stage in (Stage.LEVER, Stage.FINAL)
        for number in range(3)
    ]
    assert not stopping.is_broken(died[:3])
    assert stopping.is_broken(died)


def test_where_finals_run_side_by_side_levers_run_alone_and_to_their_end(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, order="together")
    search = make(tmp_path, max_runs=2, plan=plan, num_parallel=3)
    running: list[Trial] = []
    while True:
        asked = search.ask() if len(running) < 3 else None
        if asked is not None:
            running.append(asked)
            assert len(running) == 1 or Stage.LEVER not in {one.stage for one in running}
        elif running:
            first = running.pop(0)
            search.tell(first, with_gain(first))
        else:
            break
    ran = [levers.name_of(t.config, {}) for t in search.trials if t.stage is Stage.LEVER]
    assert ran == ["", "ONE=1", "TWO=1", "ONE=1", ""]
    assert variables_of(search.trials[-1].config) == {"ONE": "1"}


def with_gain(of: Trial) -> Outcome:
    """The outcome on a machine where lever ONE gains much, and TWO loses."""
    made, variables = machine(of), variables_of(of.config)
    if made.measurement is None or not variables:
        return made
    speed = (2.0 if "ONE" in variables else 0.5) * made.measurement.steps_per_second
    measured = dataclasses.replace(
        made.measurement, steps_per_second=speed, low=0.99 * speed, high=1.01 * speed
    )
    return dataclasses.replace(made, measurement=measured)


@pytest.mark.parametrize("lever", levers.GPU, ids=lambda lever: lever.name)
def test_a_lever_is_known_by_its_variables_behind_the_persons_own(lever: Lever) -> None:
    own = {name: f"--mine=1 {value}" for name, value in lever.variables.items()}
    for variables in (lever.variables, own):
        assert (
            levers.name_of(with_lever(WINNER, Lever(name="", variables=variables)), WINNER)
            == lever.name
        )


@pytest.mark.parametrize(("gain", "num_kept"), [(1.0, 0), (1.04, 50)])
def test_on_a_gpu_four_percent_are_found_and_nothing_is_not(gain: float, num_kept: int) -> None:
    names = [f"L{number}" for number in range(5)]
    plan = dataclasses.replace(
        PLAN, levers=tuple(Lever(name=name, variables={name: "1"}) for name in names)
    )
    speeds = SPEEDS | dict.fromkeys(names, SPEEDS["4"]) | {"L0": gain * SPEEDS["4"]}
    soaked = []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        ran, _ = play(
            speeds,
            plan,
            noise=lambda rng=rng: math.exp(0.005 * rng.standard_normal()),
            peak_device_bytes=100,  # as on a GPU, whose processes differ by half a percent
        )
        soaked.append(ran[-1])
    assert soaked.count("soak L0") == num_kept
    assert soaked.count("soak 4") == 50 - num_kept
