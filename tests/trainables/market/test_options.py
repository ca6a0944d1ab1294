"""MarketOptions of a market: a file or the synthetic one."""

import subprocess
import sys

import pytest

from good_bars import lines
from trainables.market.options import MarketOptions
from trainables.workload import WorkloadInputError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"date": "x"}, "there is no option \\['date'\\]; there are"),
        ({"synthetic_days": 0}, "synthetic_days must be at least 1, got 0"),
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


def test_market_is_read_without_jax():
    code = "import sys, trainables.market.options; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
