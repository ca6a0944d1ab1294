"""The mark, the series and the tip of a trial in charts. Pure."""

from collections.abc import Callable, Mapping, Sequence

from cluster.pages.chart import ChartPoint, Series
from cluster.pages.drawing import ChartAxis, Mark
from cluster.pages.scale import Linear, Ordinal, short
from search_spaces.config import config_text
from trainables.measurement import Measurement, OutcomeKind
from tune.search.trial import EXPLORING, Stage, Trial
from tune.summary import outcomes
from tune.summary.trials import measured_speed, outcome_label

MARKS: Mapping[OutcomeKind, Mark] = {
    OutcomeKind.DEVICE_MEMORY: Mark.CROSS,
    OutcomeKind.EXCLUDED: Mark.PLUS,
    OutcomeKind.HOST_MEMORY: Mark.SQUARE,
    OutcomeKind.THREAD_LIMIT: Mark.TRIANGLE,
    OutcomeKind.UNSTABLE: Mark.VALLEY,
    OutcomeKind.TIMEOUT: Mark.HOURGLASS,
    OutcomeKind.INVALID: Mark.MINUS,
    OutcomeKind.ERROR: Mark.SLASH,
    OutcomeKind.NODE_LOST: Mark.BAR,
}
"""The mark of a trial without a speed, by its cause."""


def speed_of(trial: Trial) -> Measurement | None:
    """Return the measurement of a trial that has one, even if it was stopped as slow."""
    outcome = trial.outcome
    return outcome.measurement if outcome is not None and outcome.kind.was_measured else None


def causes(group: Sequence[Trial]) -> dict[OutcomeKind, int]:
    """Return the number of trials without a speed, by cause, in the order of `MARKS`."""
    kinds = [trial.kind for trial in group if speed_of(trial) is None]
    return {kind: kinds.count(kind) for kind in MARKS if kind in kinds}


def head(trial: Trial) -> str:
    """Return the head of a tip, which names the trial."""
    return f"trial {trial.number} ({trial.stage}), {config_text(trial.config)}"


def failure_tip(trial: Trial) -> str:
    """Return the tip of a trial without a speed."""
    message = trial.outcome.message if trial.outcome else ""
    return f"{head(trial)}: {outcome_label(trial)}, {message}"


def failed_series(failed: Mapping[OutcomeKind, Sequence[ChartPoint]]) -> list[Series]:
    """Return the series of trials without a speed: one per cause, with its mark."""
    return [
        Series(
            name=outcomes.EXPLANATIONS[kind].short, mark=mark, color="failed", points=failed[kind]
        )
        for kind, mark in MARKS.items()
        if kind in failed
    ]


def speed_series(trials: Sequence[Trial], place: Callable[[Trial], float | None]) -> list[Series]:
    """Return the trials as series: by stage if they have a speed, else by cause."""
    explored: list[ChartPoint] = []
    slow: list[ChartPoint] = []
    proven: list[ChartPoint] = []
    failed: dict[OutcomeKind, list[ChartPoint]] = {}
    for trial in trials:
        at, measured = place(trial), speed_of(trial)
        if at is None or trial.kind is None:
            continue
        if measured is None:
            point = ChartPoint(x=at, y=None, tip=failure_tip(trial))
            failed.setdefault(trial.kind, []).append(point)
            continue
        point = ChartPoint(
            x=at,
            y=measured.steps_per_second,
            low=measured.low,
            high=measured.high,
            tip=f"{head(trial)}: {measured_speed(trial.outcome)} {measured.unit}/s",
        )
        if trial.stage not in EXPLORING:
            proven.append(point)
        else:
            (explored if trial.measurement else slow).append(point)
    trained = any(trial.stage is Stage.LEARN for trial in trials)
    later = "trainings, finals and soak" if trained else "finals and soak"
    return [
        Series(name="explored", mark=Mark.CIRCLE, color="accent", points=explored),
        Series(name="stopped as slow", mark=Mark.RING, color="accent", points=slow),
        Series(name=later, mark=Mark.DIAMOND, color="proof", points=proven),
        *failed_series(failed),
    ]


def names_axis(label: str, names: Sequence[str]) -> ChartAxis:
    """Return an axis of names side by side."""
    return ChartAxis(label=label, scale=Ordinal(names=names), tick=lambda value: names[int(value)])


def speed_axis(values: Sequence[float], unit: str, *, from_zero: bool = False) -> ChartAxis:
    """Return the axis of speeds in `unit` per second."""
    return ChartAxis(label=f"{unit}/s", scale=Linear.over(values, from_zero=from_zero), tick=short)
