"""The headline of a search's result: what is fastest, and than what. Pure."""

from cluster.pages import units
from search_spaces.config import config_key, config_name
from tune.run_folder.record import SearchContext
from tune.search.objective import Objective
from tune.search.result import VAGUE, Candidate, SearchResult
from tune.search.speedup import Speedup, speedup
from tune.summary import learning
from tune.summary.doubts import never_quiet

_AGAIN = "search again on a quiet machine."


def headline_of(winner: Candidate, result: SearchResult, context: SearchContext) -> str:
    """Return the winner and its gain, or why there is none to be told."""
    if context.learning is not None:
        return learning.headline(winner, result)
    baseline = result.baseline
    name = config_name(winner.config)
    fastest = "best" if context.objective is Objective.BALANCED else "fastest"
    if baseline is None:
        return f"{name} is the {fastest} of what fits here."
    default = baseline_name(context, baseline)
    subject = default[0].upper() + default[1:]
    is_baseline = config_key(winner.config) == config_key(baseline.config)
    if is_baseline and winner.disturbed:
        return f"{subject} looks like the {fastest}, but it was disturbed each time: {_AGAIN}"
    if winner.disturbed or baseline.disturbed:
        compared = "every comparison with the baseline was disturbed"
        return f"{name} looks like the {fastest}, but {compared}: {_AGAIN}"
    if is_baseline and never_quiet(winner, result):
        return f"{subject} is the {fastest} of what was measured undisturbed. Others may be faster."
    if is_baseline:
        return f"{subject} is already the {fastest} of what was tried."
    gain = speedup(winner, baseline)
    if gain.is_noise:
        return _undecided(name, default, gain, context.objective)
    if gain.ratio < 1.0:
        return f"{name} is the best by --objective {context.objective}, not the fastest."
    return f"{name}: {units.times(gain.ratio, 1.0)} faster than {default}"


def _undecided(name: str, default: str, gain: Speedup, objective: Objective) -> str:
    """Return what is known where neither is clearly faster: that they are alike, or little."""
    if gain.high > 1.0 + VAGUE:
        interval = f"{units.times_interval(gain.low, gain.high)} its speed"
        return f"{name} was not told apart from {default}: {interval}."
    if objective is Objective.BALANCED:
        return f"{name} is the best by --objective balanced, and as fast as {default}."
    return f"{default[0].upper()}{default[1:]} is already as good: nothing was clearly faster."


def baseline_name(context: SearchContext, baseline: Candidate) -> str:
    """Return what the baseline is called, with its configuration."""
    what = "the framework default" if context.baseline_is_default else "your baseline"
    return f"{context.baseline_called or what} ({config_name(baseline.config)})"
