"""MarketOptions of a market: a file or the synthetic one."""

import subprocess
import sys

import pytest

from exports import EXPORTS
from good_bars import lines
from trainables.market.options import MarketOptions
from trainables.workload import WorkloadInputError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"date": "x"}, "there is no option \\['date'\\]; there are"),
        ({"synthetic_days": 0}, "synthetic_days must be at least 1, got 0"),
        ({"timezone": "UTC"}, "--timezone is about a file of bars"),
        ({"symbol": "A"}, "--symbol is about a file of bars"),
        ({"held_out": 1.0}, "held_out is a share like 0.2, got 1.0"),
        ({"held_out": -0.1}, "held_out is a share like 0.2, got -0.1"),
        ({"held_out": float("nan")}, "held_out is a share like 0.2, got nan"),
    ],
)
def test_bad_option_is_named(options, message):
    with pytest.raises(WorkloadInputError, match=message):
        MarketOptions.from_mapping(options)


def test_options_choose_between_the_file_and_the_synthetic_market(write):
    assert (
        MarketOptions.from_mapping({"data": str(write(lines()))}).load_bars().source == "bars.csv"
    )
    assert "synthetic market (3 days" in MarketOptions(synthetic_days=3).load_bars().source


def test_options_of_a_file_reach_its_reader():
    data = str(EXPORTS / "two_symbols_by_time.csv")
    with pytest.raises(WorkloadInputError, match="has 29 rows"):
        MarketOptions(data=data, symbol="B").load_bars()
    with pytest.raises(WorkloadInputError, match="--timezone Nowhere/X is not known"):
        MarketOptions(data=data, timezone="Nowhere/X").load_bars()


def test_options_that_say_nothing_of_the_file_are_those_of_earlier_versions():
    assert MarketOptions(seed=3).as_mapping() == {"data": None, "synthetic_days": 250, "seed": 3}
    mapping = MarketOptions(data="x", timezone="UTC", symbol="A").as_mapping()
    assert (mapping["timezone"], mapping["symbol"]) == ("UTC", "A")
    assert MarketOptions.from_mapping(mapping).as_mapping() == mapping


@pytest.mark.parametrize(
    "said", [{"training_seed": 7}, {"training_seed": 0}, {"held_out": 0.2}, {"timezone": ""}]
)
def test_options_of_learning_are_among_them_where_they_say_something(said):
    file = {"data": "x"} if "timezone" in said else {}
    options = MarketOptions(seed=3, **file, **said)
    mapping = {"data": None, "synthetic_days": 250, "seed": 3} | file | said
    assert options.as_mapping() == mapping
    assert MarketOptions.from_mapping(mapping) == options


def test_the_seed_of_training_is_that_of_the_market_unless_it_has_its_own():
    assert MarketOptions(seed=3).seed_of_training == 3
    assert MarketOptions(seed=3, training_seed=0).seed_of_training == 0
    first, other = MarketOptions(seed=3), MarketOptions(seed=3, training_seed=4)
    assert (first.load_bars().close == other.load_bars().close).all()
    assert (first.load_bars().close != MarketOptions(seed=4).load_bars().close).any()


def test_market_is_read_without_jax():
    code = "import sys, trainables.market.options; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
