"""The seconds that a search takes still, and the part of --max-time that is kept for what comes
after exploring. Pure.
"""

import math
from collections.abc import Sequence

from tune.search import finals, stopping, trainings
from tune.search.finals import FinalsPlan
from tune.search.learned import LearningPlan
from tune.search.rules import SearchRules
from tune.search.trial import EXPLORING, Stage, Trial

_LARGEST_RESERVE = 0.5
"""The most of --max-time to keep for finals and soak, so that a short search explores too."""

_LARGEST_NEEDED = 0.75
"""The same, where less would not do for all rounds of the best and of the baseline."""

_LEAST_SOAK_S = 40.0
"""The time to start, compile, warm up, and run enough updates for a leak to show."""


def least_soak_s(plan: FinalsPlan) -> float:
    """Return the seconds that a soak takes at least."""
    return _LEAST_SOAK_S if plan.soak_updates else 0.0


def reserved_s(
    explored_s: float,
    plan: FinalsPlan,
    best: Trial | None,
    max_time_s: float | None,
    *,
    trained_s: float = 0.0,
) -> float:
    """Return the seconds to keep for trainings, finals and soak.

    They are at most half of `max_time_s`, or what all rounds of the best and of the baseline need.
    `explored_s` are the typical seconds of a trial that explored, `trained_s` those that trainings
    take still.
    """
    most_s = max_time_s or math.inf
    expected_s = finals.expected_s(explored_s, plan, best) + trained_s
    # One trial more, which may still start, and the two that a comparison takes in each round.
    needed_s = (1 + 2 * plan.num_rounds) * explored_s + least_soak_s(plan) + trained_s
    kept_s = max(_LARGEST_RESERVE * most_s, min(needed_s, _LARGEST_NEEDED * most_s))
    return min(expected_s, kept_s)


def num_affordable(
    trials: Sequence[Trial], plan: FinalsPlan, remaining_s: float | None, *, num_beside: int = 1
) -> float:
    """Return the finals for which --max-time leaves room beside the soak.

    `num_beside` of them run at once.
    """
    if remaining_s is None:
        return math.inf
    final_s = finals.typical_final_s(trials)
    spare_s = remaining_s - least_soak_s(plan)
    return math.inf if not final_s else num_beside * (spare_s // final_s)


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
    final_s = finals.typical_final_s(later) or exploring.explored_s
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
