"""After exploring: re-measure the leaders in turn in fresh processes, soak the winner, choose.

Pure. Everything is a function of the trials so far, so that a resumed search goes on as it was.

Why finals: the maximum over noisy measurements is biased upwards, and a process can sit in a fast
or a slow mode for seconds; the leaders and the baseline are revisited at separated times (A B C,
then C B A) and only those visits count for what a profile promises.
"""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from trainables.measurement import OutcomeKind
from tune.search.objective import Objective, score, typical_noise_scale
from tune.search.result import EXPLORING, Candidate, Kind, SearchResult, Stage, Trial

LEAN_SHARE = 0.95
"""`lean` may be this much slower than the fastest."""

_TIE_SHARE = 0.99
"""A tie is no slower than this share of the best: noise alone may hide several percents of speed,
and who would trade those for memory takes `lean`."""

_SAYS_NOTHING = frozenset({OutcomeKind.ERROR, OutcomeKind.NODE_LOST})
Key = tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FinalsPlan:
    """How many leaders are re-measured, how often each, and how many updates the winner soaks."""

    num_finalists: int = 3
    num_rounds: int = 2
    soak_updates: int = 200


def key(config: dict[str, int]) -> Key:
    """A configuration as a hashable value."""
    return tuple(sorted(config.items()))


def next_step(
    trials: Sequence[Trial],
    plan: FinalsPlan,
    objective: Objective,
    baseline: dict[str, int],
    *,
    time_is_short: bool = False,
) -> tuple[Stage, dict[str, int]] | None:
    """Return what to run next, or `None` when the finals and the soak are done.

    With `time_is_short` the finals end where they are; what is left of the time is the soak's.
    """
    leaders = pick_leaders(trials, plan, objective, baseline)
    failed = _disqualified(trials)
    counts = {key(config): 0 for config in leaders}
    for trial in trials:
        if trial.stage is Stage.FINAL and key(trial.config) in counts:
            counts[key(trial.config)] += 1
    waiting = [
        (counts[key(config)], position if counts[key(config)] % 2 == 0 else -position, config)
        for position, config in enumerate(leaders)
        if key(config) not in failed and counts[key(config)] < plan.num_rounds
    ]
    if waiting and not time_is_short:
        return Stage.FINAL, min(waiting, key=lambda item: item[:2])[2]
    if plan.soak_updates == 0:
        return None
    winner = choose(trials, objective).get(winning_kind(objective))
    if winner is None or winner.soak is not None:
        return None
    return Stage.SOAK, winner.config


def typical_s(trials: Iterable[Trial]) -> float:
    """Seconds that a trial takes which is measured to its end, 0.0 before there was one."""
    walls = [t.outcome.wall_s for t in trials if t.outcome is not None and t.measurement]
    return statistics.fmean(walls) if walls else 0.0


def expected_s(explored: Sequence[Trial], plan: FinalsPlan, best: Trial | None) -> float:
    """Seconds that one more trial, the finals and the soak will take, from what trials took.

    The leaders are the finalists, and two more: the baseline, and another kind's choice.
    """
    if best is None or best.measurement is None:
        return 0.0
    num_finals = (plan.num_finalists + 2) * plan.num_rounds
    update_s = best.measurement.env_steps_per_update / best.measurement.steps_per_second
    return typical_s(explored) * (num_finals + 1) + plan.soak_updates * update_s


def winning_kind(objective: Objective) -> Kind:
    """The kind of configuration that an objective searches for."""
    return Kind.BALANCED if objective is Objective.BALANCED else Kind.FASTEST


def pick_leaders(
    trials: Sequence[Trial], plan: FinalsPlan, objective: Objective, baseline: dict[str, int]
) -> list[dict[str, int]]:
    """The best by the objective, what else a profile would name, and the baseline; no repeats.

    Two machines of one class differ by 8 % on average, so the best that a slow one found need not
    be among the best of all figures: of what each has explored, the first is a leader.
    """
    explored = [trial for trial in trials if trial.stage in EXPLORING]
    candidates = summarize(explored)
    picked = [
        candidate.config for candidate in _ranked(candidates, objective)[: plan.num_finalists]
    ]
    for source in dict.fromkeys(trial.source for trial in explored):
        own = summarize(trial for trial in explored if trial.source == source)
        picked += [candidate.config for candidate in _ranked(own, objective)[:1]]
    picked += [candidate.config for candidate in _choose_kinds(candidates, objective).values()]
    if any(key(candidate.config) == key(baseline) for candidate in candidates):
        picked.append(baseline)
    return list({key(config): config for config in picked}.values())


