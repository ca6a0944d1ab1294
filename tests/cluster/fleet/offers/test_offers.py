"""Offers: which class to rent, how sure that is, and what is said without a price."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import FleetError
from cluster.fleet.hosts import Host
from cluster.fleet.offers import offers as report
from cluster.fleet.offers import profiles
from cluster.fleet.offers.prices import Prices
from fleet_profiles import A100, RTX, ranked, write


def test_class_with_the_most_steps_per_dollar_comes_first(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", machine_class=A100, expected_sps=120_000.0)
    offers = ranked(tmp_path, Prices(given={"rtx-4090": 0.5, "a100": 2.0}))
    assert [offer.profile.machine_class for offer in offers] == [RTX, A100]
    assert offers[0].steps_per_dollar == pytest.approx(50_000 * 3600 / 0.5)
    assert report.advice(offers) == (
        f"Rent this one: {RTX} at $0.50 an hour, 360 M env steps per dollar, "
        f"1.67 times those of {A100}."
    )


@pytest.mark.parametrize(
    ("changes", "table", "said"),
    [
        ({}, {}, f"Fastest: {RTX} with 50.0 K env steps/s; what to rent needs prices"),
        ({}, {"rtx-4090": 1.0}, f"with a price; no price is known for {A100}."),
        ({}, {"rtx-4090": 1.0, "a100": 0.985}, "overlap, so that may be chance."),
        ({"partial": True}, {"rtx-4090": 0.1, "a100": 1.0}, "cut short before its finals"),
        (
            {"speed": {"low": 49_000.0, "high": 51_000.0, "disturbed": True}},
            {"rtx-4090": 0.1, "a100": 1.0},
            f"; {RTX}: measured while disturbed, and perhaps faster than that.",
        ),
        (
            {"speed": {"low": 49_000.0, "high": 51_000.0, "disturbed": True}},
            {},
            f"Fastest: {RTX} with 50.0 K env steps/s (disturbed); what to rent needs prices",
        ),
    ],
)
def test_sentence_says_how_sure_it_is(
    changes: dict[str, Any], table: dict[str, float], said: str, tmp_path: Path
) -> None:
    write(tmp_path, "a", **changes)
    write(tmp_path, "b", machine_class=A100, expected_sps=49_000.0)
    assert said in report.advice(ranked(tmp_path, Prices(given=table)))


def test_speed_of_one_block_alone_has_no_interval(tmp_path: Path) -> None:
    write(tmp_path, "a", speed={"low": 50_000.0, "high": 50_000.0})
    (offer,) = ranked(tmp_path, Prices())
    assert report.interval_text(offer.profile) == "50.0 K env steps/s"


def test_of_profiles_that_are_chosen_for_learning_steps_are_not_all(tmp_path: Path) -> None:
    write(tmp_path, "a", kind="learning")
    offers = report.offers(
        profiles.read_all(tmp_path, kind="learning"), (), Prices(given={"rtx-4090": 1.0})
    )
    said = "; these are steps, and each profile says how soon it learns"
    assert report.advice(offers).endswith(f"{said}.")
    unpriced = report.offers(profiles.read_all(tmp_path, kind="learning"), (), Prices())
    assert f"50.0 K env steps/s{said}; what to rent" in report.advice(unpriced)


def test_a_speed_that_was_disturbed_is_marked(tmp_path: Path) -> None:
    write(tmp_path, "a", speed={"low": 49_000.0, "high": 51_000.0, "disturbed": True})
    (offer,) = ranked(tmp_path, Prices())
    assert report.interval_text(offer.profile) == "50.0 K ±2.0 % env steps/s (disturbed)"


def test_best_of_a_class_is_proven_before_it_is_fast(tmp_path: Path) -> None:
    write(tmp_path, "a", expected_sps=40_000.0)
    write(tmp_path, "b", expected_sps=45_000.0)
    write(tmp_path, "c", expected_sps=60_000.0, confirmed=False)
    (offer,) = ranked(tmp_path, Prices())
    assert (offer.profile.host, offer.price_per_hour) == ("b", None)


@pytest.mark.parametrize(
    ("of_a", "of_b", "best"),
    [(0.69, 0.30, "b"), (0.69, 0.68, "a"), (0.69, None, "a"), (None, 0.30, "b"), (None, None, "a")],
)
def test_best_host_of_a_class_is_the_one_with_the_most_steps_per_dollar(
    of_a: float | None, of_b: float | None, best: str, tmp_path: Path
) -> None:
    write(tmp_path, "a", expected_sps=51_000.0)
    write(tmp_path, "b", expected_sps=49_000.0)
    write(tmp_path, "c", expected_sps=90_000.0, confirmed=False)
    hosts = [
        Host(name=name, address=name, price_per_hour=price)
        for name, price in {"a": of_a, "b": of_b, "c": 0.01}.items()
    ]
    (offer,) = ranked(tmp_path, Prices(), hosts)
    assert (offer.profile.host, offer.price_per_hour) == (best, of_a if best == "a" else of_b)


GPUS = ["A100"] * 4


@pytest.mark.parametrize(
    ("gpus", "config", "table", "price", "shown"),
    [
        (GPUS, {"num_envs": 8}, Prices(), 1.19, "$1.19 (1 of 4 GPUs)"),
        (GPUS, {"num_devices": 2}, Prices(), 2.38, "$2.38 (2 of 4 GPUs)"),
        (GPUS, {"num_devices": 4}, Prices(), 4.76, "$4.76 (4 of 4 GPUs)"),
        (GPUS, {"num_envs": 8}, Prices(given={"a100": 1.5}), 1.5, "$1.50 (1 of 4 GPUs)"),
        (GPUS, {"num_devices": 4}, Prices(given={"a100": 1.5}), 6.0, "$6.00 (4 of 4 GPUs)"),
        (GPUS[:1], {"num_envs": 8}, Prices(), 4.76, "$4.76"),
        ([], {"num_devices": 4}, Prices(), 4.76, "$4.76"),
        ([], {"num_devices": 4}, Prices(given={"a100": 1.5}), 1.5, "$1.50"),
        (None, {"num_envs": 8}, Prices(), 4.76, "$4.76"),
    ],
)
def test_price_is_that_of_the_gpus_that_train_or_of_the_box_on_its_cpu(
    gpus: list[str] | None,
    config: dict[str, Any],
    table: Prices,
    price: float,
    shown: str,
    tmp_path: Path,
) -> None:
    where = {"device": "cpu", "machine": {"gpus": GPUS}}
    if gpus is not None:
        where = {"device": "cuda", "machine": {"gpus": gpus}}
    write(tmp_path, "a", machine_class=A100, config=config, **where)
    host = Host(name="a", address="x", price_per_hour=4.76)
    (offer,) = ranked(tmp_path, table, [host])
    assert offer.price_per_hour == pytest.approx(price)
    assert offer.steps_per_dollar == pytest.approx(50_000 * 3600 / price)
    assert report.cells(offer)[3] == shown
    amount, _, share = shown.partition(" ")
    assert f"{A100} at {amount} an hour{share and f' {share}'}, " in report.advice([offer])


@pytest.mark.parametrize("table", [Prices(listed={"a100": 1.5}), Prices(fetched={A100: 1.5})])
def test_price_of_a_class_is_of_one_gpu(table: Prices, tmp_path: Path) -> None:
    config, machine = {"num_devices": 2}, {"gpus": GPUS}
    write(tmp_path, "a", machine_class=A100, config=config, machine=machine)
    assert ranked(tmp_path, table)[0].price_per_hour == pytest.approx(3.0)


def test_box_with_several_gpus_is_no_dearer_for_those_that_do_not_train(tmp_path: Path) -> None:
    write(tmp_path, "a", machine_class=A100, expected_sps=100_000.0, machine={"gpus": GPUS})
    write(tmp_path, "b", machine={"gpus": GPUS[:1]})
    hosts = [
        Host(name="a", address="x", price_per_hour=4.76),
        Host(name="b", address="y", price_per_hour=0.69),
    ]
    assert report.advice(ranked(tmp_path, Prices(), hosts)).startswith(
        f"Rent this one: {A100} at $1.19 an hour (1 of 4 GPUs), "
    )


def test_box_that_has_given_its_name_to_one_of_another_class_keeps_no_price_of_that(
    tmp_path: Path,
) -> None:
    for job, name, day in (("s0", RTX, "01"), ("s1", A100, "20")):
        old = write(tmp_path, "a", machine_class=name, created_at=f"2026-11-{day}T10:00:00+00:00")
        old.parents[1].rename(tmp_path / "a" / job)
    hosts = [Host(name="a", address="x", price_per_hour=2.39)]
    offers = ranked(tmp_path, Prices(), hosts)
    assert [(o.profile.machine_class, o.price_per_hour) for o in offers] == [
        (A100, 2.39),
        (RTX, None),
    ]
    assert report.advice(offers).endswith(f"; no price is known for {RTX}.")
    listed = ranked(tmp_path, Prices(listed={"rtx-4090": 0.69}), hosts)
    assert report.advice(listed).startswith(f"Rent this one: {RTX} at $0.69 an hour")


def test_box_with_gpus_of_two_kinds_prices_both(tmp_path: Path) -> None:
    for name, second in ((RTX, "00"), (A100, "07")):
        write(tmp_path, "a", machine_class=name, created_at=f"2026-11-01T10:00:{second}+00:00")
    offers = ranked(tmp_path, Prices(), [Host(name="a", address="x", price_per_hour=2.39)])
    assert [offer.price_per_hour for offer in offers] == [2.39, 2.39]


def test_speeds_of_other_tasks_are_not_compared(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", data={"source": "bars.csv", "sha256": "def"})
    tasks = profiles.by_task(profiles.read_all(tmp_path, kind="fastest"))
    assert [len(results) for results in tasks.values()] == [1, 1]
    assert len({report.suffix(task) for task in tasks}) == 2


def test_profile_of_each_class_is_copied_as_it_is(tmp_path: Path) -> None:
    source = write(tmp_path, "a")
    (copy,) = report.publish(ranked(tmp_path, Prices()), tmp_path)
    assert copy == tmp_path / source.name
    assert copy.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"machine_class": None}, "is not a profile: machine_class: missing"),
        ({"speed": {}}, r"is not a profile: speed\.low: missing"),
        ({"expected_sps": None}, "is not a profile: expected_sps: missing"),
        ({"schema_version": 2}, "schema_version: must be 1, .*got 2"),
        ({"machine": {"gpus": 4}}, r"machine\.gpus: must be a list, got 4"),
        ({"config": {"num_devices": 0}}, r"config\.num_devices: must be at least 1, got 0"),
        ({"config": {"num_devices": "two"}}, r"config\.num_devices: must be a whole number"),
        ({"config": 3}, "is not a profile: config: must map names to values, got 3"),
    ],
)
def test_file_that_is_no_profile_is_named_with_its_key(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, "a")
    document = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump({k: v for k, v in document.items() if v is not None}))
    with pytest.raises(FleetError, match=message) as raised:
        profiles.read_all(tmp_path, kind="fastest")
    assert str(path) in str(raised.value)
