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


def test_market_is_read_without_jax():
    code = "import sys, trainables.market.options; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
