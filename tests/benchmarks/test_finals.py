"""The race of the finals beside rounds for all, reduced: fewer seeds, one landscape."""

import statistics
from unittest import mock

import pytest

from benchmarks import recorded
from benchmarks.finals import RULES, FinalsRun, main, run
from benchmarks.replay import replay
from benchmarks.search import FOLDER
from tune.search import finals

SCENE = replay("phase2-2cpu", recorded.read(FOLDER / "phase2-2cpu.json"))


def runs(rule: str) -> list[FinalsRun]:
    with mock.patch.object(finals, "race_of", RULES[rule]):
        return [run(SCENE, seed) for seed in range(8)]


def test_a_race_costs_no_more_finals_than_rounds_for_all_and_picks_no_worse() -> None:
    of_all, race = runs("rounds for all"), runs("a race")
    assert sum(r.num_finals for r in race) <= 1.1 * sum(r.num_finals for r in of_all)
    # Of single searches chance decides: means are for the benchmark's 120.
    picked, by_all = (statistics.median(r.picked for r in own) for own in (race, of_all))
    assert picked >= by_all
    dropped = runs("the beaten stop")
    assert sum(r.num_finals for r in dropped) < sum(r.num_finals for r in of_all)


def test_the_table_has_a_row_for_each_landscape_and_rule(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["--seeds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3 * len(RULES)
    assert "| phase1-2cpu | a race |" in "\n".join(lines)
