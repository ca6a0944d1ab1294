"""The seconds that a search takes still, and the part of --max-time that is kept for what comes
after exploring. Pure.
"""

import math
from collections.abc import Sequence

from trainables.sampling import Sampling
from tune.search import finals, stopping, trainings
from tune.search.durations import (
    EXPLORING_SAMPLING,
    FINAL_SAMPLING,
    typical_final_s,
    typical_start_s,
)
from tune.search.finals import Affordable, FinalsPlan
from tune.search.learned import LearningPlan
from tune.search.rules import SearchRules
from tune.search.trial import EXPLORING, Stage, Trial

_LARGEST_RESERVE = 0.5
"""The most of --max-time to keep for finals and soak, so that a short search explores too."""

_LARGEST_NEEDED = 0.75
"""The same, where less would not do for all rounds of the best and of the baseline."""

LONGEST_SOAK_S = 600.0
"""The seconds that a soak measures at most: it ends one of very long updates early."""

_LEAST_SOAK_S = 20.0
"""The seconds that it measures at least: enough updates for a leak to show."""

_SHORT_SOAK_S = 10.0
"""The same, where the time is needed for rounds without which there is nothing to say."""

_ANSWER_S = 5.0
"""The seconds in which the last trial ends, and the profile and the report are written."""


def least_soak_s(plan: FinalsPlan, start_s: float) -> float:
    """Return the seconds that a soak takes at least, if it starts and warms up in `start_s`."""
    return start_s + _LEAST_SOAK_S if plan.soak_updates else 0.0


def sampling_of(stage: Stage, trials: Sequence[Trial], remaining_s: float | None) -> Sampling:
    """Return how the next trial of a stage is sampled: a soak for as long as --max-time leaves."""
    if stage in EXPLORING:
        return EXPLORING_SAMPLING
    if stage is not Stage.SOAK:
        return FINAL_SAMPLING
    left_s = math.inf
    if remaining_s is not None:
        left_s = remaining_s - typical_start_s(trials) - _ANSWER_S
    return Sampling(max_measure_s=min(LONGEST_SOAK_S, max(_SHORT_SOAK_S, left_s)))


def reserved_s(
    rules: SearchRules,
    exploring: stopping.Exploring,
    best: Trial | None,
    first_s: float,
) -> float:
    """Return the seconds to keep for finals and soak, and for what comes before them, `first_s`:
    one more trial, and trainings.

    They are at most half of --max-time, or what all rounds of the best and of the baseline need.
    """
    plan, most_s = rules.finals, rules.stopping.max_time_s or math.inf
    expected_s = first_s + finals.expected_s(exploring.final_s, plan, best)
    of_pair_s = 2 * plan.num_rounds * exploring.final_s
    needed_s = first_s + of_pair_s + least_soak_s(plan, exploring.start_s) + _ANSWER_S
    kept_s = max(_LARGEST_RESERVE * most_s, min(needed_s, _LARGEST_NEEDED * most_s))
    return min(expected_s, kept_s)


def affordable(
    trials: Sequence[Trial], plan: FinalsPlan, remaining_s: float | None, *, num_beside: int = 1
) -> Affordable:
    """Return the finals for which --max-time leaves room. `num_beside` of them run at once."""
    final_s = typical_final_s(trials)
    if remaining_s is None or not final_s:
        return Affordable()
    spare_s = remaining_s - least_soak_s(plan, typical_start_s(trials)) - _ANSWER_S
    cut_s = _LEAST_SOAK_S - _SHORT_SOAK_S if plan.soak_updates else 0.0
    return Affordable(
        num=num_beside * (spare_s // final_s),
        num_needed=num_beside * ((spare_s + cut_s) // final_s),
    )


def expected_s(
    trials: Sequence[Trial],
    rules: SearchRules,
    exploring: stopping.Exploring,
    best: Trial | None,
    *,
    num_beside: int = 1,
) -> float | None:
    """Return the seconds that a search typically takes still, by the trials so far, --max-time
    apart; `None` before the first that was measured.

    Of `trials` only those are needed that do not explore, if nothing is trained. Of finals
    `num_beside` run at once.
    """
    if best is None or best.measurement is None:
        return None
    later = [trial for trial in trials if trial.stage not in EXPLORING]
    num_runs = 0 if later else stopping.num_expected(rules.stopping, exploring)
    num_finals = sum(trial.stage in {Stage.FINAL, Stage.LEVER} for trial in later)
    measured = best.measurement
    update_s = measured.env_steps_per_update / measured.steps_per_second
    exploring_s = num_runs * exploring.run_s / rules.stopping.num_parallel
    final_s = typical_final_s(later) or exploring.final_s
    seconds = [
        exploring_s,
        max(0, rules.finals.num_trials - num_finals) * final_s / num_beside,
        _learning_s(trials, rules.learning, exploring_s),
        0.0 if any(t.stage is Stage.SOAK for t in later) else rules.finals.soak_updates * update_s,
    ]
    return sum(seconds)


def _learning_s(trials: Sequence[Trial], plan: LearningPlan | None, exploring_s: float) -> float:
    """Return the seconds that trainings typically take still: their rounds, as far as it is known
    how long one takes, and before that about as long as all exploring.
    """
    if plan is None:
        return 0.0
    rounds_s = trainings.expected_s(trials, plan)
    if any(trial.stage is Stage.LEARN and trial.outcome for trial in trials):
        return rounds_s
    return min(plan.budget_s(trials) + exploring_s, rounds_s)
