"""The result fits its terminal, and its commands can be copied."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import factories
from learners import numbered, trained
from screens import CONTEXT, PROFILES, TOO_MUCH, begin, printed, terminal
from trainables.measurement import OutcomeKind
from tune.screen import result_panel
from tune.screen.screen import Screen
from tune.search.learned import LearningPlan
from tune.search.learning import judge
from tune.search.result import Kind
from tune.search.trial import Stage, Trial
from tune.summary.conclusion import conclude


@pytest.mark.parametrize("width", [80, 120])
def test_the_result_fits_and_its_commands_can_be_copied(width: int) -> None:
    console = terminal(width)
    screen = Screen(console=console)
    begin(screen)
    screen.finished(
        factories.result(), CONTEXT, profiles=PROFILES, files=[Path("runs/x/trials.csv")]
    )
    shown = printed(console)
    panel = shown[shown.index(" result ") - 40 : shown.rindex("╯")]
    assert max(len(line) for line in panel.splitlines()) <= width
    commands = shown[shown.rindex("╯") :].splitlines()
    file = PROFILES[Kind.FASTEST]
    assert (
        f'  eval "$(python -m tune.profile env {file})" && taskset -c 0-1 YOUR TRAINING' in commands
    )
    assert f"  python -m tune.profile validate {file}" in commands
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", panel).split())
    for part in (
        "512 x 64, 8 minibatches: 1.24 x faster than the framework default (256 x 128, 4",
        "512 envs x 64 steps, batch 4096, 4 epochs",
        "62.0 K env steps/s, 95 % interval 61.2 K to 62.9 K, from 2 fresh processes",
        "143 MiB of 9.60 GiB allowed, 99 % free (as compiled)",
        "21 at most, under a cap of 2; room for 1,000",
        "200 of 200 updates in one process, 2 min 11 s at 61.5 K env steps/s",
        "8 trials in a row did not improve the best",
        "complete, 4 min 31 s",
        "synthetic data",
    ):
        assert part in text


def test_finals_are_listed_by_speed_with_what_failed_last() -> None:
    def final(number: int, num_envs: int, outcome: Any) -> Trial:
        config = {"num_envs": num_envs, "num_steps": 128, "batch_size": 8192, "num_epochs": 4}
        return factories.trial(number=number, stage=Stage.FINAL, config=config, outcome=outcome)

    def at(speed: float) -> Any:
        measurement = factories.measurement(
            steps_per_second=speed, low=0.99 * speed, high=1.01 * speed
        )
        return factories.outcome(measurement=measurement)

    trials = (final(0, 256, at(50_000.0)), final(1, 512, at(60_000.0)), final(2, 1024, TOO_MUCH))
    rows = result_panel.finals_rows(factories.result(trials=(*trials, final(3, 512, at(62_000.0)))))
    assert [row[:3] for row in rows] == [
        ("512 x 128, 8 minibatches", "61.0 K ±7.8 %", "2"),
        ("256 x 128, 4 minibatches (baseline)", "50.0 K ±11.3 %", "1"),
        ("1024 x 128, 16 minibatches", "device memory", "1"),
    ]


def test_a_final_that_was_lost_and_run_again_has_its_speed() -> None:
    lost = factories.failed(OutcomeKind.NODE_LOST, "killed.")
    config, other = {"lanes": 8}, {"lanes": 16}
    finals = [
        factories.trial(number=place, stage=Stage.FINAL, config=of, **changes)
        for place, (of, changes) in enumerate(
            [(config, {"outcome": lost}), (config, {}), (other, {"outcome": lost})]
        )
    ]
    explored = factories.trial(number=3, config=other)
    rows = result_panel.finals_rows(factories.result(trials=(*finals, explored)))
    assert [row[:3] for row in rows] == [
        ("lanes 8", "50.0 K ±16.3 %", "1"),
        ("lanes 16", "lost", "1"),
    ]


def test_what_trainings_told_is_there_for_programs() -> None:
    a, b = {"num_envs": 1}, {"num_envs": 2}
    trials = numbered([trained(a, 4.0), trained(b, 60.0)])
    judgement = judge(trials, LearningPlan(target=100.0, training_s=20.0))
    found = factories.result(trials=tuple(trials), judgement=judgement)
    told = result_panel.to_dict(conclude(found, CONTEXT, profiles={}, files=()), found, {})
    learning = json.loads(json.dumps(told["learning"]))
    assert (learning["target"], learning["by_target"], learning["training_s"]) == (100.0, True, 20)
    assert learning["not_told_apart"] == [b]  # one seed each tells little
    first, second = learning["learned"]
    assert (first["config"], second["config"]) == (a, b)
    assert first["seconds"] == [pytest.approx(4.0)]
    assert second["seconds"] == [None]
    assert first["final_returns"] == [None]  # it ended at the target
    assert second["final_returns"] == [pytest.approx(30.0, abs=1.0)]
    speed_alone = factories.result()
    alone = conclude(speed_alone, CONTEXT, profiles={}, files=())
    assert result_panel.to_dict(alone, speed_alone, {})["learning"] is None
