"""Prices: the most particular one counts."""

from pathlib import Path

import pytest

from cluster.errors import FleetError
from cluster.fleet.hosts import Host
from cluster.fleet.offers import prices
from cluster.fleet.offers.prices import Prices
from fleet_profiles import A100, RTX

HOST = Host(name="a", address="x", price_per_hour=0.4)


@pytest.mark.parametrize(
    ("table", "host", "machine_class", "price"),
    [
        (Prices(), None, RTX, None),
        (Prices(), HOST, RTX, 0.4),
        (Prices(), HOST, None, 0.4),
        (Prices(listed={"rtx-4090": 0.7}), HOST, RTX, 0.4),
        (Prices(listed={"rtx-4090": 0.7}), None, RTX, 0.7),
        (Prices(listed={"RTX 4090": 0.7}), None, RTX, 0.7),
        (Prices(given={"rtx-4090": 0.9}, listed={"rtx-4090": 0.7}), HOST, RTX, 0.9),
        (Prices(listed={"a100": 1.5, "a100-sxm4-80gb": 2.0}), None, A100, 2.0),
        (Prices(listed={"rtx-409": 0.7}), None, RTX, None),
        (Prices(listed={"4090": 0.7, "24gb": 0.7}), None, RTX, 0.7),
    ],
)
def test_price_is_the_most_particular_one(
    table: Prices, host: Host | None, machine_class: str | None, price: float | None
) -> None:
    assert table.of(host, machine_class) == price


def test_two_prices_that_fit_equally_well_are_a_mistake() -> None:
    with pytest.raises(FleetError, match="4090 and 24gb both fit"):
        Prices(listed={"4090": 0.7, "24gb": 0.8}).of(None, RTX)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("[prices]\nx = 'a'", (), r"prices\.x: must be US dollars an hour, like 0\.69, got 'a'"),
        ("[prices]\nx = 0", (), r"prices\.x: must be US dollars an hour, like 0\.69, got 0"),
        ("x = 1", (), r"x: unknown key.* It holds one table, \[prices\]"),
        ("[prices", (), "is not TOML"),
        ("", ("x=free",), "--price takes CLASS=1.19, got 'x=free'"),
        ("", ("x=1", "y=1", "x=2"), "--price gives x twice: leave one out"),
        ("", ("x=-1",), r"--price\.x: must be US dollars an hour, like 0\.69, got -1\.0"),
        ("", ("=1",), r"--price: must name a GPU class, got \{'': 1\.0\}"),
        ("", ("1", "2"), r"--price: must name a GPU class, got \{'': 2\.0\}"),
        ("", ("x=nan",), r"--price\.x: must be US dollars an hour, like 0\.69, got nan"),
    ],
)
def test_mistake_in_prices_is_told(
    text: str, options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(FleetError, match=message):
        prices.read(path, options)


def test_example_of_prices_is_valid() -> None:
    assert prices.read(Path(prices.__file__).parents[2] / "prices.example.toml", ()).listed


def test_what_was_fetched_comes_after_all_that_a_person_said() -> None:
    fetched = {RTX: 0.3}
    assert Prices(fetched=fetched).of(None, RTX) == 0.3
    assert Prices(fetched=fetched, listed={"rtx-4090": 0.7}).of(None, RTX) == 0.7
    assert Prices(fetched=fetched).of(HOST, RTX) == 0.4
