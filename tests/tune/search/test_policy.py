"""The policy, driven over surfaces that are known: no Ray, no process, no clock."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from factories import outcome, trial
from search_spaces.config import config_key
from simulated_search import BASELINE, BUDGET, SPACE, Clock, drive, machine, make, need_bytes, speed
from trainables.measurement import Outcome, OutcomeKind
from tune.search import stopping
from tune.search.finals import FinalsPlan
from tune.search.result import Kind
from tune.search.trial import EXPLORING, Stage, Trial


def test_baseline_then_ramp_then_sampler_then_finals_then_soak(tmp_path: Path) -> None:
    ran = drive(make(tmp_path))
    stages = [trial.stage for trial in ran]
    assert stages[0] is Stage.BASELINE
    assert ran[0].config == BASELINE
    order = [Stage.BASELINE, Stage.RAMP, Stage.SEARCH, Stage.FINAL, Stage.SOAK]
    assert stages == sorted(stages, key=order.index)
    assert set(stages) == set(order)


def test_the_ramp_climbs_along_num_envs_and_ends_at_the_cliff(tmp_path: Path) -> None:
    ran = drive(make(tmp_path))
    ramp = [trial for trial in ran if trial.stage is Stage.RAMP]
    envs = [trial.config["num_envs"] for trial in ramp]
    assert envs == sorted(set(envs))
    assert envs[0] > BASELINE["num_envs"]
    assert all(t.outcome.kind is OutcomeKind.COMPLETED for t in ramp[:-1] if t.outcome)


def test_nothing_is_explored_twice(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=100)
    drive(search)
    explored = [config_key(trial.config) for trial in search.trials if trial.stage in EXPLORING]
    assert len(explored) == len(set(explored))


def test_the_best_feasible_configuration_is_found_with_few_steps_over_the_cliff(
    tmp_path: Path,
) -> None:
    search = make(tmp_path)
    ran = drive(search)
    best = max(speed(c) for c in SPACE.configurations() if need_bytes(c) <= BUDGET)
    chosen = search.result(partial=False).chosen[Kind.FASTEST]
    assert speed(chosen.config) >= 0.95 * best
    infeasible = [t for t in ran if t.outcome and t.outcome.kind is OutcomeKind.DEVICE_MEMORY]
    assert len(infeasible) <= 3


def test_what_is_predicted_not_to_fit_is_told_and_costs_no_process(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=60)
    ran = drive(search)
    excluded = [trial for trial in search.trials if not trial.was_run]
    assert excluded
    assert not {trial.number for trial in excluded} & {trial.number for trial in ran}
    assert all(need_bytes(trial.config) > BUDGET for trial in excluded)
    assert all("predicted to need" in trial.outcome.message for trial in excluded if trial.outcome)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_runs": 6}, "6 configurations were tried"),
        ({"max_runs": 1}, "1 configuration was tried"),
        ({"patience": 1, "min_gain": 0.005}, "1 trial in a row did not improve the best by 0.5%"),
        ({"patience": 3, "min_gain": 0.5, "max_runs": 99}, "3 trials in a row did not improve"),
        ({"max_runs": 999, "patience": 999}, "every configuration of the space was tried"),
    ],
)
def test_it_says_why_it_stopped(tmp_path: Path, options: dict[str, object], reason: str) -> None:
    search = make(tmp_path, **options)
    drive(search)
    assert reason in search.result(partial=False).stop_reason


def test_what_passed_before_the_search_is_part_of_its_time(tmp_path: Path) -> None:
    search = make(tmp_path, clock=Clock(now=1000.0), elapsed_s=30.0, max_time_s=100.0)
    assert search.remaining_s == 70.0
    assert search.result(partial=True).wall_s == 30.0


@pytest.mark.parametrize("max_time_s", [120.0, 200.0, 400.0])
def test_time_is_kept_for_finals_and_soak_and_most_of_it_is_used(
    tmp_path: Path, max_time_s: float
) -> None:
    clock = Clock()
    search = make(tmp_path, clock=clock, max_runs=999, max_time_s=max_time_s)

    def slow_machine(trial: Trial) -> Outcome:
        clock.now += 10.0
        return machine(trial)

    ran = drive(search, slow_machine)
    assert ran[-1].stage is Stage.SOAK
    assert 0.6 * max_time_s < clock.now <= max_time_s
    assert "--max-time" in search.result(partial=False).stop_reason


def test_a_trial_gets_the_time_that_finals_and_soak_leave(tmp_path: Path) -> None:
    clock = Clock()
    search = make(tmp_path, clock=clock, max_runs=999, max_time_s=600.0)
    first = search.ask()
    assert first is not None
    assert search.time_for(first) == 600.0
    clock.now += 10.0
    search.tell(first, machine(first))
    second = search.ask()
    assert second is not None
    assert 300.0 <= search.time_for(second) < 590.0  # at most half is kept
    assert search.time_for(trial(stage=Stage.FINAL)) == float("inf")
    clock.now += 575.0
    assert search.time_for(second) == 30.0  # the least
    (tmp_path / "other").mkdir()
    assert make(tmp_path / "other").time_for(first) == float("inf")


def test_a_soak_of_many_updates_does_not_eat_the_time_to_explore(tmp_path: Path) -> None:
    clock = Clock()
    plan = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=100_000)
    search = make(tmp_path, clock=clock, plan=plan, max_runs=999, max_time_s=270.0)

    def slow_machine(trial: Trial) -> Outcome:
        clock.now += 15.0
        return machine(trial)

    ran = drive(search, slow_machine)
    explored = [trial for trial in ran if trial.stage in EXPLORING]
    assert len(explored) * 15.0 >= 0.45 * 270.0
    assert [trial.stage for trial in ran][-2:] == [Stage.FINAL, Stage.SOAK]
    assert clock.now <= 270.0


@pytest.mark.parametrize("trial_s", [10.0, 24.0, 28.0])
def test_a_short_search_keeps_time_for_all_rounds_of_the_best_and_the_baseline(
    tmp_path: Path, trial_s: float
) -> None:
    clock = Clock()
    plan = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=200)
    search = make(tmp_path, clock=clock, plan=plan, max_runs=999, max_time_s=270.0)

    def slow_machine(trial: Trial) -> Outcome:
        clock.now += 40.0 if trial.stage is Stage.SOAK else trial_s
        return dataclasses.replace(machine(trial), wall_s=trial_s)

    ran = drive(search, slow_machine)
    finals = Counter(config_key(trial.config) for trial in ran if trial.stage is Stage.FINAL)
    best = search.result(partial=False).chosen[Kind.FASTEST]
    assert finals[config_key(best.config)] == finals[config_key(BASELINE)] == 2
    assert len([trial for trial in ran if trial.stage in EXPLORING]) > 1
    assert ran[-1].stage is Stage.SOAK
    assert clock.now <= 270.0


def test_a_workload_that_only_fails_is_given_up(tmp_path: Path) -> None:
    search = make(tmp_path)
    ran = drive(search, lambda _: outcome(kind=OutcomeKind.ERROR, measurement=None))
    assert len(ran) == 3
    assert "error" in search.result(partial=False).stop_reason
    assert search.result(partial=False).chosen == {}


def test_a_mended_workload_starts_again_where_it_broke(tmp_path: Path) -> None:
    drive(make(tmp_path), lambda _: outcome(kind=OutcomeKind.ERROR, measurement=None))
    ran = drive(make(tmp_path, resume=True))
    assert ran[0].config == BASELINE
    assert ran[-1].stage is Stage.SOAK


def test_lost_nodes_in_the_soak_do_not_go_on_for_ever(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=4)

    def losing(trial: Trial) -> Outcome:
        if trial.stage is Stage.SOAK:
            return outcome(kind=OutcomeKind.NODE_LOST, measurement=None)
        return machine(trial)

    assert len([t for t in drive(search, losing) if t.stage is Stage.SOAK]) == 3


def test_a_lost_node_is_run_again(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=4)
    first = search.ask()
    assert first is not None
    search.tell(first, outcome(kind=OutcomeKind.NODE_LOST, measurement=None))
    again = search.ask()
    assert again is not None
    assert again.config == first.config
    search.tell(again, machine(again))
    ramp = search.ask()
    assert ramp is not None
    search.tell(ramp, outcome(kind=OutcomeKind.NODE_LOST, measurement=None))
    climbed_again = search.ask()
    assert climbed_again is not None
    assert (climbed_again.stage, climbed_again.config) == (Stage.RAMP, ramp.config)


def test_if_the_baseline_does_not_fit_the_lightest_is_next(tmp_path: Path) -> None:
    search = make(tmp_path)
    first = search.ask()
    assert first is not None
    search.tell(first, outcome(kind=OutcomeKind.THREAD_LIMIT, measurement=None))
    second = search.ask()
    assert second is not None
    assert second.config == {"num_envs": 64, "num_steps": 32, "batch_size": 512}


@pytest.mark.parametrize("stage", [Stage.FINAL, Stage.SOAK])
def test_a_disk_that_was_full_costs_the_winner_nothing_once_that_is_mended(
    tmp_path: Path, stage: Stage
) -> None:
    def on_full_disk(trial: Trial) -> Outcome:
        if trial.stage is stage and trial.config == best.config:
            return outcome(kind=OutcomeKind.ERROR, measurement=None)
        return machine(trial)

    (tmp_path / "whole").mkdir()
    whole = make(tmp_path / "whole")
    drive(whole)
    best = whole.result(partial=False).chosen[Kind.FASTEST]
    (tmp_path / "full").mkdir()
    full = make(tmp_path / "full")
    drive(full, on_full_disk)
    assert full.result(partial=False).chosen[Kind.FASTEST].config != best.config
    mended = make(tmp_path / "full", resume=True)
    again = drive(mended)
    assert again[0].config == best.config
    assert mended.result(partial=False).chosen[Kind.FASTEST] == best


@pytest.mark.parametrize("killed_after", [1, 3, 9, 16])
def test_a_resumed_search_goes_on_without_repeating_a_trial(
    tmp_path: Path, killed_after: int
) -> None:
    (tmp_path / "whole").mkdir()
    whole = [(t.stage, t.config) for t in drive(make(tmp_path / "whole"))]
    (tmp_path / "cut").mkdir()
    search = make(tmp_path / "cut")
    before = drive(search, at_most=killed_after)
    search.ask()  # was running when the process was killed
    after = drive(make(tmp_path / "cut", resume=True))
    assert [(t.stage, t.config) for t in before + after] == whole


def test_a_trial_that_cannot_win_is_told_from_where(tmp_path: Path) -> None:
    search = make(tmp_path)
    first = search.ask()
    assert first is not None
    assert search.slow_below(first) is None
    search.tell(first, machine(first))
    second = search.ask()
    assert second is not None
    assert search.slow_below(second) == pytest.approx(0.9 * speed(first.config))


def test_a_baseline_that_is_run_again_is_measured_to_its_end(tmp_path: Path) -> None:
    """Its defect was mended since; what was found meanwhile is far faster."""
    search = make(tmp_path)
    first, second = search.ask(), search.ask()
    assert first is not None
    assert second is not None
    search.tell(first, outcome(kind=OutcomeKind.ERROR, measurement=None))
    search.tell(second, machine(second))
    again = make(tmp_path, resume=True)
    baseline, other = again.ask(), again.ask()
    assert baseline is not None
    assert other is not None
    assert (baseline.stage, baseline.config) == (Stage.BASELINE, BASELINE)
    assert again.slow_below(baseline) is None
    assert again.slow_below(other) == pytest.approx(0.9 * speed(second.config))


def test_trials_side_by_side_never_share_a_configuration(tmp_path: Path) -> None:
    search = make(tmp_path)
    running = [search.ask() for _ in range(4)]
    assert None not in running
    assert len({config_key(trial.config) for trial in running if trial is not None}) == 4


def test_finals_wait_until_exploring_has_ended(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=2)
    first, second = search.ask(), search.ask()
    assert first is not None
    assert second is not None
    assert search.ask() is None
    search.tell(first, machine(first))
    assert search.ask() is None
    search.tell(second, machine(second))
    third = search.ask()
    assert third is not None
    assert third.stage is Stage.FINAL


def test_finals_run_one_after_the_other(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=2, num_parallel=4)
    stages = []
    while (trial := search.ask()) is not None:
        if trial.stage not in EXPLORING:
            assert search.ask() is None
        stages.append(trial.stage)
        search.tell(trial, machine(trial))
    assert stages.count(Stage.FINAL) > 1
    assert stages[-1] is Stage.SOAK


def test_finals_run_side_by_side_where_they_may_and_the_soak_waits_for_all(
    tmp_path: Path,
) -> None:
    plan = FinalsPlan(num_finalists=2, num_rounds=2, soak_updates=5, order="together")
    search = make(tmp_path, max_runs=2, plan=plan)
    for _ in range(2):
        trial = search.ask()
        assert trial is not None
        search.tell(trial, machine(trial))
    finals = []
    while (trial := search.ask()) is not None:
        finals.append(trial)
    assert [trial.stage for trial in finals] == [Stage.FINAL] * 4
    assert {config_key(trial.config) for trial in finals[:2]} == {
        config_key(t.config) for t in finals[2:]
    }
    for trial in finals:
        assert search.ask() is None
        search.tell(trial, machine(trial))
    soak = search.ask()
    assert soak is not None
    assert soak.stage is Stage.SOAK
    assert search.ask() is None


def test_host_that_takes_all_its_trials_along_is_no_broken_workload() -> None:
    lost = [trial(number=n, outcome=outcome(kind=OutcomeKind.NODE_LOST)) for n in range(4)]
    assert stopping.is_broken(lost)
    assert not stopping.is_broken(lost, num_parallel=4)
    assert stopping.is_broken(lost * 2, num_parallel=4)


def dies(trial: Trial) -> Outcome:
    """Die of something that no signature knows, at all sizes but the baseline's."""
    if trial.config == BASELINE:
        return machine(trial)
    return outcome(kind=OutcomeKind.ERROR, message="SIGSEGV", measurement=None)


