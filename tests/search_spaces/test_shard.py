"""Parts of a search: disjoint, complete, alike, and finished by one search that knows them all."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from factories import outcome
from search_spaces.config import config_key
from search_spaces.shard import Shard, parse_shard
from search_spaces.space import SpaceError
from simulated_search import BUDGET, SPACE, drive, make
from tune.search.constraints import Limits
from tune.search.identity import StudyError
from tune.search.study import Study, explored_in
from tune.search.trial import EXPLORING, Stage
from tune.spec import SearchSpec, cluster_of


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_parts_are_disjoint_and_together_they_are_the_space(count: int) -> None:
    shards = [Shard(number=number, count=count) for number in range(1, count + 1)]
    for config in SPACE.configurations():
        assert sum(shard.contains(SPACE, config) for shard in shards) == 1


@pytest.mark.parametrize("count", [2, 3, 4])
def test_each_part_has_its_share_and_neighbours_are_of_other_parts(count: int) -> None:
    shards = [Shard(number=number, count=count) for number in range(1, count + 1)]
    configs = list(SPACE.configurations())
    for shard in shards:
        own = [config for config in configs if shard.contains(SPACE, config)]
        assert 0.6 < len(own) * count / len(configs) < 1.4
        for config, other in itertools.permutations(own, 2):
            assert sum(config[name] != other[name] for name in config) != 1 or any(
                max(config[name], other[name]) >= 4 * min(config[name], other[name])
                for name in config
            )


@pytest.mark.parametrize(("total", "count"), [(40, 2), (7, 3), (8, 8), (100, 7)])
def test_shares_of_the_runs_sum_up(total: int, count: int) -> None:
    shards = [Shard(number=number, count=count) for number in range(1, count + 1)]
    assert sum(shard.max_runs(total) for shard in shards) == total


def test_too_few_runs_for_all_parts_are_refused() -> None:
    with pytest.raises(SpaceError, match="--max-runs 2 is too few for 3 parts"):
        Shard(number=3, count=3).max_runs(2)
    with pytest.raises(SpaceError, match="--max-runs 1 is too few for 2 parts"):
        SearchSpec(shard="2/2", max_runs=1)  # before anything is written


@pytest.mark.parametrize("text", ["", "2", "0/2", "3/2", "1/0", "1/2/3", "a/b", "-1/2", "1 of 2"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(SpaceError, match=r"--shard is a part of parts, such as 1/2"):
        parse_shard(text)


@pytest.mark.parametrize("options", [{"shard": "1/2"}, {"known": (Path("journal.log"),)}])
def test_a_cluster_shares_by_itself(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="a cluster shares by itself"):
        cluster_of(SearchSpec(address="10.0.0.1", **options), {})


def test_a_part_is_explored_and_left_to_another_search(tmp_path: Path) -> None:
    shard = Shard(number=2, count=2)
    ran = drive(make(tmp_path, shard=shard))
    assert {trial.stage for trial in ran} <= EXPLORING
    assert all(shard.contains(SPACE, trial.config) for trial in ran[1:])


def test_one_search_finishes_what_several_explored(tmp_path: Path) -> None:
    """Two halves and the rest: nothing is explored twice, and the finals are in one place."""
    journals = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        drive(make(folder, shard=Shard(number=number, count=2), max_runs=7))
        journals.append(folder / "journal.log")
    search = make(tmp_path, known=journals, max_runs=14)
    inherited = [config_key(trial.config) for trial in search.trials]
    assert len(inherited) >= 14  # what was excluded has cost no run
    ran = drive(search)
    assert {trial.stage for trial in ran} == {Stage.FINAL, Stage.SOAK}
    best = max(search.trials[: len(inherited)], key=lambda trial: trial.score or 0.0)
    assert config_key(best.config) in {config_key(trial.config) for trial in ran}


def test_what_a_lost_machine_had_no_time_for_is_explored_by_the_one_that_finishes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "1"
    folder.mkdir()
    drive(make(folder, shard=Shard(number=1, count=2), max_runs=7))
    search = make(tmp_path, known=[folder / "journal.log"], max_runs=14)
    inherited = {config_key(trial.config) for trial in search.trials}
    explored = [trial for trial in drive(search) if trial.stage in EXPLORING]
    assert len([trial for trial in explored if trial.was_run]) == 7
    assert not inherited & {config_key(trial.config) for trial in explored}


IDENTITY = {"workload": "a:b", "machine": "rtx"}


def create(folder: Path, **identity: object) -> Study:
    folder.mkdir(exist_ok=True)
    limits = Limits(num_threads=None, device_bytes=BUDGET, host_bytes=None)
    return Study.create(
        folder / "journal.log", space=SPACE, limits=limits, identity=IDENTITY | identity
    )


def test_finals_of_another_machine_and_trials_without_an_end_are_not_adopted(
    tmp_path: Path,
) -> None:
    other, config = create(tmp_path / "other"), next(SPACE.configurations())
    for stage in (Stage.SEARCH, Stage.FINAL, Stage.SOAK):
        other.tell(other.ask(stage, config), outcome(), score=5.0)
    other.ask(Stage.SEARCH, config)
    study = create(tmp_path / "own")
    journal = tmp_path / "other" / "journal.log"
    explored = explored_in(journal, identity=IDENTITY)
    assert study.adopt(journal, explored) == 1
    (trial,) = study.trials
    assert (trial.stage, trial.config, trial.score) == (Stage.SEARCH, config, 5.0)
    assert trial.source == str(journal)
    assert study.adopt(journal, explored) == 0  # a resumed search has them


def test_adopting_that_is_cut_short_is_done_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, config = create(tmp_path / "other"), next(SPACE.configurations())
    for _ in range(3):
        other.tell(other.ask(Stage.SEARCH, config), outcome(), score=5.0)
    journal, own = tmp_path / "other" / "journal.log", tmp_path / "own" / "journal.log"
    study = create(own.parent)
    states = [own.read_bytes()]
    monkeypatch.setattr("os.fsync", lambda _: states.append(own.read_bytes()))
    study.adopt(journal, explored_in(journal, identity=IDENTITY))
    monkeypatch.undo()
    for state in states:
        own.write_bytes(state)
        limits = Limits(num_threads=None, device_bytes=BUDGET, host_bytes=None)
        resumed = Study.resume(own, space=SPACE, limits=limits, identity=IDENTITY)
        resumed.adopt(journal, explored_in(journal, identity=IDENTITY))
        assert [one.source for one in resumed.trials] == [str(journal)] * 3


def test_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "other", machine="a100")
    with pytest.raises(StudyError, match=r"machine was 'a100', now 'rtx'. --known takes journals"):
        explored_in(tmp_path / "other" / "journal.log", identity=IDENTITY)
    with pytest.raises(StudyError, match=r"--known: nowhere\.log does not exist"):
        explored_in(Path("nowhere.log"), identity=IDENTITY)
