"""The candidates of a search: each configuration's figures over its trials, and the best by kind.

Pure. Speeds of GPUs that differ are corrected.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from search_spaces.config import Config, ConfigKey, adds_variables, config_key, variables_of
from trainables.measurement import Measurement, OutcomeKind
from tune.search import gpus
from tune.search.learned import Judgement, LearningPlan
from tune.search.learning import judge
from tune.search.noise import between_processes, known_sd_of, over_time
from tune.search.objective import Objective, score, typical_noise_scale
from tune.search.result import Candidate, Kind, Noise, SearchResult, winner_of
from tune.search.rounds import by_round, speeds_by_round
from tune.search.trial import EXPLORING, Stage, Trial

LEAN_SHARE = 0.95
"""The least share of the fastest speed that `lean` may have."""

TIE_SHARE = 0.99
"""The least share of the best speed at which a candidate is tied with it.

Intervals alone may be several percents wide; `lean` is the kind that trades so much for memory.
"""


_WINNING = {
    Objective.THROUGHPUT: Kind.FASTEST,
    Objective.BALANCED: Kind.BALANCED,
    Objective.LEARNING: Kind.LEARNING,
}


def winning_kind(objective: Objective) -> Kind:
    """Return the kind of configuration that an objective searches for."""
    return _WINNING[objective]


def learner_of(trials: Sequence[Trial], judgement: Judgement | None) -> Config | None:
    """Return the configuration that learned fastest, of those that met no limit since."""
    failed = disqualified(trials)
    learned = () if judgement is None else judgement.learned
    return next((one.config for one in learned if config_key(one.config) not in failed), None)


def choose_candidates(
    trials: Sequence[Trial],
    objective: Objective,
    learner: Config | None = None,
    *,
    baseline: Config | None = None,
) -> dict[Kind, Candidate]:
    """Return the best candidate of each kind: from the finals, if they compare what was explored:
    any ran but the baseline's and the learner's, or one of the two was the best of it.

    `learning` is the `learner`, if it was measured, with a lever where that is faster. `balanced`
    is left out where neither a gradient noise scale nor a GPU's use was measured, `lean` where no
    memory is known. The winning kind is there even without them: `balanced` then discounts no batch
    size.
    """
    candidates = candidates_of(trials)
    confirmed = [candidate for candidate in candidates if candidate.confirmed]
    is_settled = any(
        one.config not in (baseline, learner) or _is_best_explored(one.config, trials, objective)
        for one in confirmed
    )
    chosen = choose_by_kind(confirmed if is_settled else candidates, objective)
    if learner is not None:
        own = [c for c in candidates if c.config == learner or adds_variables(c.config, learner)]
        own = [c for c in own if c.confirmed] or own
        chosen |= {Kind.LEARNING: _best(own, Objective.THROUGHPUT)} if own else {}
    return chosen


def _is_best_explored(config: Config, trials: Sequence[Trial], objective: Objective) -> bool:
    failed = disqualified(trials)
    explored = candidates_of(trial for trial in trials if trial.stage in EXPLORING)
    left = [candidate for candidate in explored if config_key(candidate.config) not in failed]
    chosen = choose_by_kind(left, objective)
    best = winner_of(chosen, winning_kind(objective))
    return best is not None and chosen[best].config == config


def result_of(
    trials: tuple[Trial, ...],
    *,
    objective: Objective,
    baseline: Config,
    stop_reason: str,
    partial: bool,
    wall_s: float,
    learning: LearningPlan | None = None,
) -> SearchResult:
    """Return a search's result: its trials, the best by kind, and the baseline if it completed."""
    judgement = None if learning is None else judge(trials, learning)
    learner = learner_of(trials, judgement)
    measured = {config_key(candidate.config): candidate for candidate in candidates_of(trials)}
    return SearchResult(
        trials=trials,
        chosen=choose_candidates(trials, objective, learner, baseline=baseline),
        baseline=measured.get(config_key(baseline)),
        stop_reason=stop_reason,
        partial=partial,
        wall_s=wall_s,
        judgement=judgement,
        learner=learner,
    )


def candidates_of(trials: Iterable[Trial]) -> list[Candidate]:
    """Return one `Candidate` per configuration that completed and never failed after that."""
    trials = list(trials)
    failed = disqualified(trials)
    by_config: dict[ConfigKey, list[Trial]] = {}
    for trial in trials:
        if trial.stage in {Stage.LEVER, Stage.LEARN}:
            continue  # it compares a lever with the winner, or learning, and nothing else
        if trial.measurement is not None and config_key(trial.config) not in failed:
            by_config.setdefault(config_key(trial.config), []).append(trial)
    noise_scale = typical_noise_scale(trials)
    relative = gpus.relative_speeds(trials)
    of_finals = gpus.of_finals(trials, relative)

    def factor(trial: Trial) -> float:
        return 1.0 / gpus.relative_speed(trial, relative, of_finals=of_finals)

    finals = by_round(trials)
    rounds = {key: speeds_by_round(finals.get(key, ()), factor) for key in by_config}
    noises = _noises(by_config, rounds)
    return [
        _candidate(group, rounds[key], noise_scale, noises, factor)
        for key, group in by_config.items()
    ]


