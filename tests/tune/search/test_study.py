import contextlib
import dataclasses
import gc
import json
import math
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from cluster.structure import revive
from factories import measurement, outcome
from search_spaces.space import Axis, SearchSpace
from trainables.measurement import Outcome, OutcomeKind
from tune.search.constraints import Limits, violations
from tune.search.identity import StudyError
from tune.search.study import Study, explored_in, read_trials
from tune.search.trial import Stage

SPACE = SearchSpace(
    axes=(Axis(name="num_envs", values=(64, 128, 256)), Axis(name="num_steps", values=(32,)))
)
CONFIG = {"num_envs": 128, "num_steps": 32}
LIMITS = Limits(num_threads=40, device_bytes=2**30, host_bytes=2**32)
IDENTITY = {"workload": "a:b", "data": {"sha256": "1"}}


def create(path: Path) -> Study:
    return Study.create(path / "journal.log", space=SPACE, limits=LIMITS, identity=IDENTITY)


def resume(path: Path, **identity: object) -> Study:
    return Study.resume(
        path / "journal.log", space=SPACE, limits=LIMITS, identity=IDENTITY | identity
    )


def in_optuna(path: Path) -> list[optuna.trial.FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(path / "journal.log")))
    return optuna.load_study(study_name="search", storage=storage).trials


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (OutcomeKind.COMPLETED, TrialState.COMPLETE),
        (OutcomeKind.SLOW, TrialState.PRUNED),
        (OutcomeKind.THREAD_LIMIT, TrialState.PRUNED),
        (OutcomeKind.DEVICE_MEMORY, TrialState.PRUNED),
        (OutcomeKind.HOST_MEMORY, TrialState.PRUNED),
        (OutcomeKind.UNSTABLE, TrialState.PRUNED),
        (OutcomeKind.TIMEOUT, TrialState.PRUNED),
        (OutcomeKind.INVALID, TrialState.PRUNED),
        (OutcomeKind.ERROR, TrialState.FAIL),
        (OutcomeKind.NODE_LOST, TrialState.FAIL),
    ],
)
def test_a_limit_is_told_as_pruned_and_only_a_defect_as_fail(
    tmp_path: Path, kind: OutcomeKind, state: TrialState
) -> None:
    study = create(tmp_path)
    measured = kind in {OutcomeKind.COMPLETED, OutcomeKind.SLOW}
    ended = outcome(kind=kind, measurement=measurement() if measured else None)
    study.tell(study.ask(Stage.SEARCH, CONFIG), ended, score=1.0 if measured else None)
    told = in_optuna(tmp_path)[0]
    assert told.state is state
    limits = {
        OutcomeKind.THREAD_LIMIT,
        OutcomeKind.DEVICE_MEMORY,
        OutcomeKind.HOST_MEMORY,
        OutcomeKind.UNSTABLE,
        OutcomeKind.TIMEOUT,
        OutcomeKind.INVALID,
    }
    violated = {name for name, excess in told.constraints.items() if excess > 0}
    assert violated == ({kind.value} if kind in limits else set())


def test_a_violation_is_graded_by_doublings_over_the_limit() -> None:
    kind = OutcomeKind.DEVICE_MEMORY
    over = outcome(kind=kind, measurement=None, predicted_device_bytes=4 * 2**30)
    assert violations(over, LIMITS)[kind] == pytest.approx(2.0)


def test_a_death_without_a_figure_is_a_small_violation_and_never_nan() -> None:
    kind = OutcomeKind.THREAD_LIMIT
    dead = outcome(kind=kind, measurement=None, peak_threads=None)
    graded = violations(dead, Limits(num_threads=None, device_bytes=None, host_bytes=None))
    assert 0 < graded[kind] < 1
    assert not any(math.isnan(value) for value in graded.values())


def test_every_trial_has_every_constraint() -> None:
    names = {frozenset(violations(outcome(kind=kind), LIMITS)) for kind in OutcomeKind}
    assert len(names) == 1


