"""The speedup of one candidate over another: by pairs of their finals, as sure as these agree."""

import dataclasses
import math
from typing import Any

import pytest

from factories import candidate
from finals_trials import measured
from tune.search.candidates import candidates_of
from tune.search.speedup import Speedup, speedup
from tune.search.trial import Stage, Trial


def finals_of(base: list[float], leader: list[float], **changes: Any) -> list[Trial]:
    """A baseline's and a leader's finals, by rounds."""
    pairs = zip(base, leader, strict=True)
    return [
        measured(n, speed, stage=Stage.FINAL, **changes)
        for pair in pairs
        for n, speed in zip((1, 4), pair, strict=True)
    ]


def gain_of(trials: list[Trial]) -> Speedup:
    by_envs = {one.config["num_envs"]: one for one in candidates_of(trials)}
    return speedup(by_envs[4], by_envs[1])


def test_a_round_that_was_slow_for_both_says_nothing_against_the_gain() -> None:
    gain = gain_of(finals_of([100.0, 50.0, 100.0], [120.0, 60.0, 120.0]))
    assert gain.ratio == pytest.approx(1.2)
    assert 1.1 < gain.low < gain.high < 1.31


def test_rounds_that_one_of_them_was_not_in_say_nothing() -> None:
    """A leader that was beaten runs no more, and the machine has become slower since."""
    later = [measured(1, 50.0, stage=Stage.FINAL) for _ in range(3)]
    gain = gain_of([*finals_of([100.0, 100.0], [120.0, 120.0]), *later])
    assert gain.ratio == pytest.approx(1.2)


@pytest.mark.parametrize("num_rounds", [1, 2, 8])
def test_a_gain_is_as_sure_as_the_difference_of_means_over_its_rounds(num_rounds: int) -> None:
    one = candidate(rounds=(100.0,) * num_rounds, num_processes=num_rounds)
    gain = speedup(one, one)
    assert gain.ratio == 1.0
    half_width = one.noise.quantile * one.noise.sd * math.sqrt(2.0 / num_rounds)
    assert (gain.low, gain.high) == pytest.approx((math.exp(-half_width), math.exp(half_width)))


def test_pairs_that_disagree_prove_no_gain() -> None:
    gain = gain_of(finals_of([100.0, 140.0], [150.0, 140.0]))
    assert gain.is_noise


@pytest.mark.parametrize(
    ("told", "is_noise"),
    [
        ({}, True),
        ({"peak_device_bytes": 100}, False),
        ({"peak_device_bytes": 100, "device_bytes": None}, True),
        ({"peak_device_bytes": 100, "num_compilations": None}, True),
    ],
    ids=["on a CPU", "a program on a GPU", "a script on a GPU", "Phase 3 on a GPU"],
)
def test_two_rounds_prove_a_gain_of_a_few_percents_of_programs_on_a_gpu_alone(
    told: dict[str, Any], is_noise: bool
) -> None:
    gain = gain_of(finals_of([100.0, 100.0], [104.0, 104.0], **told))
    assert gain.is_noise == is_noise


def test_disturbed_finals_do_not_count_beside_quiet_ones() -> None:
    quiet = finals_of([100.0, 100.0], [120.0, 120.0])
    noisy = finals_of([40.0], [120.0], disturbed=True)
    assert gain_of([*noisy, *quiet]).ratio == pytest.approx(1.2)
    assert not any(one.disturbed for one in candidates_of([*noisy, *quiet]))
    assert all(one.disturbed for one in candidates_of(noisy))


@pytest.mark.parametrize("first", ["lbll", "blll"])
def test_a_round_that_was_never_quiet_moves_no_later_one(first: str) -> None:
    """Both are equally fast, on a machine that is 5 % faster from the second round on."""
    final = {
        "b": measured(1, 1000.0, stage=Stage.FINAL, peak_device_bytes=100),
        "l": measured(4, 900.0, stage=Stage.FINAL, peak_device_bytes=100, disturbed=True),
        "B": measured(1, 1050.0, stage=Stage.FINAL, peak_device_bytes=100),
        "L": measured(4, 1050.0, stage=Stage.FINAL, peak_device_bytes=100),
    }
    second_and_third = "BLLB" if first == "lbll" else "LBBL"
    trials = [final[one] for one in first + second_and_third]
    base, leader = candidates_of(trials)[:: 1 if first[0] == "b" else -1]
    assert (base.rounds, leader.rounds) == ((1000.0, 1050.0, 1050.0), (None, 1050.0, 1050.0))
    assert leader.promised == pytest.approx(1050.0)
    gain = speedup(leader, base)
    assert gain.ratio == pytest.approx(1.0)
    assert gain.high < 1.02
    assert leader.noise.sd < 0.005, "the machine's change is none between processes"


def test_without_a_round_in_common_the_speeds_are_compared_like_one_pair() -> None:
    quiet = measured(4, 120.0, stage=Stage.FINAL)
    slow = measured(1, 60.0, stage=Stage.FINAL, disturbed=True)
    later = measured(1, 100.0, stage=Stage.FINAL)
    trials = [quiet, slow, slow, slow, later]
    base = next(one for one in candidates_of(trials) if one.config["num_envs"] == 1)
    assert base.rounds == (None, 100.0)
    gain = gain_of(trials)
    assert gain.ratio == pytest.approx(1.2)
    one_pair = gain_of(finals_of([100.0], [120.0]))
    assert (gain.low, gain.high) == pytest.approx((one_pair.low, one_pair.high))


def test_without_a_round_in_common_it_may_be_the_machine_that_changed() -> None:
    """Both are equally fast; in the second round the machine was half as fast for all others."""
    others = [
        measured(num_envs, speed, stage=Stage.FINAL)
        for num_envs, speed in ((2, 100.0), (8, 120.0), (2, 50.0), (8, 60.0))
    ]
    lost = [measured(1, 90.0, stage=Stage.FINAL, disturbed=True) for _ in range(3)]
    leader, base = (measured(n, v, stage=Stage.FINAL) for n, v in ((4, 110.0), (1, 55.0)))
    trials = [leader, *lost, *others, base]
    by_envs = {one.config["num_envs"]: one for one in candidates_of(trials)}
    assert by_envs[4].noise.half_width(1, num_means=2) < 0.2
    gain = gain_of(trials)
    assert gain.ratio == pytest.approx(2.0)
    assert gain.is_noise


@pytest.mark.parametrize(
    ("low", "high", "least"),
    [
        (0.8, 1.25, 1.2),  # each is known to 22 %, a ratio to 32 %, a mean of two to 22 %
        (0.0, 2.0, 0.75),  # a count that leapt once or twice: half of its speed, or twice
    ],
)
def test_processes_that_agree_know_no_more_than_each_by_itself(
    low: float, high: float, least: float
) -> None:
    agreeing = finals_of([100.0, 100.0], [150.0, 150.0], peak_device_bytes=100)
    narrow = gain_of(agreeing)
    vague = [
        dataclasses.replace(trial, outcome=dataclasses.replace(trial.outcome, measurement=wide))
        for trial in agreeing
        if trial.outcome is not None
        and trial.measurement is not None
        and (
            wide := dataclasses.replace(
                trial.measurement,
                low=low * trial.measurement.steps_per_second,
                high=high * trial.measurement.steps_per_second,
            )
        )
    ]
    wide_gain = gain_of(vague)
    assert narrow.high - narrow.low < 0.1
    assert wide_gain.low == pytest.approx(least, rel=0.01)
    assert wide_gain.is_noise == (least < 1.0)
