"""The result of a search in sentences: headline, evidence, warnings, commands to run next. Pure.

Terminal, plain lines, JSON and the report use the same sentences.
"""

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cluster.pages import units
from search_spaces.config import config_key, config_name, config_text
from trainables.measurement import OutcomeKind
from tune.run_folder.record import SearchContext
from tune.search.candidates import winning_kind
from tune.search.peaks import Peaks, peaks
from tune.search.result import Candidate, Kind, SearchResult, winner_of
from tune.search.speedup import speedup
from tune.summary import learning, levers, outcomes, per_gpu
from tune.summary.doubts import warnings
from tune.summary.headline import baseline_name, headline_of
from tune.summary.trials import disturbed_text, proven_speed, soak_noun

_FINISH = "this command with --known and all parts' journal.log in place of --shard"
_NEAR = 0.8
"""The share of a limit from which on it is near: noise may cross it, a doubling will."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """A result in words: rows of label and text, and commands to be copied as they are."""

    headline: str
    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    succeeded: bool


def conclude(
    result: SearchResult,
    context: SearchContext,
    *,
    profiles: Mapping[Kind, Path],
    files: Sequence[Path],
) -> Conclusion:
    """Return what was found, or why nothing was."""
    written = tuple(("file", str(path)) for path in files)
    kind = winner_of(result.chosen, winning_kind(context.objective))
    if kind is None:
        return Conclusion(
            headline=_nothing(result),
            rows=_filled((*_failures(result), *_search_rows(result), *written)),
            warnings=(),
            commands=(),
            succeeded=False,
        )
    winner = result.chosen[kind]
    if context.shard is not None:
        return Conclusion(
            headline=f"Part {context.shard} is explored; its best: {config_name(winner.config)}.",
            rows=_filled((("speed", _speed(winner)), *_search_rows(result), *written)),
            warnings=(),
            commands=(("finish", _FINISH),),
            succeeded=True,
        )
    seen = peaks(winner, result.trials)
    rows = [
        ("configuration", config_text(winner.config)),
        *(learning.rows(winner, result) if context.learning else ()),
        ("speed", _speed(winner)),
        ("compared", _comparison(winner, result, context)),
        ("language model", _language_model(winner)),
        *_resources(winner, seen, context),
        ("soak", _soak(winner, context)),
        *_other_kinds(result, winner),
        *per_gpu.rows(result.trials, on_gpu=context.on_gpu),
        ("side by side", per_gpu.beside(result, context.beside)),
        *levers.rows(result, winner),
        *_search_rows(result),
        *(("profile", f"{path} ({kind})") for kind, path in profiles.items()),
        *written,
    ]
    profile = profiles.get(kind)
    return Conclusion(
        headline=headline_of(winner, result, context),
        rows=_filled(rows),
        warnings=tuple(warnings(winner, result, context)),
        commands=() if profile is None else _commands(profile, winner, seen, context),
        succeeded=True,
    )


def _filled(rows: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((label, text) for label, text in rows if text)


def _nothing(result: SearchResult) -> str:
    if not result.outcome_counts:
        return "No trial came to an end, so there is no profile."
    if _nothing_ran(result):
        return "No trial could run, so there is no profile."
    return "No configuration was feasible, so there is no profile."


def _nothing_ran(result: SearchResult) -> bool:
    """Return whether all trials ended in defects, or were lost."""
    counts = result.outcome_counts
    return bool(counts) and all(kind.says_nothing for kind in counts)


def limited_by(result: SearchResult, context: SearchContext) -> str:
    """Return the limit that is nearest to the winner, and the limits that trials met."""
    met = ", ".join(
        f"{outcomes.EXPLANATIONS[kind].short} {count}"
        for kind, count in result.outcome_counts.items()
        if kind.is_limit
    )
    met = f"Trials that met a limit: {met}." if met else "No trial met a limit."
    kind = winner_of(result.chosen, winning_kind(context.objective))
    if kind is None:
        return met
    winner = result.chosen[kind]
    seen = peaks(winner, result.trials)
    shares = {
        name: use / limit
        for name, use, limit in (
            ("device memory", winner.device_bytes, context.device_budget_bytes),
            ("host memory", seen.host_bytes, context.host_budget_of(winner.config)),
            ("threads", seen.num_threads, context.thread_room),
        )
        if use and limit
    }
    if not shares:
        return met
    name = max(shares, key=lambda name: shares[name])
    share = f"{100 * shares[name]:.0f} %"
    if shares[name] >= _NEAR:
        return f"What limits it: {name}, of which it takes {share} of what is allowed. {met}"
    if context.on_gpu and winner.device_bytes is None:
        unknown = "What it takes of the GPU's memory is not known"
        return f"{unknown}; of the {name} allowed it takes {share}. {met}"
    return (
        f"No limit is near: it takes {share} of the {name} allowed, and a smaller share of all "
        f"else. {met}"
    )


def _speed(candidate: Candidate) -> str:
    return proven_speed(
        candidate.promised,
        candidate.promised_low,
        candidate.high,
        candidate.promised_processes,
        candidate.unit,
    )


def _comparison(winner: Candidate, result: SearchResult, context: SearchContext) -> str:
    baseline = result.baseline
    if baseline is None:
        return ""
    if config_key(winner.config) == config_key(baseline.config):
        return "it is the baseline itself"
    gain = speedup(winner, baseline)
    against = f"{baseline_name(context, baseline)} at {units.speed(baseline.steps_per_second)}"
    bounds = units.times_interval(gain.low, gain.high)
    if winner.disturbed or baseline.disturbed:
        return f"not comparable with {against}: one of the two was disturbed"
    if gain.is_noise:
        return f"no more than noise apart from {against}: {bounds}"
    return f"{bounds} the speed of {against}"


def _language_model(winner: Candidate) -> str:
    measured = winner.representative.measurement
    return outcomes.language_model(measured.health) if measured else ""


def _resources(winner: Candidate, seen: Peaks, context: SearchContext) -> list[tuple[str, str]]:
    measured = winner.representative.measurement
    rows = []
    if winner.device_bytes is not None:
        source = "measured" if measured and measured.peak_device_bytes else "as compiled"
        use = _use_of(winner.device_bytes, context.device_budget_bytes)
        rows.append(("device memory", f"{use} ({source})"))
    if seen.host_bytes is not None:
        budget = context.host_budget_of(winner.config)
        rows.append(("host memory", _use_of(seen.host_bytes, budget)))
    if seen.num_threads is not None:
        room = f"; room for {context.thread_room:,}" if context.thread_room is not None else ""
        text = f"{seen.num_threads} at most, under a cap of {seen.thread_cap}{room}"
        rows.append(("threads", text))
    return rows


def _use_of(use_bytes: int, budget_bytes: int) -> str:
    left = max(0.0, 1.0 - use_bytes / budget_bytes)
    return f"{units.size(use_bytes)} of {units.size(budget_bytes)} allowed, {100 * left:.0f} % free"


def _soak(winner: Candidate, context: SearchContext) -> str:
    soak = winner.soak
    if soak is None:
        return ""
    speed = units.speed(soak.steps_per_second)
    noun = soak_noun(soak, is_command=context.is_command)
    done = units.of_planned(soak.num_updates, context.soak_updates, noun)
    return f"{done} in one process, {units.duration(soak.measure_s)} at {speed} {soak.unit}/s"


def _other_kinds(result: SearchResult, winner: Candidate) -> list[tuple[str, str]]:
    return [
        (
            kind.value,
            f"{config_text(candidate.config)}: {units.speed(candidate.steps_per_second)} "
            f"{candidate.unit}/s, {units.size(candidate.device_bytes)}"
            + ", measured while disturbed"
            * candidate.disturbed,
        )
        for kind, candidate in result.chosen.items()
        if config_key(candidate.config) != config_key(winner.config)
    ]


def _search_rows(result: SearchResult) -> list[tuple[str, str]]:
    state = "interrupted; this is the best so far" if result.partial else "complete"
    if _nothing_ran(result) and not result.partial:
        state = "broken"
    return [
        ("trials", outcomes.counts_text(result.outcome_counts) or "none"),
        ("disturbed", disturbed_text(result.trials)),
        ("stopped", result.stop_reason),
        ("search", f"{state}, {units.duration(result.wall_s)}"),
    ]


def _failures(result: SearchResult) -> list[tuple[str, str]]:
    """Return the kinds of failure, each with its last evidence and what to do."""
    latest = {
        trial.kind: trial.outcome
        for trial in result.trials
        if trial.outcome and not trial.outcome.kind.was_measured
    }
    if not latest:
        return [("why", "no trial came to an end.")]
    if OutcomeKind.DEVICE_MEMORY in latest:
        latest.pop(OutcomeKind.EXCLUDED, None)  # the same limit, by prediction
    rows = []
    for kind in result.outcome_counts:
        if kind not in latest:
            continue
        advice, outcome = outcomes.EXPLANATIONS[kind], latest[kind]
        rows.append((advice.short, f"{advice.means} Last: {outcome.message}"))
        if outcome.log is not None and outcome.kind is OutcomeKind.ERROR:
            rows.append(("log", outcome.log))
        rows.append(("what to do", advice.do))
    return rows


def _commands(
    profile: Path, winner: Candidate, seen: Peaks, context: SearchContext
) -> tuple[tuple[str, str], ...]:
    cpus = units.cpu_ranges(context.cpus_of(winner.config)[: seen.thread_cap])
    file = shlex.quote(str(profile))
    train = f'eval "$(python -m tune.profile env {file})" && taskset -c {cpus} YOUR TRAINING'
    if context.is_command:
        train = f'sh -c "$(python -m tune.profile command {file})"'
    return (
        ("train", train),
        ("look at it", f"python -m tune.profile show {file}"),
        ("does it still hold", f"python -m tune.profile validate {file}"),
    )