def test_a_resumed_study_has_the_same_trials(tmp_path: Path) -> None:
    study = create(tmp_path)
    first = study.tell(study.ask(Stage.BASELINE, CONFIG), outcome(), score=5.0)
    refused = outcome(kind=OutcomeKind.EXCLUDED, measurement=None)
    second = study.tell(study.ask(Stage.SEARCH, CONFIG | {"num_envs": 64}), refused, score=None)
    lever = CONFIG | {"env.XLA_FLAGS": "--xla_a=1"}  # of no axis, and the journal has it too
    third = study.tell(study.ask(Stage.LEVER, lever), outcome(), score=6.0)
    assert third.config == lever
    assert resume(tmp_path).trials == (first, second, third)


def test_a_journal_is_read_without_a_trace_of_the_reader(tmp_path: Path) -> None:
    study = create(tmp_path)
    first = study.tell(study.ask(Stage.BASELINE, CONFIG), outcome(), score=5.0)
    study.ask(Stage.SEARCH, CONFIG | {"num_envs": 64})  # runs now
    journal = tmp_path / "journal.log"
    before = journal.read_bytes()
    os.utime(journal, ns=(1, 1))
    assert read_trials(journal) == (first,)
    assert journal.stat().st_mtime_ns == 1, "who pulls results looks at that"
    assert first.started_at is not None
    assert first.ended_at is not None
    assert first.started_at <= first.ended_at
    assert journal.read_bytes() == before
    assert list(tmp_path.iterdir()) == [journal]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Within, permissions hold for root too."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_journal_that_may_only_be_read_is_read() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        study = create(folder)
        first = study.tell(study.ask(Stage.BASELINE, CONFIG), outcome(), score=5.0)
        journal = folder / "journal.log"
        journal.chmod(0o444)
        folder.chmod(0o555)
        try:
            with unprivileged():
                with pytest.raises(PermissionError):
                    journal.open("ab")
                trials = read_trials(journal)
                [explored] = explored_in(journal, identity=IDENTITY)
        finally:
            folder.chmod(0o755)
    assert trials == (first,)
    assert explored.params == CONFIG


def test_a_journal_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"journal\.log does not exist"):
        read_trials(tmp_path / "journal.log")
    assert not list(tmp_path.iterdir())


def test_the_trial_that_ran_when_a_search_was_killed_is_closed_and_nothing_else_lost(
    tmp_path: Path,
) -> None:
    study = create(tmp_path)
    first = study.tell(study.ask(Stage.BASELINE, CONFIG), outcome(), score=5.0)
    study.ask(Stage.SEARCH, CONFIG | {"num_envs": 64})
    assert resume(tmp_path).trials == (first,)
    assert [trial.state for trial in in_optuna(tmp_path)] == [TrialState.COMPLETE, TrialState.FAIL]


def test_a_line_cut_short_by_a_kill_loses_that_line_alone(tmp_path: Path) -> None:
    study = create(tmp_path)
    first = study.tell(study.ask(Stage.BASELINE, CONFIG), outcome(), score=5.0)
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"op_code": 5, "worker_')
    assert resume(tmp_path).trials == (first,)


def test_the_baseline_may_lie_outside_the_space(tmp_path: Path) -> None:
    study = create(tmp_path)
    config = {"num_envs": 1000, "num_steps": 7}
    study.tell(study.ask(Stage.BASELINE, config), outcome(), score=5.0)
    assert resume(tmp_path).trials[0].config == config


def test_another_searchs_journal_is_refused_with_what_differs(tmp_path: Path) -> None:
    create(tmp_path)
    with pytest.raises(StudyError, match=r"data was .*'1'.*now .*'2'"):
        resume(tmp_path, data={"sha256": "2"})


@pytest.mark.parametrize("content", ["garbage\n{", "", "[1]\n"])
def test_a_damaged_journal_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "journal.log").write_text(content)
    with pytest.raises(StudyError, match=r"journal\.log is not a readable journal"):
        resume(tmp_path)


