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
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces.config import Value
from search_spaces.space import Axis, SearchSpace
from trainables.measurement import Outcome, OutcomeKind
from tune.search import journal as journal_file
from tune.search import kept
from tune.search.constraints import Limits, violations
from tune.search.identity import StudyError, reading, require_same
from tune.search.journal import StepwiseBackend
from tune.search.machine import Machines, judged
from tune.search.trial import EXPLORING, Stage, Trial

_NAME = "search"

_NOTHING: dict[str, Any] = {}


class Study:
    """The trials of one search, in memory and in the journal."""

    def __init__(
        self,
        storage: BaseStorage,
        space: SearchSpace,
        limits: Limits,
        step: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._study = _load(storage)
        self._storage, self._step = storage, step
        self._id = storage.get_study_id_from_name(_NAME)
        self._space, self._limits = space, limits
        self._open: dict[int, int] = {}  # the storage's own numbers of trials that run
        self._followers: list[Callable[[Trial], None]] = []
        self.machines = Machines()
        self._trials: dict[int, Trial] = {}
        self._all: tuple[Trial, ...] | None = None  # of these
        self._keep(*_taken(self._study))

    @classmethod
    def in_memory(cls, *, space: SearchSpace, limits: Limits) -> "Study":
        """Start a study without a journal."""
        storage = InMemoryStorage()
        optuna.create_study(study_name=_NAME, storage=storage, direction="maximize")
        return cls(storage, space, limits)

    @classmethod
    def create(
        cls, journal: Path, *, space: SearchSpace, limits: Limits, identity: Mapping[str, Any]
    ) -> "Study":
        """Start a new journal. `identity` is all that must be the same when it is resumed."""
        journal.open("ab").close()
        backend = _backend(journal)
        storage = JournalStorage(backend)
        study = optuna.create_study(study_name=_NAME, storage=storage, direction="maximize")
        study.set_user_attr("identity", dict(identity))
        return cls(storage, space, limits, backend.step)

    @classmethod
    def resume(
        cls, journal: Path, *, space: SearchSpace, limits: Limits, identity: Mapping[str, Any]
    ) -> "Study":
        """Open a journal again; close a trial that was running when the search died as FAIL.

        Raises:
            StudyError: if the journal is damaged, or is of a search with another identity.
        """
        with reading(journal):
            journal_file.mend_end(journal)
            backend = _backend(journal)
            storage = JournalStorage(backend)
            require_same(
                journal,
                _load(storage).user_attrs.get("identity", {}),
                identity,
                advice="Repeat that search's options with --resume, or choose another --out.",
            )
            resumed = cls(storage, space, limits, backend.step)
        for trial in resumed._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            resumed._study.tell(trial.number, state=TrialState.FAIL)
        resumed._keep(*kept.within(resumed.trials, limits.device_bytes))
        resumed.forgive(before=1 + max(resumed._trials, default=-1))
        return resumed

    def forgive(self, before: int) -> None:
        """Forgive defects before the session that begins with this number: see `kept.forgiven`."""
        self._keep(*kept.forgiven(self.trials, before))

    def adopt(self, journal: Path, explored: Sequence[FrozenTrial]) -> int:
        """Copy the trials that another search explored (`explored_in`); return their number.

        A study that is resumed has them already, and copies none.
        """
        adopted = self._study.user_attrs.get("adopted", [])
        if str(journal) in adopted:
            return 0
        for frozen in explored:
            frozen.user_attrs["source"] = str(journal)
        with self._step():  # one write: a session that ends meanwhile has adopted all or none
            self._study.set_user_attr("adopted", [*adopted, str(journal)])
            self._study.add_trials(explored)
        self._keep(*_taken(self._study))
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
        template = create_trial(
            state=TrialState.RUNNING,
            params={name: config[name] for name in distributions},
            distributions=distributions,
            user_attrs=attributes,
        )
        with self._step():  # not by Optuna's queue, which looks for waiting ones among all trials
            opened = self._storage.create_new_trial(self._id, template_trial=template)
        frozen = self._storage.get_trial(opened)
        trial = Trial(
            number=frozen.number,
            stage=stage,
            config=dict(config),
            started_at=_seconds(frozen.datetime_start),
        )
        self._open[trial.number] = opened
        self._keep(trial)
        return trial

    def tell(self, trial: Trial, outcome: Outcome, *, score: float | None) -> Trial:
        """Tell a trial's outcome; `score` is the objective's value where something was measured."""
        opened = self._open.pop(trial.number)
        ended = dataclasses.replace(trial, outcome=outcome, score=score)
        try:
            with self._step():
                self._write(opened, outcome, score)
            frozen = self._storage.get_trial(opened)
            ended = dataclasses.replace(ended, ended_at=_seconds(frozen.datetime_complete))
            _forget(frozen)
        finally:
            self._keep(ended)  # known also where the journal cannot be written
        return self._trials[trial.number]

    def _write(self, opened: int, outcome: Outcome, score: float | None) -> None:
        storage = self._storage
        storage.set_trial_user_attr(opened, "outcome", dataclasses.asdict(outcome))
        graded = create_trial(state=TrialState.FAIL, constraints=violations(outcome, self._limits))
        for name, excess in graded.system_attrs.items():
            storage.set_trial_system_attr(opened, name, excess)
        state = _state(outcome, score)
        if score is not None:
            storage.set_trial_user_attr(opened, "score", score)
            if state is TrialState.PRUNED:
                storage.set_trial_intermediate_value(opened, 0, score)
        has_value = score is not None and state is not TrialState.FAIL
        storage.set_trial_state_values(opened, state, [score] if has_value else None)

    def follow(self, follower: Callable[[Trial], None]) -> None:
        """Tell a follower of every trial so far, and of each that begins or changes from now on."""
        for trial in self._trials.values():
            follower(trial)
        self._followers.append(follower)

    def _keep(self, *trials: Trial) -> None:
        """Keep trials; one that ended may show that the machine was slower beside others."""
        again = self.trials if self.machines.learn(trials) else ()
        for trial in map(self.machines.judge, (*again, *trials)):
            if self._trials.get(trial.number) is not trial:
                self._trials[trial.number] = trial
                self._all = None
                for follower in self._followers:
                    follower(trial)


def read_trials(journal: Path) -> tuple[Trial, ...]:
    """Return the ended trials, by number; the journal is only read, and may be in use.

    Raises:
        StudyError: if it is not there, or damaged.
    """
    if not journal.is_file():  # Optuna would create it
        raise StudyError(f"{journal} does not exist; name the folder of a search.")
    with reading(journal):
        trials = sorted(
            _taken(_load(JournalStorage(_backend(journal)))), key=lambda trial: trial.number
        )
        return tuple(judged(trials))


def explored_in(journal: Path, *, identity: Mapping[str, Any]) -> list[FrozenTrial]:
    """Return the trials that another machine's part of a search explored, with their outcomes.

    Finals and soaks are left out: they hold only on the machine where they ran.

    Raises:
        StudyError: if the journal is not there, damaged, or of a search with another identity.
    """
    if not journal.is_file():
        raise StudyError(f"--known: {journal} does not exist; name a search's journal.log.")
    with reading(journal):
        study = _load(JournalStorage(_backend(journal)))
    require_same(
        journal,
        study.user_attrs.get("identity", {}),
        identity,
        advice="--known takes journals of the same search on machines of this class.",
    )
    return [
        frozen
        for frozen in study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        if frozen.user_attrs.get("stage") in EXPLORING
    ]


def _load(storage: BaseStorage) -> optuna.Study:
    return optuna.load_study(study_name=_NAME, storage=storage)


def _backend(journal: Path) -> StepwiseBackend:
    # The symlink lock does not exist on every network file system; the open lock is portable.
    return StepwiseBackend(journal, JournalFileOpenLock(str(journal)))


def _seconds(moment: datetime.datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()  # Optuna's times are naive and local


def _taken(study: optuna.Study) -> list[Trial]:
    """Return the trials that ended, and let the storage forget them."""
    ended = [one for one in study.get_trials(deepcopy=False) if "outcome" in one.user_attrs]
    trials = [
        Trial(
            number=frozen.number,
            stage=Stage(frozen.user_attrs["stage"]),
            config=frozen.params | frozen.user_attrs.get("more", {}),
            outcome=kept.outcome(frozen.user_attrs),
            score=frozen.user_attrs.get("score"),
            started_at=_seconds(frozen.datetime_start),
            ended_at=_seconds(frozen.datetime_complete),
            source=frozen.user_attrs.get("source"),
        )
        for frozen in ended
    ]
    for frozen in ended:
        _forget(frozen)
    return trials


def _forget(frozen: FrozenTrial) -> None:
    """Empty the storage's own copy of a trial that ended: ours and the journal have what it had."""
    frozen.params = frozen.distributions = frozen.user_attrs = frozen.system_attrs = _NOTHING


def _state(outcome: Outcome, score: float | None) -> TrialState:
    if outcome.kind.says_nothing or (score is not None and math.isnan(score)):
        return TrialState.FAIL
    is_complete = score is not None and outcome.kind is OutcomeKind.COMPLETED
    return TrialState.COMPLETE if is_complete else TrialState.PRUNED


def _distribution(axis: Axis, value: Value) -> optuna.distributions.BaseDistribution:
    """Return what Optuna is told of an axis; a baseline's value may lie outside of it."""
    values = [*axis.values, value]
    numbers = [one for one in values if not isinstance(one, str)]
    if len(numbers) < len(values):
        return optuna.distributions.CategoricalDistribution(list(dict.fromkeys(map(str, values))))
    low, high = min(numbers), max(numbers)
    if all(isinstance(one, int) for one in numbers):
        return optuna.distributions.IntDistribution(int(low), int(high), log=low > 0)
    return optuna.distributions.FloatDistribution(low, high, log=low > 0)
