"""What people read: every outcome has words, and figures read as people write them."""

import pytest

from cluster.pages import units
from search_spaces.config import config_cell, config_name, config_text
from trainables.measurement import OutcomeKind
from tune.summary import outcomes

CONFIG = {"num_envs": 512, "num_steps": 64, "batch_size": 4096, "num_epochs": 4}


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.4, "7"),
        (947.0, "947"),
        (999.4, "999"),
        (999.7, "1.00 K"),
        (1234.0, "1.23 K"),
        (48_213.0, "48.2 K"),
        (168_000.0, "168 K"),
        (999_400.0, "999 K"),
        (999_700.0, "1.00 M"),
        (1_234_567.0, "1.23 M"),
        (12_345_678.0, "12.3 M"),
    ],
)
def test_speeds_have_three_digits_and_a_unit(value: float, text: str) -> None:
    assert units.speed(value) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (50_000.0, 49_350.0, 50_650.0, "50.0 K ±1.3 %"),
        (50_000.0, 45_000.0, 50_500.0, "50.0 K ±10.0 %"),
        (50_000.0, 50_000.0, 50_000.0, "50.0 K"),
    ],
)
def test_an_interval_is_said_by_its_wider_side(
    value: float, low: float, high: float, text: str
) -> None:
    assert units.speed_interval(value, low, high) == text


@pytest.mark.parametrize(
    ("number_bytes", "text"),
    [
        (None, "-"),
        (300_000, "0.3 MiB"),
        (150_000_000, "143 MiB"),
        (1023 * 2**20, "1023 MiB"),
        (2**30 - 1, "1.00 GiB"),
        (int(21.3 * 2**30), "21.3 GiB"),
    ],
)
def test_sizes_are_binary(number_bytes: int | None, text: str) -> None:
    assert units.size(number_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185.0, "3 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_in_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("config", "in_full", "cell", "sizes"),
    [
        (
            CONFIG,
            "512 envs x 64 steps, batch 4096, 4 epochs",
            "512 x 64 / 4096 num_epochs=4",
            "512 x 64, 8 minibatches",
        ),
        (
            {"num_envs": 8, "num_steps": 16, "batch_size": 128},
            "8 envs x 16 steps, batch 128",
            "8 x 16 / 128",
            "8 x 16, 1 minibatch",
        ),
        (
            {"num_envs": 8, "num_epochs": 1},
            "1 epoch, num_envs 8",
            "num_envs=8 num_epochs=1",
            "num_envs 8, num_epochs 1",
        ),
        ({"width": 4, "depth": 2}, "width 4, depth 2", "width=4 depth=2", "width 4, depth 2"),
    ],
)
def test_configurations_are_named_by_their_sizes(
    config: dict[str, int], in_full: str, cell: str, sizes: str
) -> None:
    assert config_text(config) == in_full
    assert config_cell(config) == cell
    assert config_name(config) == sizes


def test_a_cell_leaves_out_what_all_trials_share() -> None:
    assert config_cell(CONFIG, fixed={"num_epochs"}) == "512 x 64 / 4096"


@pytest.mark.parametrize(
    ("cpus", "text"), [((0, 1, 2, 3), "0-3"), ((8, 0, 1), "0-1,8"), ((5,), "5")]
)
def test_cpus_read_as_taskset_takes_them(cpus: tuple[int, ...], text: str) -> None:
    assert units.cpu_ranges(cpus) == text


@pytest.mark.parametrize(("ratio", "text"), [(1.2371, "1.24 x"), (12.371, "12.4 x")])
def test_factors_have_three_digits(ratio: float, text: str) -> None:
    assert units.times(ratio) == text