def test_a_workload_that_was_edited_is_not_resumed(tmp_path: Path) -> None:
    before = IDENTITY | {"source": {"loop.py": "a1", "net.py": "b2"}}
    journal = tmp_path / "journal.log"
    Study.create(journal, space=SPACE, limits=LIMITS, identity=before)
    assert resume(tmp_path, source=before["source"]).trials == ()
    with pytest.raises(StudyError, match=r"of other code: loop\.py, new\.py was edited since"):
        resume(tmp_path, source={"loop.py": "a9", "net.py": "b2", "new.py": "c3"})


def test_what_speeds_depend_on_is_part_of_a_search(tmp_path: Path) -> None:
    measured = {"versions": {"jax": "0.9.1", "jaxlib": "0.9.1"}, "thread_cap": 4}
    Study.create(tmp_path / "journal.log", space=SPACE, limits=LIMITS, identity=IDENTITY | measured)
    resume(tmp_path, **measured)
    with pytest.raises(StudyError, match=r"thread_cap was 4, now 2\. Repeat that search's opt"):
        resume(tmp_path, **measured | {"thread_cap": 2})
    with pytest.raises(StudyError, match=r"with jax 0.9.1, jaxlib 0.9.1, and here is jax 0.10.2, "):
        resume(tmp_path, **measured | {"versions": {"jax": "0.10.2"}})


def test_a_journal_that_does_not_tell_of_caps_and_versions_is_resumed(tmp_path: Path) -> None:
    create(tmp_path)
    resume(tmp_path, versions={"jax": "0.9.1"}, thread_cap=4, memory_budget="8GiB")


def test_what_no_longer_fits_has_met_the_limit(tmp_path: Path) -> None:
    study = create(tmp_path)
    fits, no_longer = (
        outcome(predicted_device_bytes=LIMITS.device_bytes + more) for more in (-1, 1)
    )
    for ended, num_envs in ((fits, 64), (no_longer, 128)):
        study.tell(study.ask(Stage.SEARCH, CONFIG | {"num_envs": num_envs}), ended, score=5.0)
    first, second = resume(tmp_path).trials
    assert first.outcome == fits
    assert second.outcome is not None
    assert (second.kind, second.measurement) == (OutcomeKind.DEVICE_MEMORY, None)
    assert "and the budget is 1.00 GiB by now" in second.outcome.message


def test_a_journal_that_kept_no_source_is_resumed(tmp_path: Path) -> None:
    create(tmp_path)
    assert resume(tmp_path, source={"loop.py": "a1"}).trials == ()


def test_words_fractions_and_zero_survive_the_journal_as_they_were(tmp_path: Path) -> None:
    space = SearchSpace(axes=()).override(
        ["n=2,4", "lr=1e-4,3e-4", "workers=0,2", "vec=a,b", "env.FLAGS=|--x=1,2", "shift=-1,1"]
    )
    configs = list(space.configurations())[:3] + list(space.configurations())[-3:]
    configs.append(configs[0] | {"n": 7, "lr": 0.5, "workers": 1})  # a baseline beside the axes
    journal = tmp_path / "journal.log"
    study = Study.create(journal, space=space, limits=LIMITS, identity={})
    for config in configs:
        study.tell(study.ask(Stage.SEARCH, config), outcome(), score=1.0)
    found = [trial.config for trial in read_trials(journal)]
    assert found == configs
    kinds = [[type(value) for value in config.values()] for config in configs]
    assert [[type(value) for value in config.values()] for config in found] == kinds


def test_an_outcome_is_kept_once(tmp_path: Path) -> None:
    num_trials = 300
    study = create(tmp_path)
    told = [json.dumps(dataclasses.asdict(outcome())) for _ in range(num_trials + 20)]
    for place, text in enumerate(told):
        if place == 20:
            tracemalloc.start()
        study.tell(study.ask(Stage.SEARCH, CONFIG), revive(Outcome, json.loads(text)), score=1.0)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / num_trials < 3200  # of our trial and its outcome, and a few of Optuna's own
    assert len(resume(tmp_path).trials) == num_trials + 20
