"""What a search found, in words for a person at 2 a.m.: headline, grounds, what to run next. Pure.

Terminal, plain lines and JSON say the same sentences (result_view.py); so may any other report.
"""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.measurement import OutcomeKind
from tune.screen import trials_table as trials_view
from tune.search.candidates import Peaks, peaks
from tune.search.finals import key, winning_kind
from tune.search.objective import Objective
from tune.search.result import EXPLORING, Candidate, Kind, SearchResult, Trial
from tune.spec import SearchSpec, Task
from tune.speedup import speedup
from tune.summary import outcomes as words

if TYPE_CHECKING:
    from tune.preflight.judge import Preflight

_MEANS_NOTHING = frozenset({OutcomeKind.COMPLETED, OutcomeKind.SLOW, OutcomeKind.NODE_LOST})
_LIMITS = frozenset({OutcomeKind.THREAD_LIMIT, OutcomeKind.DEVICE_MEMORY, OutcomeKind.HOST_MEMORY})
_FINISH = "this command with --known and all parts' journal.log in place of --shard"
_NEAR = 0.8
"""From this share of a limit on, the next doubling would cross it, or noise may."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the result is judged against: budgets, room for threads, and what was asked for.

    `cpus` are those of a trial under the full cap; `shard` is the part that was asked for, if any.
    """

    objective: Objective
    baseline_is_default: bool
    soak_updates: int
    synthetic_data: bool
    device_budget_bytes: int
    host_budget_bytes: int
    thread_room: int | None
    cpus: tuple[int, ...]
    shard: str | None = None

    @classmethod
    def of(cls, spec: SearchSpec, task: Task, preflight: "Preflight") -> "Context":
        """What a search with these options is judged against on this machine."""
        return cls(
            objective=spec.objective,
            baseline_is_default=not spec.baseline and task.phase is not None,
            soak_updates=spec.soak_updates,
            synthetic_data=bool(task.data.get("synthetic")),
            device_budget_bytes=preflight.device_budget_bytes,
            host_budget_bytes=preflight.host_budget_bytes,
            thread_room=preflight.findings.thread_limits.room,
            cpus=preflight.thread_env.cpus if preflight.thread_env else (),
            shard=spec.shard,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """A result in words: label and text per row; commands are to be copied as they are."""

    headline: str
    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    succeeded: bool


def conclude(
    result: SearchResult, context: Context, *, profiles: Mapping[Kind, Path], files: Sequence[Path]
) -> Conclusion:
    """Say what was found, or why nothing was."""
    written = tuple(("file", str(path)) for path in files)
    winner = result.chosen.get(winning_kind(context.objective))
    if winner is None:
        return Conclusion(
            headline=_nothing(result),
            rows=(*_failures(result), *_search_rows(result), *written),
            warnings=(),
            commands=(),
            succeeded=False,
        )
    if context.shard is not None:
        return Conclusion(
            headline=f"Part {context.shard} is explored; its best: {words.sizes(winner.config)}.",
            rows=(("speed", _speed(winner)), *_search_rows(result), *written),
            warnings=(),
            commands=(("finish", _FINISH),),
            succeeded=True,
        )
    seen = peaks(winner, result.trials)
    rows = [
        ("configuration", words.configuration(winner.config)),
        ("speed", _speed(winner)),
        ("compared", _comparison(winner, result, context)),
        ("language model", _language_model(winner)),
        *_resources(winner, seen, context),
        ("soak", _soak(winner, context)),
        *_other_kinds(result, winner),
        *_search_rows(result),
        *(("profile", f"{path} ({kind})") for kind, path in profiles.items()),
        *written,
    ]
    profile = profiles.get(winning_kind(context.objective))
    return Conclusion(
        headline=_headline(winner, result, context),
        rows=tuple((label, text) for label, text in rows if text),
        warnings=tuple(_warnings(winner, result, context)),
        commands=() if profile is None else _commands(profile, seen, context),
        succeeded=True,
    )


def _nothing(result: SearchResult) -> str:
    if not result.outcome_counts:
        return "No trial came to an end, so there is no profile."
    return "No configuration was feasible, so there is no profile."


def limited_by(result: SearchResult, context: Context) -> str:
    """Which limit is nearest to the winner, and which ones configurations met on the way."""
    met = ", ".join(
        f"{words.advice(name).short} {count}"
        for name, count in result.outcome_counts.items()
        if name == "excluded" or OutcomeKind(name) in _LIMITS
    )
    met = f"Trials that met a limit: {met}." if met else "No trial met a limit."
    winner = result.chosen.get(winning_kind(context.objective))
    if winner is None:
        return met
    seen = peaks(winner, result.trials)
    shares = {
        name: use / limit
        for name, use, limit in (
            ("device memory", winner.device_bytes, context.device_budget_bytes),
            ("host memory", seen.host_bytes, context.host_budget_bytes),
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
    return (
        f"No limit is near: it takes {share} of the {name} allowed, and a smaller share of all "
        f"else. {met}"
    )


def _headline(winner: Candidate, result: SearchResult, context: Context) -> str:
    baseline = result.baseline
    name = words.sizes(winner.config)
    fastest = "best" if context.objective is Objective.BALANCED else "fastest"
    if baseline is None:
        return f"{name} is the {fastest} of what fits here."
    default = _baseline_name(context, baseline)
    if key(winner.config) == key(baseline.config):
        return f"{default[0].upper()}{default[1:]} is already the {fastest} of what was tried."
    gain = speedup(winner, baseline)
    if gain.is_noise:
        return f"{default[0].upper()}{default[1:]} is already as good: nothing was clearly faster."
    if gain.ratio < 1.0:
        return f"{name} is the best by --objective {context.objective}, not the fastest."
    return f"{name}: {words.times(gain.ratio)} faster than {default}"


def _baseline_name(context: Context, baseline: Candidate) -> str:
    what = "the framework default" if context.baseline_is_default else "your baseline"
    return f"{what} ({words.sizes(baseline.config)})"


def _speed(candidate: Candidate) -> str:
    low, high = words.speed(candidate.low), words.speed(candidate.high)
    processes = words.plural(candidate.num_processes, "fresh process")
    speed = words.speed(candidate.steps_per_second)
    return f"{speed} env steps/s, 95 % interval {low} to {high}, from {processes}"


def _comparison(winner: Candidate, result: SearchResult, context: Context) -> str:
    baseline = result.baseline
    if baseline is None:
        return ""
    if key(winner.config) == key(baseline.config):
        return "it is the baseline itself"
    gain = speedup(winner, baseline)
    against = f"{_baseline_name(context, baseline)} at {words.speed(baseline.steps_per_second)}"
    bounds = f"{words.times(gain.low)} to {words.times(gain.high)}"
    if gain.is_noise:
        return f"no more than noise apart from {against}: {bounds}"
    return f"{bounds} the speed of {against}"


def _language_model(winner: Candidate) -> str:
    measured = winner.representative.measurement
    return words.language_model(measured.health) if measured else ""


def _resources(winner: Candidate, seen: Peaks, context: Context) -> list[tuple[str, str]]:
    measured = winner.representative.measurement
    rows = []
    if winner.device_bytes is not None:
        source = "measured" if measured and measured.peak_device_bytes else "as compiled"
        use = _use_of(winner.device_bytes, context.device_budget_bytes)
        rows.append(("device memory", f"{use} ({source})"))
    if seen.host_bytes is not None:
        rows.append(("host memory", _use_of(seen.host_bytes, context.host_budget_bytes)))
    if seen.num_threads is not None:
        room = f"; room for {context.thread_room:,}" if context.thread_room is not None else ""
        text = f"{seen.num_threads} at most, under a cap of {seen.thread_cap}{room}"
        rows.append(("threads", text))
    return rows


def _use_of(use_bytes: int, budget_bytes: int) -> str:
    left = max(0.0, 1.0 - use_bytes / budget_bytes)
    return f"{words.size(use_bytes)} of {words.size(budget_bytes)} allowed, {100 * left:.0f} % free"


def _soak(winner: Candidate, context: Context) -> str:
    soak = winner.soak
    if soak is None:
        return ""
    speed = words.speed(soak.steps_per_second)
    done = f"{soak.num_updates} of {words.plural(context.soak_updates, 'update')}"
    return f"{done} in one process, {words.duration(soak.measure_s)} at {speed} env steps/s"


def _other_kinds(result: SearchResult, winner: Candidate) -> list[tuple[str, str]]:
    return [
        (
            kind.value,
            f"{words.configuration(candidate.config)}: {words.speed(candidate.steps_per_second)} "
            f"env steps/s, {words.size(candidate.device_bytes)}",
        )
        for kind, candidate in result.chosen.items()
        if key(candidate.config) != key(winner.config)
    ]


def _search_rows(result: SearchResult) -> list[tuple[str, str]]:
    counts = result.outcome_counts
    trials = ", ".join(f"{count} {words.advice(name).short}" for name, count in counts.items())
    state = "interrupted; this is the best so far" if result.partial else "complete"
    return [
        ("trials", trials or "none"),
        ("stopped", result.stop_reason),
        ("search", f"{state}, {words.duration(result.wall_s)}"),
    ]


def _failures(result: SearchResult) -> list[tuple[str, str]]:
    """What kept configurations from running: the kinds with the last evidence and what to do."""
    latest: dict[str, Trial] = {}
    for trial in result.trials:
        if trial.outcome is not None and trial.outcome.kind not in _MEANS_NOTHING:
            latest["excluded" if trial.excluded else trial.outcome.kind.value] = trial
    if not latest:
        return [("why", "no trial came to an end.")]
    if OutcomeKind.DEVICE_MEMORY.value in latest:
        latest.pop("excluded", None)  # the same limit, foreseen
    rows = []
    for name in result.outcome_counts:
        if name not in latest:
            continue
        advice, outcome = words.advice(name), latest[name].outcome
        assert outcome is not None
        rows.append((advice.short, f"{advice.means} Last: {outcome.message}"))
        if outcome.log is not None and outcome.kind is OutcomeKind.ERROR:
            rows.append(("log", outcome.log))
        rows.append(("what to do", advice.do))
    return rows


def _warnings(winner: Candidate, result: SearchResult, context: Context) -> list[str]:
    warnings = []
    if result.partial:
        warnings.append("the search was interrupted: go on with --resume for the whole answer.")
    if not winner.confirmed:
        warnings.append("not confirmed: measured while exploring, not again in finals.")
    soak = winner.soak
    if context.soak_updates and soak is None:
        warnings.append("not soaked: exhaustion has been seen as late as update 130.")
    elif soak is not None and soak.num_updates < context.soak_updates:
        warnings.append(
            f"the soak was cut short after {soak.num_updates} of {context.soak_updates} updates: "
            "its time was up."
        )
    measured = winner.representative.measurement
    if measured is not None and not measured.converged and soak is not measured:
        warnings.append("the speed varied more than 2 %; the interval is as wide as it was seen.")
    if result.baseline is None:
        warnings.append("the baseline did not run to its end here, so there is no speed-up to say.")
    warnings += [
        f"{words.sizes(trial.config)} was explored, but failed later ({trial.stage}): "
        f"{trials_view.outcome_label(trial)}."
        for trial in result.trials
        if trial.stage not in EXPLORING
        and trial.outcome is not None
        and trial.outcome.kind not in _MEANS_NOTHING
    ]
    errors = result.outcome_counts.get(OutcomeKind.ERROR.value, 0)
    if errors:
        verb = "failed with an error that is" if errors == 1 else "failed with errors that are"
        warnings.append(f"{words.plural(errors, 'trial')} {verb} no limit: read the logs.")
    if context.synthetic_data:
        warnings.append(
            "synthetic data: speed holds for real bars of this shape, learning may not."
        )
    return warnings


def _commands(profile: Path, seen: Peaks, context: Context) -> tuple[tuple[str, str], ...]:
    cpus = words.cpu_ranges(context.cpus[: seen.thread_cap])
    file = shlex.quote(str(profile))
    return (
        (
            "train",
            f'eval "$(python -m tune.profile env {file})" && taskset -c {cpus} YOUR TRAINING',
        ),
        ("look at it", f"python -m tune.profile show {file}"),
        ("does it still hold", f"python -m tune.profile validate {file}"),
    )
