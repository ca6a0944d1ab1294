"""The race of the finals beside rounds for all, reduced: fewer seeds, one landscape."""

import statistics
from unittest import mock

import pytest

from benchmarks import recorded
from benchmarks.finals import RULES, main
from benchmarks.replay import replay
from benchmarks.search_runs import FOLDER, SearchRun, run_ours
from tune.search import finals

SCENE = replay("phase2-2cpu", recorded.read(FOLDER / "phase2-2cpu.json"))


def runs(rule: str) -> list[SearchRun]:
    with mock.patch.object(finals, "race_of", RULES[rule]):
        return [run_ours(SCENE, seed, 40) for seed in range(8)]


def num_finals(of: list[SearchRun]) -> int:
    return sum(len(run.finals_s) for run in of)


def test_a_race_costs_no_more_finals_than_rounds_for_all_and_picks_no_worse() -> None:
    of_all, race = runs("rounds for all"), runs("a race")
    assert num_finals(race) <= num_finals(of_all)
    # Of single searches chance decides: means are for the benchmark's 120.
    picked, by_all = (statistics.median(r.picked for r in own) for own in (race, of_all))
    assert picked >= by_all
    dropped = runs("the beaten stop")
    assert num_finals(dropped) < num_finals(race)


def test_the_table_has_a_row_for_each_landscape_and_rule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["--seeds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3 * len(RULES)
    assert "| phase1-2cpu | a race |" in "\n".join(lines)
