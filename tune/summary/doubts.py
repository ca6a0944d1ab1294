"""The doubts that are left about a result, each a sentence. Pure."""

from collections.abc import Mapping

from cluster.pages import units
from search_spaces.config import ConfigKey, config_key, config_name, is_smaller, num_samples, weight
from trainables.measurement import Measurement, OutcomeKind
from trainables.sampling import Sampling
from tune.run_folder.record import SearchContext
from tune.search import gpus, progress
from tune.search.candidates import candidates_of
from tune.search.levers import base_of
from tune.search.objective import Objective
from tune.search.result import Candidate, SearchResult
from tune.search.trial import EXPLORING, Stage
from tune.summary import learning, processes
from tune.summary.trials import outcome_label, soak_noun

_HELD_BACK_SHARE = 0.1
"""The share of the soak from which on lowered clocks are worth a sentence."""

_MOST_NAMES = 3
_LEAST_DEATHS = 2
_FEWER_UPDATES = 4
"""The ratio of samples per update from which on learning by count of steps is another matter.

On CartPole 4 x the environments took 1.0 to 4.3 x the env steps, 16 x took 1.5 to 5.7 x, with the
same rollouts and batches: benchmarks.learning --configs.
"""

_SEVERAL_TIMES = 3.0
"""The factor in seconds of learning from which on a guess is worth a sentence."""

_SETTLING_BYTES = 2**26
"""A rise of device memory's peak that a longer run may have for once."""


def warnings(winner: Candidate, result: SearchResult, context: SearchContext) -> list[str]:
    """Return a sentence for each thing that was not proven of the winner."""
    doubts = []
    if result.partial:
        doubts.append("the search was interrupted: go on with --resume for the whole answer.")
    if not winner.confirmed:
        soaks = [trial.outcome for trial in result.trials if trial.stage is Stage.SOAK]
        alone = any(outcome is winner.representative for outcome in soaks)
        where = "in its soak alone" if alone else "while exploring"
        doubts.append(f"not confirmed: measured {where}, not again in finals.")
    doubts += _of_the_soak(winner, context) + _growth(winner, result, context)
    doubts += [*context.doubts, *_of_the_interval(winner), *_perhaps_faster(winner, result)]
    doubts += _while_disturbed(winner, result)
    doubts += processes.doubts(winner, context) + _of_learning(winner, result, context)
    if result.baseline is None:
        doubts.append("the baseline did not run to its end here, so there is no speed-up to say.")
    doubts += [
        f"{config_name(trial.config)} was explored, but failed later ({trial.stage}): "
        f"{outcome_label(trial)}."
        for trial in result.trials
        if trial.stage not in EXPLORING
        and trial.failed
        and (trial.stage is not Stage.LEVER or trial.config == base_of(result.trials))
    ]
    doubts += (beyond := _beyond(result))
    kinds = [trial.kind for trial in result.trials if trial.stage is not Stage.LEVER]
    errors = 0 if beyond else kinds.count(OutcomeKind.ERROR)  # a lever's death has a row
    if errors:
        verb = "failed with an error that is" if errors == 1 else "failed with errors that are"
        doubts.append(f"{units.plural(errors, 'trial')} {verb} no limit: read the logs.")
    doubts += _lost(result)
    doubts += [gpus.left_out(gpu, share) for gpu, share in gpus.slow(result.trials).items()]
    if context.synthetic_data:
        doubts.append("synthetic data: speed holds for real bars of this shape, learning may not.")
    return doubts


def _of_learning(winner: Candidate, result: SearchResult, context: SearchContext) -> list[str]:
    """Return what speed alone does not say of learning by the winner."""
    if context.learning is not None:
        return learning.doubts(winner, result)
    doubts = []
    if context.objective is Objective.BALANCED and winner.noise_scale is None:
        doubts.append(
            "the gradient noise scale is not known, so that no batch size was discounted; the "
            "samples of an update were, by a model and no measurement."
        )
    sooner = _learns_sooner(winner, result)
    if sooner is not None:
        return [*doubts, sooner]
    of_baseline = None if result.baseline is None else num_samples(result.baseline.config)
    samples = num_samples(winner.config)
    if samples and of_baseline and samples >= _FEWER_UPDATES * of_baseline:
        doubts.append(
            f"each update takes {samples:,} samples, {samples / of_baseline:.0f} x the "
            "baseline's, so that the policy is updated less often per step and may need more steps "
            "to learn: this command with --objective learning trains both, and tells."
        )
    return doubts


