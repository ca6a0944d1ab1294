"""Prices of gpuhunt's catalog: the cheapest offer of a class's name and memory."""

import sys
import types
from pathlib import Path

import pytest

from cluster.errors import FleetError
from cluster.fleet import __main__ as fleet
from cluster.fleet.offers import gpuhunt as gpuhunt_prices
from fleet_profiles import RTX, write


def offer(gpu_name: str, memory_gb: float, price: float, provider: str = "runpod") -> object:
    return types.SimpleNamespace(
        gpu_name=gpu_name, gpu_memory=memory_gb, price=price, provider=provider, location="EU"
    )


CATALOG = [
    offer("RTX4090", 24, 0.69),
    offer("RTX4090", 24, 0.34, "vastai"),
    offer("L4", 24, 0.44),
    offer("L40S", 48, 0.79),
    offer("A100", 40, 0.9),
    offer("A100", 80, 1.19),
    offer("RTX4000", 8, 0.1),
    offer("RTX4000Ada", 20, 0.26),
]


@pytest.mark.parametrize(
    ("machine_class", "price"),
    [
        ("rtx-4090-24gb-450w", 0.34),
        ("l4-22gb-72w", 0.44),
        ("l40s-45gb-350w", 0.79),
        ("a100-sxm4-80gb-80gb-400w", 1.19),
        ("a100-sxm4-40gb-40gb-400w", 0.9),
        ("rtx-4000-ada-generation-20gb-130w", 0.26),
        ("h100-80gb-hbm3-80gb-700w", None),
        ("amd-epyc-8cpu", None),
    ],
)
def test_cheapest_offer_of_a_class_has_its_name_and_its_memory(
    machine_class: str, price: float | None
) -> None:
    asked: dict[str, object] = {}

    def query(**filters: object) -> list[object]:
        asked.update(filters)
        return CATALOG

    found = gpuhunt_prices.quotes([machine_class], query)
    assert {name: quote.price for name, quote in found.items()} == (
        {} if price is None else {machine_class: price}
    )
    assert asked["spot"] is False
    assert asked["max_gpu_count"] == 1


def test_catalog_that_cannot_be_fetched_is_told() -> None:
    def query(**filters: object) -> list[object]:
        raise ConnectionError("no route to host")

    with pytest.raises(FleetError, match="could not fetch its catalog"):
        gpuhunt_prices.quotes([RTX], query)


def test_gpuhunt_that_is_not_installed_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gpuhunt", None)
    write(tmp_path, "a")
    hosts = tmp_path / "hosts.toml"
    hosts.write_text('[hosts.a]\naddress = "192.0.2.1"\n')
    words = ["report", "--hosts", str(hosts), "-o", str(tmp_path)]
    assert fleet.main([*words, "--gpuhunt"]) == 2
    assert capsys.readouterr().err == (
        "error: --gpuhunt needs the package gpuhunt: pip install -e '.[gpuhunt]'.\n"
    )
    assert fleet.main(words) == 0


@pytest.mark.parametrize(
    ("own", "told", "paid"),
    [
        ("", "gpuhunt: rtx-4090-24gb-450w from $0.34 an hour at vastai (EU)\n", "$0.34"),
        ("price_per_hour = 0.5", "", "$0.50"),
    ],
)
def test_report_by_gpuhunt_says_whose_price_it_took(
    own: str,
    told: str,
    paid: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = types.SimpleNamespace(query=lambda **filters: CATALOG)
    monkeypatch.setitem(sys.modules, "gpuhunt", module)  # type: ignore[arg-type]
    write(tmp_path, "a", machine_class="rtx-4090-24gb-450w")
    hosts = tmp_path / "hosts.toml"
    hosts.write_text(f'[hosts.a]\naddress = "192.0.2.1"\n{own}\n')
    words = ["report", "--hosts", str(hosts), "-o", str(tmp_path), "--gpuhunt"]
    assert fleet.main(words) == 0
    said = capsys.readouterr()
    assert said.err == told
    assert f"Rent this one: rtx-4090-24gb-450w at {paid} an hour" in said.out
