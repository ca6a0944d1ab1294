"""Batches of suggestions: only for many GPUs, never the same twice, and none that is stale."""

from pathlib import Path

import pytest

from search_spaces.config import config_key
from simulated_search import machine, make
from tune.search import explore


def count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the size of each batch that is chosen."""
    sizes: list[int] = []
    choose = explore.propose_batch

    def noted(known, rng, size=1, kernel=None):  # type: ignore[no-untyped-def]
        sizes.append(size)
        return choose(known, rng, size, kernel)

    monkeypatch.setattr(explore, "propose_batch", noted)
    return sizes


@pytest.mark.parametrize(("num_parallel", "size"), [(1, 1), (15, 1), (16, 2), (64, 8)])
def test_a_batch_is_for_an_eighth_of_the_gpus(
    num_parallel: int, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = count(monkeypatch)
    make(tmp_path, num_parallel=num_parallel).ask()
    assert sizes == [size]


def test_of_a_batch_nothing_is_given_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = count(monkeypatch)
    search = make(tmp_path, num_parallel=32, max_runs=40)
    first = search.ask()
    assert first is not None
    search.tell(first, machine(first))
    trials = [trial for _ in range(30) if (trial := search.ask()) is not None]
    assert len({config_key(trial.config) for trial in trials}) == 30
    assert len(sizes) < 15


def test_a_batch_ends_when_as_many_trials_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = make(tmp_path, num_parallel=80, max_runs=60)
    trials = [trial for _ in range(30) if (trial := search.ask()) is not None]
    sizes = count(monkeypatch)
    for trial in trials[:10]:
        search.tell(trial, machine(trial))
    search.ask()
    assert sizes == [10]
    for trial in trials[10:19]:
        search.tell(trial, machine(trial))
    search.ask()
    assert sizes == [10]
    search.tell(trials[19], machine(trials[19]))
    search.ask()
    assert sizes == [10, 10]
