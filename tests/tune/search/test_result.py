"""What is promised of a candidate: by its finals, its soaks, and what they differ by."""

import math

import pytest

from finals_trials import measured
from tune.search.candidates import candidates_of
from tune.search.trial import Stage


@pytest.mark.parametrize(
    ("soak", "disturbed", "promised"),
    [(300.0, False, 300.0), (300.0, True, 400.0), (376.0, False, 391.8), (600.0, False, 400.0)],
    ids=["slower", "slower, but disturbed", "within the interval", "faster"],
)
def test_the_soak_counts_and_one_that_contradicts_from_below_is_promised_alone(
    soak: float, disturbed: bool, promised: float
) -> None:
    trials = [
        measured(4, 400.0, stage=Stage.FINAL),
        measured(4, 400.0, stage=Stage.FINAL),
        measured(4, soak, stage=Stage.SOAK, disturbed=disturbed),
    ]
    (found,) = candidates_of(trials)
    assert found.promised == pytest.approx(promised, abs=0.1)
    assert found.promised_low <= found.promised <= found.high
    assert found.promised_processes == {300.0: 1, 376.0: 3}.get(0.0 if disturbed else soak, 2)
    assert found.steps_per_second == 400.0  # it is chosen by its finals
    assert found.soak is not None
    assert found.soak.steps_per_second == soak  # it is told, also where it does not count


def test_without_finals_what_was_explored_is_promised_and_no_soak_is_added() -> None:
    (found,) = candidates_of([measured(4, 400.0), measured(4, 390.0, stage=Stage.SOAK)])
    assert (found.steps_per_second, found.promised, found.promised_processes) == (400.0, 400.0, 1)


@pytest.mark.parametrize(
    ("disturbed", "promised"),
    [((True, True, True), 300.0), ((True, True, False), 300.0), ((True, False, True), 400.0)],
    ids=["never quiet", "a quiet soak", "a quiet final"],
)
def test_a_disturbed_soak_counts_where_all_was_disturbed(
    disturbed: tuple[bool, bool, bool], promised: float
) -> None:
    speeds = (400.0, Stage.FINAL), (400.0, Stage.FINAL), (300.0, Stage.SOAK)
    (found,) = candidates_of(
        measured(4, speed, stage=stage, disturbed=was)
        for (speed, stage), was in zip(speeds, disturbed, strict=True)
    )
    assert found.promised == pytest.approx(promised, abs=0.1)
    assert found.promised_low <= found.promised <= found.high


@pytest.mark.parametrize(
    ("soaks", "promised", "num_processes"),
    [
        ([330.0, 395.0], 380.0, 4),  # the first was chance
        ([300.0, 310.0], 305.0, 2),
        ([310.0, 300.0], 305.0, 2),
        ([305.0], 305.0, 1),
    ],
)
def test_soaks_count_by_their_mean(soaks: list[float], promised: float, num_processes: int) -> None:
    finals = [measured(4, 400.0, stage=Stage.FINAL) for _ in range(2)]
    (found,) = candidates_of([*finals, *(measured(4, s, stage=Stage.SOAK) for s in soaks)])
    assert found.promised == pytest.approx(promised, abs=0.1)
    assert found.promised_low <= found.promised <= found.high
    assert found.promised_processes == num_processes
    assert found.soak is not None
    assert found.soak.steps_per_second == soaks[-1]
    if num_processes == len(soaks):  # as unsure as others of so few processes
        side = math.exp(found.noise_over_time.half_width(num_processes))
        assert found.promised_low == pytest.approx(promised / side, abs=0.1)


@pytest.mark.parametrize(
    ("soak", "promised"),
    [(None, 346.4), (290.0, 326.5), (100.0, 100.0)],
    ids=["none", "as the slower round", "clearly below both"],
)
def test_what_rounds_differ_by_is_in_the_promise(soak: float | None, promised: float) -> None:
    rounds = [(400.0, 410.0), (300.0, 308.0)]  # the machine was slower in the second
    finals = [
        measured(n, speed, stage=Stage.FINAL)
        for speeds in rounds
        for n, speed in zip((4, 8), speeds, strict=True)
    ]
    soaks = [] if soak is None else [measured(4, soak, stage=Stage.SOAK)]
    found, _ = candidates_of([*finals, *soaks])
    assert found.promised == pytest.approx(promised, abs=0.1)
    assert found.promised_low <= 0.9 * min(300.0, promised)
    assert found.high > 1.1 * 400.0
    assert found.soak_range[1] > 1.1 * found.high  # one more process may be further off


def test_a_disturbed_soak_says_nothing_beside_a_quiet_one() -> None:
    final, noisy = (
        measured(4, 400.0, stage=Stage.FINAL),
        measured(4, 100.0, stage=Stage.SOAK, disturbed=True),
    )
    (found,) = candidates_of([final, measured(4, 390.0, stage=Stage.SOAK), noisy])
    assert found.soak is not None
    assert found.soak.steps_per_second == 390.0
    assert found.promised == pytest.approx(395.0, abs=0.1)


def test_many_finals_that_agree_say_more_of_their_mean_than_of_one_more_process() -> None:
    speeds = [392.0, 405.0, 396.0, 408.0, 391.0, 404.0, 399.0, 405.0]
    finals = [measured(4, speed, stage=Stage.FINAL) for speed in speeds]
    (found,) = candidates_of([*finals, measured(4, 380.0, stage=Stage.SOAK)])
    assert found.low > 380.0
    assert found.slower_soak is None
    assert found.promised_processes == len(speeds) + 1
