import pytest

from cluster.errors import UserError
from tune.jax_phase12 import JaxSpec
from tune.parse import parse_assignments, parse_duration, parse_integers
from tune.search.objective import Objective


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300", 300), ("300s", 300), ("10m", 600), ("4m30s", 270), ("2h", 7200), ("1h30m", 5400),
     ("0.5h", 1800), (" 90 ", 90)],
)  # fmt: skip
def test_times_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration("--max-time", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5", "10 minutes", "5m4h", "m"])
def test_what_is_no_time_is_refused_with_forms_that_are(text: str) -> None:
    with pytest.raises(UserError, match="--max-time is a time like 300, 300s, 10m or 2h"):
        parse_duration("--max-time", text)


def test_assignments_keep_what_stands_behind_the_first_equals_sign() -> None:
    assert parse_assignments("--option", ("a=1", "b=x=y")) == {"a": "1", "b": "x=y"}


@pytest.mark.parametrize("text", ["a", "=1"])
def test_an_assignment_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(UserError, match=f"--option takes name=value, got '{text}'"):
        parse_assignments("--option", (text,))


@pytest.mark.parametrize("text", ["a=0", "a=-1", "a=1.5", "a=x"])
def test_tuned_values_are_positive_whole_numbers(text: str) -> None:
    with pytest.raises(UserError, match="positive whole numbers"):
        parse_integers("--baseline", (text,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_runs": 0}, "--max-runs must be at least 1, got 0"),
        ({"patience": 0}, "--patience must be at least 1"),
        ({"final_rounds": 0}, "--final-rounds must be at least 1"),
        ({"soak_updates": -1}, "--soak-updates must be at least 0"),
        ({"thread_cap": 0}, "--thread-cap must be at least 1"),
        ({"min_gain": 1.5}, "--min-gain is a share"),
        ({"trial_timeout": "never"}, "--trial-timeout is a time"),
    ],
)
def test_a_spec_that_makes_no_search_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        JaxSpec(**options)  # type: ignore[arg-type]


def test_the_defaults_make_a_search() -> None:
    spec = JaxSpec()
    assert (spec.phase, spec.objective, spec.max_time_s) == (1, Objective.THROUGHPUT, None)
    assert spec.trial_timeout_s == 600