def _candidate(
    group: list[Trial],
    rounds: tuple[float | None, ...],
    noise_scale: float | None,
    noises: tuple[Noise, Noise],
    factor: Callable[[Trial], float],
) -> Candidate:
    finals = [trial for trial in group if trial.stage is Stage.FINAL]
    soaks = [trial for trial in group if trial.stage is Stage.SOAK]
    ran = finals or [trial for trial in group if trial.stage in EXPLORING] or soaks
    counted = _undisturbed(ran) or ran
    measured = [
        (trial.measurement, factor(trial)) for trial in counted if trial.measurement is not None
    ]
    speeds = [one.steps_per_second * factor for one, factor in measured]
    speed = statistics.median(speeds)
    noise, noise_over_time = noises
    side = math.exp(noise_over_time.half_width(len(speeds)))
    latest = counted[-1]
    assert latest.outcome is not None
    return Candidate(
        config=latest.config,
        steps_per_second=speed,
        low=min(speed / side, *(one.low * factor for one, factor in measured)),
        high=max(speed * side, *(one.high * factor for one, factor in measured)),
        num_processes=len(speeds),
        confirmed=bool(finals),
        representative=latest.outcome,
        device_bytes=max((t.device_bytes for t in group if t.device_bytes), default=None),
        noise_scale=noise_scale,
        noise=noise,
        noise_over_time=noise_over_time,
        rounds=rounds,
        disturbed=not _undisturbed(ran),
        soaks=tuple(soak for one in soaks if (soak := _soak(one, factor(one))) is not None),
    )


def _soak(trial: Trial, factor: float) -> Measurement | None:
    """Return a soak's measurement as if on the GPU of the finals, disturbed also where the machine
    was slower beside it.
    """
    measured = trial.measurement
    if measured is not None and factor != 1.0:
        measured = dataclasses.replace(
            measured,
            steps_per_second=factor * measured.steps_per_second,
            low=factor * measured.low,
            high=factor * measured.high,
        )
    if measured is None or not trial.is_disturbed:
        return measured
    return dataclasses.replace(measured, disturbed=True)


def _undisturbed(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if not trial.is_disturbed]


def _noises(
    groups: Mapping[ConfigKey, Sequence[Trial]],
    rounds: Mapping[ConfigKey, Sequence[float | None]],
) -> tuple[Noise, Noise]:
    """Return the noise between these configurations' finals: within rounds, and over time."""
    rows = [
        rounds[key]
        for key, group in groups.items()
        if _undisturbed([trial for trial in group if trial.stage is Stage.FINAL])
    ]
    known_sd = known_sd_of(itertools.chain(*groups.values()))
    return between_processes(rows, known_sd=known_sd), over_time(rows, known_sd=known_sd)


def disqualified(trials: Iterable[Trial]) -> set[ConfigKey]:
    """Return the configurations that met a limit at any time, even if they completed before."""
    return {
        config_key(trial.config)
        for trial in trials
        if trial.outcome is not None
        and not (trial.outcome.kind.was_measured or trial.outcome.kind.says_nothing)
    } | {
        # A defect in a final or a soak is no limit, but a profile must not promise what failed.
        config_key(trial.config)
        for trial in trials
        if trial.stage not in EXPLORING
        and trial.kind is OutcomeKind.ERROR
        and not trial.is_forgiven
    }


def scores_of(candidates: Iterable[Candidate], objective: Objective) -> dict[ConfigKey, float]:
    """Return the candidates' scores by the objective."""
    return {
        config_key(candidate.config): score(
            objective,
            config=candidate.config,
            steps_per_second=candidate.steps_per_second,
            noise_scale=candidate.noise_scale,
            gpu_utilization=candidate.gpu_utilization,
        )
        for candidate in candidates
    }


def ranked(candidates: list[Candidate], objective: Objective) -> list[Candidate]:
    """Return the candidates by their score, the best first."""
    scores = scores_of(candidates, objective)
    return sorted(candidates, key=lambda candidate: -scores[config_key(candidate.config)])


def choose_by_kind(candidates: list[Candidate], objective: Objective) -> dict[Kind, Candidate]:
    """Return the best candidate of each kind, of those kinds that something is known for."""
    if not candidates:
        return {}
    fastest = _best(candidates, Objective.THROUGHPUT)
    chosen = {Kind.FASTEST: fastest}
    weighs = any(c.noise_scale is not None or c.gpu_utilization is not None for c in candidates)
    if objective is Objective.BALANCED or weighs:
        chosen[Kind.BALANCED] = _best(candidates, Objective.BALANCED)
    lean = [
        candidate
        for candidate in candidates
        if candidate.device_bytes is not None
        and candidate.steps_per_second >= LEAN_SHARE * fastest.steps_per_second
    ]
    if lean:
        chosen[Kind.LEAN] = min(lean, key=lambda candidate: candidate.device_bytes or 0)
    return chosen


def _best(candidates: list[Candidate], objective: Objective) -> Candidate:
    """Return the candidate with the best score; by throughput the leanest of those tied with it.

    A candidate is tied if each interval reaches the other's speed, and it is at most 1 % slower.
    Of those, one that was measured undisturbed comes first, then one that sets no variables: it is
    simpler.
    """
    scores = scores_of(candidates, objective)
    best = max(candidates, key=lambda candidate: scores[config_key(candidate.config)])
    if objective is Objective.BALANCED:
        return best
    tied = [
        candidate
        for candidate in candidates
        if candidate.high >= best.steps_per_second
        and candidate.steps_per_second >= max(best.low, TIE_SHARE * best.steps_per_second)
    ]
    return min(
        tied,
        key=lambda c: (c.disturbed, len(variables_of(c.config)), c.device_bytes or math.inf),
        default=best,
    )
