"""The configurations that trained: their names, words and colours."""

import dataclasses

import searches
import trained_searches
from search_spaces.config import config_text
from trained_searches import config, result, trials
from tune.report.trainees import MUTED, Trainee, trainees
from tune.search.trial import Trial


def found(all_trials: tuple[Trial, ...]) -> list[Trainee]:
    ended = result(all_trials, 400.0)
    assert ended.judgement is not None
    return trainees(ended, ended.judgement)


def test_the_best_comes_first_and_names_go_to_whom_they_belong() -> None:
    names = {one.name: one.learned.config for one in found(trials(target=400.0)) if one.name}
    assert names == {
        "best": config(256),
        "steps fastest": config(1024),
        "baseline": searches.BASELINE,
    }
    assert found(trials(target=400.0))[0].name == "best"


def test_colours_are_of_those_with_names_or_several_seeds_and_no_two_are_the_same() -> None:
    own = found(trials(target=400.0))
    colored = [one.color for one in own if not one.is_muted]
    assert len(colored) == len(set(colored)) == 4
    assert all(one.learned.num_seeds == 1 for one in own if one.color == MUTED)


def test_one_configuration_may_have_all_names() -> None:
    told = trained_searches.curve(6.0, 0, target=400.0)
    baseline = trials(target=400.0)[0]
    (only,) = found((baseline, trained_searches.trained(1, searches.BASELINE, 1e4, told)))
    assert only.name == "best, steps fastest, baseline"


def test_what_differs_only_beside_the_sizes_is_told_apart() -> None:
    told = trained_searches.curve(6.0, 0, target=400.0)
    other = searches.BASELINE | {"num_epochs": 8}
    first = trained_searches.trained(0, searches.BASELINE, 1e4, told)
    second = trained_searches.trained(1, other, 1e4, told)
    assert {one.config for one in found((first, dataclasses.replace(second, config=other)))} == {
        config_text(searches.BASELINE),
        config_text(other),
    }
