"""Trials in words: outcome, speed, and the lines for a start and an end. Pure."""

from collections.abc import Iterable, Sequence

from cluster.pages import units
from search_spaces.config import SIZES, Config, config_text
from trainables.measurement import ENV_STEPS, Measurement, Outcome
from tune.search.trial import Trial
from tune.summary import outcomes

_NOTHING_LOST = 0.98
"""The share of its speed that a training keeps where a disturbance is not worth a figure."""


def outcome_label(trial: Trial) -> str:
    """Return a trial's outcome in one or two words."""
    if trial.kind is not None and trial.is_disturbed and trial.kind.was_measured:
        return "disturbed"
    if trial.measurement is not None and trial.measurement.curve is not None:
        return "fell behind" if trial.measurement.curve.fell_behind else "trained"
    return "running" if trial.kind is None else outcomes.EXPLANATIONS[trial.kind].short


def measured_speed(outcome: Outcome | None) -> str:
    """Return a measured speed with its interval, `-` where there is none."""
    if outcome is None or outcome.measurement is None:
        return "-"
    measured = outcome.measurement
    return units.speed_interval(measured.steps_per_second, measured.low, measured.high)


def unit_of(trials: Iterable[Trial]) -> str:
    """Return what the speeds of a search's trials count, in the plural."""
    measured = (t.outcome.measurement for t in trials if t.outcome is not None)
    return next((m.unit for m in measured if m is not None), ENV_STEPS)


def proven_speed(
    steps_per_second: float, low: float, high: float, num_processes: int, unit: str
) -> str:
    """Return a speed with the bounds of its interval and the number of processes behind it."""
    processes = units.plural(num_processes, "fresh process")
    interval = f"95 % interval {units.speed(low)} to {units.speed(high)}"
    return f"{units.speed(steps_per_second)} {unit}/s, {interval}, from {processes}"


def soak_noun(soak: Measurement | None = None, *, is_command: bool) -> str:
    """Return what soaks are counted in, in the singular: a command tells no updates, and some
    loops do not. Before a soak that is not known of a loop.
    """
    return "reading" if is_command else "update" if soak is None else soak.counted


def disturbed_text(trials: Sequence[Trial]) -> str:
    """Return how many trials were disturbed by what, and the seconds that do not count for it."""
    found = "; ".join(filter(None, (_by_programs(trials), _by_machine(trials))))
    if not found:
        return ""
    kept = _kept(trials)
    if kept is None or kept > _NOTHING_LOST:
        return f"{found}. It counts where nothing else was measured; a long training meets it, too"
    return (
        f"{found}. It counts where nothing else was measured; a long training that meets as much "
        f"of it gets {kept:.2f} x of the speed"
    )


def _kept(trials: Sequence[Trial]) -> float | None:
    """Return the share of its speed that a training keeps with as much disturbance.

    What a trial lost that was never quiet, or ran on a slower machine, is not known; with one, the
    share is `None`.
    """
    if any(trial.is_disturbed for trial in trials):
        return None
    spent_s = lost_s = 0.0
    for one in _measured(trials):
        spent_s += one.measure_s
        slow_s = _seconds_of([one], [one.num_disturbed_blocks])
        if one.disturbed_per_second is not None:
            lost_s += slow_s * max(0.0, 1.0 - one.disturbed_per_second / one.steps_per_second)
    return 1.0 - lost_s / spent_s if spent_s else 1.0


def _measured(trials: Sequence[Trial]) -> list[Measurement]:
    return [t.outcome.measurement for t in trials if t.outcome and t.outcome.measurement]


def _by_programs(trials: Sequence[Trial]) -> str:
    measured = _measured(trials)
    counts = [m.num_disturbed_blocks - m.num_slowed_blocks for m in measured]
    if not any(counts):
        return ""
    of_all, lost_s = units.plural(len(measured), "trial"), _seconds_of(measured, counts)
    what = "the CPUs or the GPU" if any(m.num_gpu_shared_blocks for m in measured) else "the CPUs"
    return (
        f"other programs used {what} of {sum(map(bool, counts))} of {of_all} for "
        f"{units.duration(lost_s)}"
    )


def _seconds_of(measured: Sequence[Measurement], counts: Sequence[int]) -> float:
    """Return the seconds that so many of each trial's blocks took."""
    return sum(
        one.measure_s * count / max(1, _num_blocks(one))
        for one, count in zip(measured, counts, strict=True)
    )


def _num_blocks(one: Measurement) -> int:
    """Return of how many blocks the disturbed ones are: all are lost where too few are left."""
    return one.num_disturbed_blocks + (0 if one.disturbed else one.num_blocks)


def _by_machine(trials: Sequence[Trial]) -> str:
    shares = [trial.machine_share for trial in trials if trial.machine_share is not None]
    measured = _measured(trials)
    counts = [one.num_slowed_blocks for one in measured]
    found = []
    if any(counts):
        found.append(
            f"were slower for {units.duration(_seconds_of(measured, counts))} of "
            f"{units.plural(sum(map(bool, counts)), 'trial')}"
        )
    if shares:
        ends = (f"{share:.2f}" for share in (min(shares), max(shares)))
        found.append(
            f"ran at {' to '.join(dict.fromkeys(ends))} x of their best beside "
            f"{units.plural(len(shares), 'trial')}"
        )
    if not found:
        return ""
    return (
        f"the CPUs {', and '.join(found)}, by nothing that the kernel counts: others on the same "
        "host, or heat"
    )


def reason(trial: Trial) -> str | None:
    """Return why a trial is no candidate, with the evidence; `None` if it is one or still runs."""
    if trial.outcome is None or trial.outcome.kind.was_measured:
        return None
    return f"#{trial.number} {outcome_label(trial)}: {trial.outcome.message}"


def started_line(trial: Trial) -> str:
    """Return the line for a trial that starts."""
    return f"trial {trial.number} ({trial.stage}) starts: {config_text(trial.config)}"


def ended_line(trial: Trial) -> str:
    """Return the line for a trial that ended."""
    head = f"trial {trial.number} ({trial.stage}) {outcome_label(trial)}"
    outcome = trial.outcome
    if outcome is None or outcome.measurement is None or not outcome.kind.was_measured:
        message = outcome.message if outcome else ""
        return f"{head}: {config_text(trial.config)}: {message}"
    figures = [f"{measured_speed(outcome)} {outcome.measurement.unit}/s"]
    if outcome.measurement.curve is not None:
        figures.insert(0, outcome.message.removesuffix("."))
    if trial.device_bytes is not None:
        figures.append(units.size(trial.device_bytes))
    if outcome.peak_threads is not None:
        figures.append(units.plural(outcome.peak_threads, "thread"))
    figures.append(units.duration(outcome.wall_s))
    return f"{head}: {config_text(trial.config)}: {', '.join(figures)}"


def fixed_values(trials: Sequence[Trial]) -> Config:
    """Return the values that all trials share, without those of `SIZES`."""
    configs = [trial.config for trial in trials]
    if len(configs) < 2:
        return {}
    return {
        name: value
        for name, value in configs[0].items()
        if name not in SIZES and all(config.get(name) == value for config in configs)
    }
