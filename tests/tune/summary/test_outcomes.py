"""Every outcome has words, and so has what a language model costs."""

import pytest

from trainables.measurement import OutcomeKind
from tune.summary import outcomes


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({"entropy": 1.0}, ""),
        (
            {
                "llm_share": 0.846,
                "steps_per_second_without_llm": 9812.0,
                "llm_seconds_per_query": 0.1134,
                "llm_tokens_per_second": 61.2,
                "llm_cache_hits": 0.25,
                "llm_parse_failures": 0.031,
            },
            "85 % of the time; 9.81 K env steps/s without it; 0.11 s per question, 61 tokens/s; "
            "25 % answered from the cache; 3 % of the answers did not parse",
        ),
        (
            {"llm_share": 0.0, "steps_per_second_without_llm": 947.0, "llm_cache_hits": 1.0},
            "0 % of the time; 947 env steps/s without it; 100 % answered from the cache",
        ),
    ],
)
def test_what_a_language_model_costs(health: dict[str, float], expected: str) -> None:
    assert outcomes.language_model(health) == expected


@pytest.mark.parametrize("kind", OutcomeKind)
def test_every_outcome_is_explained_with_something_to_do(kind: OutcomeKind) -> None:
    advice = outcomes.EXPLANATIONS[kind]
    assert 0 < len(advice.short) <= 16
    for sentence in (advice.means, advice.do):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