def _learns_sooner(winner: Candidate, result: SearchResult) -> str | None:
    """Return which other finalist may learn several times sooner than the winner."""
    others = {
        progress.times_as_long(
            winner.config,
            winner.steps_per_second,
            one.config,
            one.steps_per_second,
            noise_scale=winner.noise_scale,
        ): one
        for one in candidates_of(result.trials)
        if one.confirmed
    }
    ratio = max(others, default=0.0)
    if ratio < _SEVERAL_TIMES:
        return None
    return (
        f"{config_name(others[ratio].config)} may learn about {ratio:.0f} x sooner, because its "
        "updates or gradient steps take fewer samples. No training of this task says so, it is a "
        "model of progress: this command with --objective learning trains both, and tells."
    )


def _lost(result: SearchResult) -> list[str]:
    """Return which configurations were never measured, because something ended their processes."""
    measured = {config_key(trial.config) for trial in result.trials if trial.measurement}
    names = {
        config_key(trial.config): config_name(trial.config)
        for trial in result.trials
        if trial.kind is OutcomeKind.NODE_LOST and config_key(trial.config) not in measured
    }
    if not names:
        return []
    return [
        f"{_some(names)} could not be measured, because something on this machine ended its "
        "processes: find out what it was."
    ]


def _some(names: Mapping[ConfigKey, str]) -> str:
    """Return a few names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return "; ".join(list(names.values())[:_MOST_NAMES]) + more  # names have commas of their own


def _beyond(result: SearchResult) -> list[str]:
    """Return from which sizes on trials died of something that nobody knows, if it is the sizes."""
    died = [trial.config for trial in result.trials if trial.kind is OutcomeKind.ERROR]
    ran = [trial.config for trial in result.trials if trial.measurement is not None]
    if len(died) < _LEAST_DEATHS or not all(any(is_smaller(r, d) for r in ran) for d in died):
        return []
    smallest = min(died, key=weight)
    return [
        f"{units.plural(len(died), 'trial')} died of errors that are no known limit, all of them "
        f"larger than what ran: it dies beyond about {config_name(smallest)}. Read the logs."
    ]


def _of_the_soak(winner: Candidate, context: SearchContext) -> list[str]:
    """Return what the soak leaves open, and what it contradicts."""
    soak = winner.soak
    if soak is None:
        needed = "not soaked: exhaustion has been seen as late as update 130."
        return [needed] if context.soak_updates else []
    doubts, noun = [], soak_noun(soak, is_command=context.is_command)
    if soak.num_updates < context.soak_updates:
        doubts.append(
            "the soak was cut short after "
            f"{units.of_planned(soak.num_updates, context.soak_updates, noun)}: its time was up."
        )
    if winner.slower_soak is not None:
        low, high = map(units.speed, winner.soak_range)
        who = "the soak" if winner.promised_processes == 1 else "two soaks, in the mean,"
        doubts.append(
            f"{who} ran at {units.speed(winner.promised)} {soak.unit}/s, below the {low} to {high} "
            "that the finals support: the profile promises what they say."
        )
    if (soak.device_growth_bytes or 0) > _SETTLING_BYTES:
        doubts.append(
            f"the peak of device memory rose by {units.size(soak.device_growth_bytes)} over the "
            f"soak's {units.plural(soak.num_updates, noun)}: longer training may not fit."
        )
    shares = [
        f"its {name} limit for {100 * share:.0f} %"
        for name, share in soak.gpu_held_back.items()
        if share >= _HELD_BACK_SHARE
    ]
    if shares:
        doubts.append(f"the GPU ran at lower clocks in the soak: {', '.join(shares)} of it.")
    return doubts


def _growth(winner: Candidate, result: SearchResult, context: SearchContext) -> list[str]:
    """Return how fast the winner's host memory grew in its soak, and how long that goes well."""
    key = config_key(winner.config)
    soaks = [
        trial.outcome
        for trial in result.trials
        if trial.stage is Stage.SOAK and trial.measurement and config_key(trial.config) == key
    ]
    outcome = soaks[-1] if soaks else None
    measured = outcome.measurement if outcome else None
    if outcome is None or measured is None or outcome.host_growth is None:
        return []
    per_update = outcome.host_growth * measured.measure_s / measured.num_updates
    left = context.host_budget_of(winner.config) - (outcome.peak_host_bytes or 0)
    updates = max(0, round(left / per_update))
    noun = soak_noun(measured, is_command=context.is_command)
    return [
        f"host memory grew by {units.size(per_update)} per {noun} in the soak: what is allowed is "
        f"full after some {units.steps(updates)} {noun}s more."
    ]