def test_deaths_of_sizes_that_nobody_knows_keep_what_ran(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=20)
    stages = []
    while (trial := search.ask()) is not None:
        stages.append(trial.stage)
        search.tell(trial, dies(trial))
    assert stages.count(Stage.BASELINE) == 1
    assert stages[-1] is Stage.SOAK
    assert Stage.FINAL in stages
    assert search.result(partial=False).chosen[Kind.FASTEST].config == BASELINE


def test_three_configurations_that_are_killed_twice_each_end_exploring(
    tmp_path: Path,
) -> None:
    """A machine that runs out of memory may end processes, and not say so."""
    search = make(tmp_path, max_runs=20)
    tried: Counter[object] = Counter()
    while (asked := search.ask()) is not None:
        is_small = asked.config["num_envs"] <= BASELINE["num_envs"]
        tried[config_key(asked.config)] += asked.stage in EXPLORING
        killed = outcome(kind=OutcomeKind.NODE_LOST, message="SIGKILL", measurement=None)
        search.tell(asked, machine(asked) if is_small else killed)
    result = search.result(partial=False)
    killed_keys = {config_key(t.config) for t in search.trials if stopping.is_lost(t)}
    assert [tried[key] for key in killed_keys] == [2] * 3
    assert "failed with an error" in result.stop_reason
    assert result.chosen[Kind.FASTEST].config["num_envs"] <= BASELINE["num_envs"]


