"""The trials of a journal that is read again: by another version, or in a later session. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from cluster.pages import units
from cluster.structure import revive
from trainables.measurement import Outcome, OutcomeKind
from tune.search.levers import base_of
from tune.search.trial import EXPLORING, Stage, Trial


def outcome(attributes: Mapping[str, Any]) -> Outcome:
    """Return a trial's outcome; journals of version 0.1 marked an excluded one beside it."""
    kept = revive(Outcome, attributes["outcome"])
    if attributes.get("excluded"):
        return dataclasses.replace(kept, kind=OutcomeKind.EXCLUDED)
    return kept


def forgiven(trials: Iterable[Trial], before: int) -> list[Trial]:
    """Return the trials as a session sees them whose first one has the number `before`.

    A defect of an earlier session, that a full disk caused, say, may have been mended. One under a
    lever is the lever's: what it does to the winner is known.
    """
    found = list(trials)
    base = base_of(found)
    return [
        dataclasses.replace(trial, is_forgiven=trial.number < before)
        if _is_defect(trial) and (trial.stage is not Stage.LEVER or trial.config == base)
        else trial
        for trial in found
    ]


def within(trials: Iterable[Trial], budget_bytes: int | None) -> list[Trial]:
    """Return the trials as a session with this budget of device memory sees them.

    An earlier one may have had more: a program that does not fit any more has met the limit.
    """
    return [_within(trial, budget_bytes) for trial in trials]


def _within(trial: Trial, budget_bytes: int | None) -> Trial:
    ended = trial.outcome
    if ended is None or ended.measurement is None:
        return trial
    need_bytes = ended.predicted_device_bytes
    if budget_bytes is None or need_bytes is None or need_bytes <= budget_bytes:
        return trial
    unfit = dataclasses.replace(
        ended,
        kind=OutcomeKind.DEVICE_MEMORY,
        message=f"it was measured, but needs {units.size(need_bytes)} of device memory, and the "
        f"budget is {units.size(budget_bytes)} by now.",
        measurement=None,
    )
    return dataclasses.replace(trial, outcome=unfit, score=None)


def _is_defect(trial: Trial) -> bool:
    """Return whether the trial compared or soaked, and ended in a defect; those that explored are
    judged by `tune.search.standings`.
    """
    return trial.stage not in EXPLORING and trial.kind is OutcomeKind.ERROR
