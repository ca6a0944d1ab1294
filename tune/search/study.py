"""The only home of Optuna: a journal of trials, with the states that a sampler needs.

Every trial of a search is an Optuna trial in one JournalStorage file, with its whole outcome. A
search resumes from the journal alone, and `optuna-dashboard` opens it.

The states are COMPLETE for a measured configuration; PRUNED with constraints for one that met a
limit, each constraint graded as log2(use / limit); FAIL only for a defect or a lost node, which say
nothing about the configuration. Samplers ignore FAIL, and would propose the same point again.
"""

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from cluster.errors import UserError
from cluster.structure import revive
from search_spaces.config import Value
from search_spaces.space import Axis, SearchSpace
from trainables.measurement import Outcome, OutcomeKind
from trainables.workload_source import edited
from tune.search import journal as journal_file
from tune.search.constraints import Limits, violations
from tune.search.journal import StepwiseBackend, Unlocked
from tune.search.machine import Machines, judged
from tune.search.trial import EXPLORING, Stage, Trial


class StudyError(UserError):
    """The journal cannot be used: damaged, or of another search."""


class Study:
    """The trials of one search, in memory and in the journal."""

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        limits: Limits,
        step: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._study, self._step = study, step
        self._space, self._limits = space, limits
        self._open: dict[int, optuna.Trial] = {}
        self.machines = Machines()
        self._trials: dict[int, Trial] = {}
        self._all: tuple[Trial, ...] | None = None  # of these
        self._keep(*_finished(study))

    @classmethod
    def create(
        cls, journal: Path, *, space: SearchSpace, limits: Limits, identity: Mapping[str, Any]
    ) -> "Study":
        """Start a new journal. `identity` is all that must be the same when it is resumed."""
        backend = _backend(journal)
        storage = JournalStorage(backend)
        study = optuna.create_study(study_name="search", storage=storage, direction="maximize")
        study.set_user_attr("identity", dict(identity))
        return cls(study, space, limits, backend.step)

    @classmethod
    def resume(
        cls, journal: Path, *, space: SearchSpace, limits: Limits, identity: Mapping[str, Any]
    ) -> "Study":
        """Open a journal again; close a trial that was running when the search died as FAIL.

        Raises:
            StudyError: if the journal is damaged, or is of a search with another identity.
        """
        with _reading(journal):
            journal_file.mend_end(journal)
            backend = _backend(journal)
            study = _load(backend)
            _require_same(
                journal,
                study,
                identity,
                advice="Repeat that search's options with --resume, or choose another --out.",
            )
            resumed = cls(study, space, limits, backend.step)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
        return resumed

    def adopt(self, journal: Path, explored: Sequence[FrozenTrial]) -> int:
        """Copy the trials that another search explored (`explored_in`); return their number.

        A study that is resumed has them already, and copies none.
        """
        adopted = self._study.user_attrs.get("adopted", [])
        if str(journal) in adopted:
            return 0
        self._study.set_user_attr("adopted", [*adopted, str(journal)])
        for frozen in explored:
            frozen.user_attrs["source"] = str(journal)
        self._study.add_trials(explored)
        self._keep(*_finished(self._study))
        return len(explored)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials that have ended or are running, by number; the same until one changes."""
        if self._all is None:
            self._all = tuple(self._trials.values())  # numbers only rise
        return self._all

    def ask(self, stage: Stage, config: Mapping[str, Any]) -> Trial:
        """Open a trial of `config`, which may have values beside those of the space."""
        distributions = {
            axis.name: _distribution(axis, config[axis.name]) for axis in self._space.axes
        }
        attributes: dict[str, Any] = {"stage": stage.value}
        if more := {name: v for name, v in config.items() if name not in distributions}:
            attributes["more"] = more
        of_space = {name: config[name] for name in distributions}
        with self._step():
            self._study.enqueue_trial(of_space, user_attrs=attributes)
            opened = self._study.ask(fixed_distributions=distributions)
        trial = Trial(
            number=opened.number,
            stage=stage,
            config=dict(config),
            started_at=_seconds(opened.datetime_start),
        )
        self._open[trial.number] = opened
        self._keep(trial)
        return trial

    def tell(self, trial: Trial, outcome: Outcome, *, score: float | None) -> Trial:
        """Tell a trial's outcome; `score` is the objective's value where something was measured."""
        opened = self._open.pop(trial.number)
        # Known also where the journal cannot be written.
        self._keep(dataclasses.replace(trial, outcome=outcome, score=score))
        with self._step():
            told = self._told(opened, outcome, score)
        ended_at = _seconds(told.datetime_complete)
        self._keep(dataclasses.replace(self._trials[trial.number], ended_at=ended_at))
        return self._trials[trial.number]

    def _told(self, opened: optuna.Trial, outcome: Outcome, score: float | None) -> FrozenTrial:
        opened.set_user_attr("outcome", dataclasses.asdict(outcome))
        for name, excess in violations(outcome, self._limits).items():
            opened.set_constraint(name, excess)
        if score is not None:
            opened.set_user_attr("score", score)
            if outcome.kind is OutcomeKind.COMPLETED:
                return self._study.tell(opened, score)
        if outcome.kind.says_nothing:
            return self._study.tell(opened, state=TrialState.FAIL)
        if score is not None:
            opened.report(score, step=0)
        return self._study.tell(opened, state=TrialState.PRUNED)

    def _keep(self, *trials: Trial) -> None:
        """Keep trials; one that ended may show that the machine was slower beside others."""
        again = self.trials if self.machines.learn(trials) else ()
        judged_anew = map(self.machines.judge, (*again, *trials))
        self._trials |= {trial.number: trial for trial in judged_anew}
        self._all = None


def read_trials(journal: Path) -> tuple[Trial, ...]:
    """Return the ended trials, by number; the journal is only read, and may be in use.

    Raises:
        StudyError: if it is not there, or damaged.
    """
    if not journal.is_file():  # Optuna would create it
        raise StudyError(f"{journal} does not exist; name the folder of a search.")
    with _reading(journal):
        trials = sorted(_finished(_load(_backend(journal))), key=lambda trial: trial.number)
        return tuple(judged(trials))


def explored_in(journal: Path, *, identity: Mapping[str, Any]) -> list[FrozenTrial]:
    """Return the trials that another machine's part of a search explored, with their outcomes.

    Finals and soaks are left out: they hold only on the machine where they ran.

    Raises:
        StudyError: if the journal is not there, damaged, or of a search with another identity.
    """
    if not journal.is_file():
        raise StudyError(f"--known: {journal} does not exist; name a search's journal.log.")
    with _reading(journal):
        study = _load(_backend(journal))
    _require_same(
        journal,
        study,
        identity,
        advice="--known takes journals of the same search on machines of this class.",
    )
    return [
        frozen
        for frozen in study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        if frozen.user_attrs.get("stage") in EXPLORING
    ]


def _load(backend: StepwiseBackend) -> optuna.Study:
    return optuna.load_study(study_name="search", storage=JournalStorage(backend))


@contextlib.contextmanager
def _reading(journal: Path) -> Iterator[None]:
    """Raise what reading a damaged journal raises as a `StudyError`.

    Optuna asserts the kinds of events that it knows; those of another version are none.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, LookupError, TypeError, ValueError, AssertionError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{error!r:.200}"
        raise StudyError(
            f"{journal} is not a readable journal ({what}); move it away to start anew."
        ) from error


