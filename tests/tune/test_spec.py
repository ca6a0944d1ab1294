"""A spec is refused where it makes no search."""

import pytest

from cluster.errors import UserError
from tune.jax_phase12 import JaxSpec
from tune.search.objective import Objective


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
        ({"check": True, "address": "auto"}, "--check tries the training on this machine"),
    ],
)
def test_a_spec_that_makes_no_search_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        JaxSpec(**options)  # type: ignore[arg-type]


def test_the_defaults_make_a_search() -> None:
    spec = JaxSpec()
    assert (spec.phase, spec.objective, spec.max_time_s) == (1, Objective.THROUGHPUT, None)
    assert spec.trial_timeout_s == 600
