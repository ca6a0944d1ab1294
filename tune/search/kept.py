"""The trials of a journal that is read again: by another version, or in a later session. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from cluster.structure import revive
from trainables.measurement import Outcome, OutcomeKind
from tune.search.trial import EXPLORING, Trial


def outcome(attributes: Mapping[str, Any]) -> Outcome:
    """Return a trial's outcome; journals of version 0.1 marked an excluded one beside it."""
    kept = revive(Outcome, attributes["outcome"])
    if attributes.get("excluded"):
        return dataclasses.replace(kept, kind=OutcomeKind.EXCLUDED)
    return kept


def forgiven(trials: Iterable[Trial], before: int) -> list[Trial]:
    """Return the trials as a session sees them whose first one has the number `before`.

    A defect of an earlier session, that a full disk caused, say, may have been mended.
    """
    return [
        dataclasses.replace(trial, is_forgiven=trial.number < before)
        if _is_defect(trial)
        else trial
        for trial in trials
    ]


def _is_defect(trial: Trial) -> bool:
    """Return whether the trial compared or soaked, and ended in a defect; those that explored are
    judged by `tune.search.standings`.
    """
    return trial.stage not in EXPLORING and trial.kind is OutcomeKind.ERROR
