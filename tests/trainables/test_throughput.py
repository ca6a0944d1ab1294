"""Warm-up, blocks and the interval, against a machine whose clock is a number."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest

from trainables.sampling import Sampling, Throughput
from trainables.throughput import (
    mean_interval,
    measure,
    median_interval,
    plan_updates,
    warm_up,
)


@dataclasses.dataclass
class FakeMachine:
    """Spends `update_s(n)` seconds on its n-th update, and remembers each call."""

    update_s: Callable[[int], float]
    now: float = 0.0
    calls: list[int] = dataclasses.field(default_factory=list)
    calls_s: list[float] = dataclasses.field(default_factory=list)

    def run(self, num_updates: int) -> None:
        first = sum(self.calls)
        spent = sum(self.update_s(n) for n in range(first, first + num_updates))
        self.calls.append(num_updates)
        self.calls_s.append(spent)
        self.now += spent

    def clock(self) -> float:
        return self.now


def constant(update_s: float) -> FakeMachine:
    return FakeMachine(lambda _: update_s)


def noisy(update_s: float, relative: float) -> FakeMachine:
    rng = np.random.default_rng(1)
    return FakeMachine(lambda _: update_s * float(1 + relative * rng.standard_normal()))


def measure_all(
    machine: FakeMachine,
    *,
    update_s: float = 0.1,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    num_updates: int | None = None,
    ends_at: float = math.inf,
) -> list[Throughput]:
    return list(
        measure(
            machine.run,
            clock=machine.clock,
            env_steps_per_update=1000,
            update_s=update_s,
            sampling=sampling,
            num_updates=num_updates,
            ends_at=ends_at,
        )
    )


@pytest.mark.parametrize(
    ("update_s", "at_least", "at_most_s"),
    [(0.0001, 1000, 2.0), (0.01, 10, 2.0), (0.3, 3, 2.0), (5.0, 2, 10.0), (40.0, 2, 80.0)],
)
def test_warm_up_is_two_updates_or_about_a_second(
    update_s: float, at_least: int, at_most_s: float
) -> None:
    machine = constant(update_s)
    warmup = warm_up(machine.run, machine.clock)
    assert warmup.num_updates == sum(machine.calls) >= at_least
    assert warmup.duration_s == pytest.approx(machine.now)
    assert machine.now <= at_most_s + 1e-9
    assert warmup.update_s == pytest.approx(update_s)


def test_a_slow_first_update_does_not_spoil_the_estimate() -> None:
    machine = FakeMachine(lambda n: 8.0 if n == 0 else 0.05)
    assert warm_up(machine.run, machine.clock).update_s == pytest.approx(0.05)


def test_warm_up_goes_on_while_the_speed_improves() -> None:
    steady = constant(0.02)
    improving = FakeMachine(lambda n: 0.02 * (1 + 4 * 0.8**n))
    warm_up(steady.run, steady.clock)
    warmup = warm_up(improving.run, improving.clock)
    assert warmup.num_updates > sum(steady.calls)
    assert warmup.update_s == pytest.approx(0.02, rel=0.1)


def test_a_steady_machine_is_known_after_the_fewest_blocks() -> None:
    machine = constant(0.1)
    *_, last = measure_all(machine)
    assert last.converged
    assert last.num_blocks == 5
    assert last.steps_per_second == pytest.approx(10_000)
    assert last.low == pytest.approx(last.high)
    assert last.num_updates == sum(machine.calls)


def test_blocks_last_long_enough_though_the_plan_was_wrong() -> None:
    machine = constant(0.01)
    measure_all(machine, update_s=0.4)  # warm-up thought 40 times slower
    block_s = []
    for call_s in machine.calls_s:
        if not block_s or block_s[-1] >= 0.5:
            block_s.append(0.0)
        block_s[-1] += call_s
    assert min(block_s) >= 0.5
    assert len(machine.calls) == 6  # one more only, for the first block


def test_noise_takes_more_blocks_and_the_interval_covers_the_truth() -> None:
    machine = noisy(0.5, relative=0.1)
    *_, last = measure_all(machine, sampling=Sampling(max_measure_s=200.0))
    assert last.num_blocks > 5
    assert last.converged
    assert last.low <= 2000 <= last.high
    assert (last.high - last.low) / 2 < 0.02 * last.steps_per_second


def test_time_is_up_before_it_is_known() -> None:
    machine = noisy(0.5, relative=0.3)
    *_, last = measure_all(machine, sampling=Sampling(max_measure_s=5.0))
    assert not last.converged
    assert 5.0 <= machine.now < 7.0
    assert last.low < last.steps_per_second < last.high


@pytest.mark.parametrize(("update_s", "num_blocks"), [(10.0, 2), (40.0, 1)])
def test_updates_longer_than_the_cap_are_measured_and_said_not_to_be_known(
    update_s: float, num_blocks: int
) -> None:
    *_, last = measure_all(constant(update_s), update_s=update_s)
    assert last.num_blocks == last.num_updates == num_blocks
    assert not last.converged
    assert last.steps_per_second == pytest.approx(1000 / update_s)


@pytest.mark.parametrize(("ends_at", "num_blocks"), [(0.0, 1), (25.0, 2), (95.0, 9)])
def test_no_block_begins_that_would_not_end_in_time(ends_at: float, num_blocks: int) -> None:
    sampling = Sampling(max_measure_s=1000.0, relative_half_width=0.0)
    *_, last = measure_all(constant(10.0), update_s=10.0, sampling=sampling, ends_at=ends_at)
    assert last.num_blocks == num_blocks


def test_the_callers_time_between_blocks_is_in_no_block() -> None:
    machine = constant(0.1)
    estimates = []
    for estimate in measure(
        machine.run,
        clock=machine.clock,
        env_steps_per_update=1000,
        update_s=0.1,
        sampling=Sampling(),
    ):
        machine.now += 0.4
        estimates.append(estimate)
    assert estimates[-1].steps_per_second == pytest.approx(10_000)


@pytest.mark.parametrize("num_updates", [1, 7, 200, 201])
def test_a_soak_runs_exactly_so_many_updates(num_updates: int) -> None:
    machine = constant(0.02)
    estimates = measure_all(
        machine, update_s=0.02, sampling=Sampling(max_measure_s=60.0), num_updates=num_updates
    )
    assert sum(machine.calls) == estimates[-1].num_updates == num_updates


def test_a_soak_has_no_short_last_block() -> None:
    machine = constant(0.02)
    measure_all(machine, update_s=0.02, sampling=Sampling(max_measure_s=60.0), num_updates=201)
    assert min(machine.calls_s) >= 0.5


def test_a_soak_stops_at_the_cap() -> None:
    machine = constant(1.0)
    *_, last = measure_all(machine, update_s=1.0, num_updates=200)
    assert last.num_updates == 15


@pytest.mark.parametrize(
    ("values", "interval"),
    [
        ([3.0], (3.0, 3.0)),
        ([3.0, 5.0], (3.0, 5.0)),
        ([3.0, 5.0, 4.0], (3.0, 5.0)),
        ([3.0, 5.0, 4.0, 6.0, 7.0], (3.0, 7.0)),
        ([2.0] * 9, (2.0, 2.0)),
    ],
)
def test_few_blocks_have_their_range_for_an_interval(
    values: list[float], interval: tuple[float, float]
) -> None:
    assert median_interval(values) == pytest.approx(interval)


def test_one_outlier_does_not_widen_the_interval_of_many_blocks() -> None:
    values = [100.0 + k % 3 for k in range(20)]
    assert median_interval([*values, 10.0])[0] >= 100.0


def test_the_interval_covers_the_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = [
        low <= 0.0 <= high
        for low, high in (median_interval(rng.standard_normal(9).tolist()) for _ in range(400))
    ]
    assert statistics.fmean(covered) > 0.9


@pytest.mark.parametrize(
    ("steps", "seconds", "low", "high"),
    [
        ([8.0], [2.0], 4.0, 4.0),
        ([1.0, 1.0], [1.0, 2.0], 0.5, 1.0),
        ([10.0] * 9, [5.0] * 9, 2.0, 2.0),
        # One block of learning among nine of a rollout: none to three of it in a resample.
        ([50.0] * 9 + [1.0], [0.5] * 9 + [2.5], 353 / 11, 100.0),
    ],
)
def test_the_interval_of_the_mean_has_rare_blocks_in_it(
    steps: list[float], seconds: list[float], low: float, high: float
) -> None:
    assert mean_interval(steps, seconds) == pytest.approx((low, high))
    assert mean_interval(steps, seconds) == mean_interval(steps, seconds)


def test_the_same_blocks_give_the_same_interval() -> None:
    values = np.random.default_rng(3).standard_normal(12).tolist()
    assert median_interval(values) == median_interval(values)


@pytest.mark.parametrize(
    ("update_s", "duration_s", "left", "planned"),
    [
        (0.1, 0.5, None, 6),
        (40.0, 0.5, None, 1),
        (0.1, 0.5, 20, 7),
        (0.1, 0.5, 4, 4),
        (0.1, 0.5, 1, 1),
    ],
)
def test_plan(update_s: float, duration_s: float, left: int | None, planned: int) -> None:
    assert plan_updates(update_s, duration_s, left) == planned


def disturbed_measure(
    machine: FakeMachine, disturbances: Callable[[int], bool], **changes: float
) -> list[Throughput]:
    """Measure blocks of one second; `disturbances(n)` is whether the n-th was disturbed."""
    told: list[bool] = []

    def disturbed() -> list[bool]:
        told.append(disturbances(len(told)))
        return told

    sampling = Sampling(
        block_s=1.0,
        **({"max_measure_s": 10.0, "max_disturbed_s": 10.0} | changes),  # type: ignore[arg-type]
    )
    return list(
        measure(
            machine.run,
            clock=machine.clock,
            env_steps_per_update=100,
            update_s=0.1,
            sampling=sampling,
            disturbed=disturbed,
        )
    )


def test_disturbed_blocks_do_not_count_and_their_time_is_given_again() -> None:
    machine = FakeMachine(lambda n: 0.2 if n < 40 else 0.1)
    last = disturbed_measure(machine, lambda n: n < 6, max_measure_s=7.0)[-1]
    assert last.steps_per_second == pytest.approx(1000.0)
    assert (last.disturbed, last.converged) == (False, True)
    assert (last.num_disturbed_blocks, last.num_blocks) == (6, 5)
    assert machine.now > 7.0


def test_a_machine_that_is_never_quiet_ends_the_trial_with_the_mark() -> None:
    machine = constant(0.1)
    last = disturbed_measure(machine, lambda _: True)[-1]
    assert (last.disturbed, last.converged) == (True, False)
    assert last.num_blocks == last.num_disturbed_blocks == 10
    assert 10.0 <= machine.now <= 11.5


def test_a_few_quiet_blocks_are_no_figure_beside_many_others() -> None:
    last = disturbed_measure(constant(0.1), lambda n: n not in (3, 7))[-1]
    assert last.disturbed
    assert (last.num_blocks, last.num_disturbed_blocks) == (12, 10)


def test_a_soak_is_given_no_more_time() -> None:
    machine, numbers = constant(0.1), itertools.count(1)
    found = list(
        measure(
            machine.run,
            clock=machine.clock,
            env_steps_per_update=100,
            update_s=0.1,
            sampling=Sampling(block_s=1.0, max_measure_s=100.0),
            num_updates=50,
            disturbed=lambda: [True] * next(numbers),
        )
    )
    assert found[-1].num_updates == 50
    assert found[-1].disturbed