def _require_same(
    journal: Path, study: optuna.Study, identity: Mapping[str, Any], *, advice: str
) -> None:
    known = study.user_attrs.get("identity", {})
    names = edited(known.get("source", {}), identity.get("source", {}))
    if names and known.get("source"):  # version 0.1 kept no source
        raise StudyError(
            f"{journal} is of other code: {', '.join(names)} was edited since, so its speeds are "
            "not comparable. Search anew with another --out."
        )
    different = sorted(
        name for name in {*known, *identity} - {"source"} if known.get(name) != identity.get(name)
    )
    if different:
        changes = "; ".join(
            f"{name} was {known.get(name)!r}, now {identity.get(name)!r}" for name in different
        )
        raise StudyError(f"{journal} belongs to another search: {changes}. {advice}")


def _backend(journal: Path) -> StepwiseBackend:
    # The symlink lock does not exist on every network file system; the open lock is portable.
    file = JournalFileBackend(str(journal), lock_obj=Unlocked())
    return StepwiseBackend(file, JournalFileOpenLock(str(journal)))


def _seconds(moment: datetime.datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()  # Optuna's times are naive and local


def _finished(study: optuna.Study) -> list[Trial]:
    return [
        Trial(
            number=frozen.number,
            stage=Stage(frozen.user_attrs["stage"]),
            config=frozen.params | frozen.user_attrs.get("more", {}),
            outcome=_outcome(frozen.user_attrs),
            score=frozen.user_attrs.get("score"),
            started_at=_seconds(frozen.datetime_start),
            ended_at=_seconds(frozen.datetime_complete),
            source=frozen.user_attrs.get("source"),
        )
        for frozen in study.get_trials(deepcopy=False)
        if "outcome" in frozen.user_attrs
    ]


def _distribution(axis: Axis, value: Value) -> BaseDistribution:
    """Return what Optuna is told of an axis; a baseline's value may lie outside of it."""
    values = [*axis.values, value]
    numbers = [one for one in values if not isinstance(one, str)]
    if len(numbers) < len(values):
        return CategoricalDistribution(list(dict.fromkeys(map(str, values))))
    low, high = min(numbers), max(numbers)
    if all(isinstance(one, int) for one in numbers):
        return IntDistribution(int(low), int(high), log=low > 0)
    return FloatDistribution(low, high, log=low > 0)


def _outcome(attributes: Mapping[str, Any]) -> Outcome:
    """Return a trial's outcome; journals of version 0.1 marked an excluded one beside it."""
    outcome = revive(Outcome, attributes["outcome"])
    if attributes.get("excluded"):
        return dataclasses.replace(outcome, kind=OutcomeKind.EXCLUDED)
    return outcome