def choose(trials: Sequence[Trial], objective: Objective) -> dict[Kind, Candidate]:
    """The configurations a profile may name, from finals where there were any.

    `balanced` is left out where no gradient noise scale was measured, `lean` where no memory is
    known. The winning kind comes out even without them: `balanced` then falls back to throughput.
    """
    candidates = summarize(trials)
    confirmed = [candidate for candidate in candidates if candidate.confirmed]
    return _choose_kinds(confirmed or candidates, objective)


def result_of(
    trials: tuple[Trial, ...],
    *,
    objective: Objective,
    baseline: dict[str, int],
    stop_reason: str,
    partial: bool,
    wall_s: float,
) -> SearchResult:
    """What a search found: its trials, what they choose, and the baseline if it completed."""
    measured = {key(candidate.config): candidate for candidate in summarize(trials)}
    return SearchResult(
        trials=trials,
        chosen=choose(trials, objective),
        baseline=measured.get(key(baseline)),
        stop_reason=stop_reason,
        partial=partial,
        wall_s=wall_s,
    )


def summarize(trials: Iterable[Trial]) -> list[Candidate]:
    """One `Candidate` per configuration that completed and never failed after that."""
    trials = list(trials)
    failed = _disqualified(trials)
    by_config: dict[Key, list[Trial]] = {}
    for trial in trials:
        if trial.measurement is not None and key(trial.config) not in failed:
            by_config.setdefault(key(trial.config), []).append(trial)
    noise_scale = typical_noise_scale(
        trial.measurement for trial in trials if trial.measurement is not None
    )
    return [_candidate(group, noise_scale) for group in by_config.values()]


def _candidate(group: list[Trial], noise_scale: float | None) -> Candidate:
    finals = [trial for trial in group if trial.stage is Stage.FINAL]
    soaks = [trial for trial in group if trial.stage is Stage.SOAK]
    counted = finals or [trial for trial in group if trial.stage in EXPLORING] or soaks
    measurements = [trial.measurement for trial in counted if trial.measurement is not None]
    latest = counted[-1]
    assert latest.outcome is not None
    return Candidate(
        config=latest.config,
        steps_per_second=statistics.median(m.steps_per_second for m in measurements),
        low=min(m.low for m in measurements),
        high=max(m.high for m in measurements),
        num_processes=len(measurements),
        confirmed=bool(finals),
        representative=latest.outcome,
        device_bytes=max((t.device_bytes for t in group if t.device_bytes), default=None),
        noise_scale=noise_scale,
        soak=soaks[-1].measurement if soaks else None,
    )


def _disqualified(trials: Iterable[Trial]) -> set[Key]:
    """Configurations that met a limit at any time: feasible once is not feasible."""
    return {
        key(trial.config)
        for trial in trials
        if trial.outcome is not None
        and trial.outcome.kind not in {OutcomeKind.COMPLETED, OutcomeKind.SLOW, *_SAYS_NOTHING}
    } | {
        # A defect in a final or a soak is no limit, but nothing that broke may be promised.
        key(trial.config)
        for trial in trials
        if trial.stage not in EXPLORING
        and trial.outcome is not None
        and trial.outcome.kind is OutcomeKind.ERROR
    }


def _scores(candidates: Iterable[Candidate], objective: Objective) -> dict[Key, float]:
    return {
        key(candidate.config): score(
            objective,
            steps_per_second=candidate.steps_per_second,
            batch_size=candidate.config.get("batch_size"),
            noise_scale=candidate.noise_scale,
            gpu_utilization=candidate.gpu_utilization,
        )
        for candidate in candidates
    }


def _ranked(candidates: list[Candidate], objective: Objective) -> list[Candidate]:
    scores = _scores(candidates, objective)
    return sorted(candidates, key=lambda candidate: -scores[key(candidate.config)])


def _choose_kinds(candidates: list[Candidate], objective: Objective) -> dict[Kind, Candidate]:
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
    """The best score; of those whose difference is within noise, the one with least memory.

    Within noise: the best's interval reaches down to it and its own reaches up to the best, and it
    is next to nothing slower.
    """
    scores = _scores(candidates, objective)
    best = max(candidates, key=lambda candidate: scores[key(candidate.config)])
    if objective is not Objective.THROUGHPUT:
        return best
    tied = [
        candidate
        for candidate in candidates
        if candidate.high >= best.steps_per_second
        and candidate.steps_per_second >= max(best.low, _TIE_SHARE * best.steps_per_second)
    ]
    return min(
        tied, key=lambda c: math.inf if c.device_bytes is None else c.device_bytes, default=best
    )
