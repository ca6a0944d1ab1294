"""Trials as wide as there are, a search that has them, and terminals that show them."""

import dataclasses
import io
from pathlib import Path
from typing import Any

from rich.console import Console

import factories
from search_spaces import jax_phase12
from trainables.measurement import OutcomeKind
from tune.run_folder.record import SearchContext
from tune.screen.screen import Screen
from tune.search.result import Kind
from tune.search.trial import Stage, Trial
from tune.spec import SearchSpec

PROFILES = {Kind.FASTEST: Path("profiles/an-unusually-long-machine-class-name-phase1-fastest.yaml")}


CONTEXT = SearchContext.of(
    SearchSpec(), factories.task(), factories.preflight(), "the framework default"
)


TOO_MUCH = factories.failed(
    OutcomeKind.DEVICE_MEMORY,
    "the compiled program needs 21.30 GiB of device memory, the budget is 9.60 GiB; it was not "
    "run. Use fewer environments, shorter rollouts or smaller minibatches.",
    predicted_device_bytes=int(21.3 * 2**30),
)


def sized(number: int, **changes: Any) -> Trial:
    """A trial of the largest sizes there are, so that columns are at their widest."""
    config = {"num_envs": 16384, "num_steps": 256, "batch_size": 131072, "num_epochs": 4}
    return factories.trial(number=number, config=config, **changes)


TRIALS = (
    factories.trial(number=0, stage=Stage.BASELINE),
    sized(1, stage=Stage.RAMP, outcome=TOO_MUCH),
    sized(2, outcome=factories.outcome(kind=OutcomeKind.SLOW, message="cannot win.")),
    sized(3, outcome=dataclasses.replace(TOO_MUCH, kind=OutcomeKind.EXCLUDED, wall_s=0.0)),
    sized(4, outcome=None),
)


class FakeSearch:
    """What a screen sees of a search."""

    def __init__(self, trials: tuple[Trial, ...], expected_s: float | None = None) -> None:
        self.trials = trials
        self.expected_s = expected_s


def begin(screen: Screen, notes: tuple[str, ...] = (), **spec: Any) -> None:
    screen.preflight(factories.preflight())
    screen.started(
        task=factories.task(notes=notes),
        spec=SearchSpec(**spec),
        space=jax_phase12.space(platform="cpu", num_cpus=4),
        baseline=jax_phase12.PHASE12_BASELINE,
        folder=Path("runs/jax-phase1"),
    )


def tell(screen: Screen, trial: Trial) -> None:
    """Start the trial and, if it has ended, end it. Excluded ones never start."""
    if trial.was_run:
        screen.trial_started(dataclasses.replace(trial, outcome=None))
    if trial.outcome is not None:
        screen.trial_ended(trial)


def terminal(width: int) -> Console:
    return Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