def never_quiet(winner: Candidate, result: SearchResult) -> dict[ConfigKey, str]:
    """Return the names of other configurations that were disturbed in every measurement."""
    measured = [
        trial
        for trial in result.trials
        if trial.measurement is not None and trial.stage is not Stage.LEVER
    ]
    quiet = {config_key(trial.config) for trial in measured if not trial.is_disturbed}
    return {
        config_key(trial.config): config_name(trial.config)
        for trial in measured
        if config_key(trial.config) not in quiet | {config_key(winner.config)}
    }


def _perhaps_faster(winner: Candidate, result: SearchResult) -> list[str]:
    """Return which other configurations may be faster than they look."""
    names = never_quiet(winner, result)
    if not names:
        return []
    return [f"disturbed in every measurement, and perhaps faster than it looks: {_some(names)}."]


def _while_disturbed(winner: Candidate, result: SearchResult) -> list[str]:
    """Return how it ran while it was disturbed, where that is beyond what is promised."""
    if winner.disturbed:
        return []
    ran = [
        (trial.stage, trial.measurement.steps_per_second)
        for trial in result.trials
        if trial.measurement is not None
        and trial.is_disturbed
        and config_key(trial.config) == config_key(winner.config)
        and trial.stage not in {Stage.LEVER, Stage.LEARN}
    ]
    doubts = []
    if (fastest := max((speed for _, speed in ran), default=0.0)) > winner.high:
        doubts.append(
            f"it ran at {units.speed(fastest)} {winner.unit}/s while it was disturbed, "
            "above all that is promised: it may be faster."
        )
    soaked = [speed for stage, speed in ran if stage is Stage.SOAK]
    if len(soaked) == len(winner.soaks) > 0 and soaked[-1] < winner.promised_low:
        doubts.append(
            f"the soak was disturbed and ran at {units.speed(soaked[-1])} {winner.unit}/s, below "
            "all that is promised: a training that meets as much gets no more."
        )
    return doubts


def _of_the_interval(winner: Candidate) -> list[str]:
    """Return why the winner's speed is not known better."""
    measured = winner.representative.measurement
    if winner.disturbed:
        return ["every process that counts was disturbed: its speed is what was left."]
    if measured is not None and not measured.converged and winner.soak is not measured:
        return [_why_unsure(measured)]
    if winner.vagueness is not None and winner.confirmed and winner.slower_soak is None:
        return [
            f"its speed is known to {100 * winner.vagueness:.0f} % either way, and no better: "
            "search again on a quieter machine, for longer, or with more --final-rounds."
        ]
    return []


def _why_unsure(measured: Measurement) -> str:
    """Return why the speed is not known to 2 %: too few blocks, too short a time for the mean of a
    count, or speeds that differ.
    """
    sampling = Sampling()
    if measured.num_blocks < sampling.min_blocks:
        blocks = units.plural(measured.num_blocks, "block")
        return (
            f"only {blocks} of updates fitted into the time to measure, too few to tell how much "
            "the speed varies."
        )
    side = (measured.high - measured.low) / 2
    if side < sampling.relative_half_width * measured.steps_per_second:
        num_all = measured.num_blocks + measured.num_disturbed_blocks
        counted_s = measured.measure_s * measured.num_blocks / num_all
        return (
            f"its speed is the mean of only {units.duration(counted_s)}, because that was all the "
            "time that counted: what comes rarely, as learning after a rollout, may be in it too "
            "often or too seldom."
        )
    return "the speed varied more than 2 %; the interval is as wide as it was seen."