def test_the_last_trial_is_run_again_if_it_is_lost_after_the_others_ended(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=2, num_parallel=2)
    first, last = search.ask(), search.ask()
    assert first is not None
    assert last is not None
    search.tell(first, machine(first))
    assert search.ask() is None, "two are enough"
    search.tell(last, outcome(kind=OutcomeKind.NODE_LOST, message="gone", measurement=None))
    again = search.ask()
    assert again is not None
    assert (again.stage, again.config) == (last.stage, last.config)
    search.tell(again, machine(again))
    following = search.ask()
    assert following is not None
    assert following.stage is Stage.FINAL


def test_a_loop_that_is_broken_by_now_ends_in_its_finals(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=20)
    stages = []
    while (trial := search.ask()) is not None:
        stages.append(trial.stage)
        broken = outcome(kind=OutcomeKind.ERROR, message="SIGSEGV", measurement=None)
        search.tell(trial, machine(trial) if trial.stage is Stage.BASELINE else broken)
    assert stages.count(Stage.FINAL) == 1
    assert Stage.SOAK not in stages
    assert not search.result(partial=False).chosen


def test_input_that_no_trial_can_run_with_costs_one(tmp_path: Path) -> None:
    search = make(tmp_path, max_runs=20)
    wrong = outcome(kind=OutcomeKind.ERROR, message="no file", measurement=None, ends_search=True)
    first = search.ask()
    assert first is not None
    search.tell(first, wrong)
    assert search.ask() is None
