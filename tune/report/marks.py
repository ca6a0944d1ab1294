"""How one trial is drawn and told: the mark of its end, its place in a series, its tip. Pure."""

from collections.abc import Callable, Mapping, Sequence

from cluster.pages.chart import Axis, Mark, Point, Series
from cluster.pages.scale import Ordinal
from trainables.measurement import Measurement, OutcomeKind
from tune.screen import trials_table as trials_view
from tune.search.result import EXPLORING, Trial
from tune.summary import outcomes as words

SPEED = "env steps/s"
_MEASURED = frozenset({OutcomeKind.COMPLETED, OutcomeKind.SLOW})
MARKS: Mapping[str, Mark] = {
    OutcomeKind.DEVICE_MEMORY: Mark.CROSS,
    "excluded": Mark.PLUS,
    OutcomeKind.HOST_MEMORY: Mark.SQUARE,
    OutcomeKind.THREAD_LIMIT: Mark.TRIANGLE,
    OutcomeKind.UNSTABLE: Mark.VALLEY,
    OutcomeKind.TIMEOUT: Mark.HOURGLASS,
    OutcomeKind.INVALID: Mark.MINUS,
    OutcomeKind.ERROR: Mark.SLASH,
    OutcomeKind.NODE_LOST: Mark.BAR,
}
"""What a trial without a speed is drawn as, by its cause."""


def speed_of(trial: Trial) -> Measurement | None:
    """The speed of a trial that has one, even if it was stopped as slow."""
    outcome = trial.outcome
    return outcome.measurement if outcome is not None and outcome.kind in _MEASURED else None


def cause(trial: Trial) -> str:
    """Why a trial has no speed, by the name that words.advice knows."""
    assert trial.outcome is not None
    return "excluded" if trial.excluded else trial.outcome.kind.value


def causes(group: Sequence[Trial]) -> dict[str, int]:
    """How many trials ended without a speed, by cause, in the order of `MARKS`."""
    names = [cause(trial) for trial in group if speed_of(trial) is None]
    return {name: names.count(name) for name in MARKS if name in names}


def head(trial: Trial) -> str:
    """How a tip begins: which trial it is about."""
    return f"trial {trial.number} ({trial.stage}), {words.configuration(trial.config)}"


def failure_tip(trial: Trial) -> str:
    """The tip of a trial without a speed."""
    message = trial.outcome.message if trial.outcome else ""
    return f"{head(trial)}: {trials_view.outcome_label(trial)}, {message}"


def failed_series(failed: Mapping[str, Sequence[Point]]) -> list[Series]:
    """The points of trials without a speed, by cause, each with its mark."""
    return [
        Series(name=words.advice(name).short, mark=mark, color="failed", points=failed[name])
        for name, mark in MARKS.items()
        if name in failed
    ]


def speed_series(trials: Sequence[Trial], place: Callable[[Trial], float | None]) -> list[Series]:
    """The trials as series: by stage where there is a speed, by cause where there is none."""
    explored: list[Point] = []
    slow: list[Point] = []
    proven: list[Point] = []
    failed: dict[str, list[Point]] = {}
    for trial in trials:
        at, measured = place(trial), speed_of(trial)
        if at is None:
            continue
        if measured is None:
            point = Point(x=at, y=None, tip=failure_tip(trial))
            failed.setdefault(cause(trial), []).append(point)
            continue
        point = Point(
            x=at,
            y=measured.steps_per_second,
            low=measured.low,
            high=measured.high,
            tip=f"{head(trial)}: {trials_view.speed_text(trial.outcome)} {SPEED}",
        )
        if trial.stage not in EXPLORING:
            proven.append(point)
        else:
            (explored if trial.measurement else slow).append(point)
    return [
        Series(name="explored", mark=Mark.CIRCLE, color="accent", points=explored),
        Series(name="stopped as slow", mark=Mark.RING, color="accent", points=slow),
        Series(name="finals and soak", mark=Mark.DIAMOND, color="proof", points=proven),
        *failed_series(failed),
    ]


def names_axis(label: str, names: Sequence[str]) -> Axis:
    """An axis of names side by side."""
    return Axis(label=label, scale=Ordinal(names=names), tick=lambda value: names[int(value)])
