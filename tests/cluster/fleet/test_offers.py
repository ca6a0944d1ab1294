"""Prices and the report: which class, how sure, and what is said without a price."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.errors import FleetError
from cluster.fleet import __main__ as fleet
from cluster.fleet.hosts import Host
from cluster.fleet.offers import gpuhunt, offers, page, prices, profiles
from cluster.fleet.offers.prices import Prices
from cluster.pages import units

RTX = "nvidia-geforce-rtx-4090-24gb-450w"
A100 = "nvidia-a100-sxm4-80gb-400w"


def write(out: Path, host: str, **changes: Any) -> Path:
    speed = changes.pop("expected_sps", 50_000.0)
    document = {
        "schema_version": 1,
        "kind": "fastest",
        "expected_sps": speed,
        "confirmed": True,
        "partial": False,
        "config": {"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4},
        "speed": {"low": speed * 0.99, "high": speed * 1.01},
        "workload": {"factory": "package.module:phase1"},
        "data": {"source": "synthetic", "sha256": "abc"},
        "search": {"objective": "throughput"},
        "machine_class": RTX,
    } | changes
    kept = {name: value for name, value in document.items() if value is not None}
    path = out / host / "search-1" / "profiles" / f"{document['machine_class']}-phase1.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# header\n" + yaml.safe_dump(kept))
    return path


def ranked(out: Path, table: Prices, hosts: tuple[Host, ...] = ()) -> list[offers.ClassOffer]:
    return offers.offers(profiles.read_all(out, kind="fastest"), hosts, table)


def test_class_with_the_most_steps_per_dollar_comes_first(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", machine_class=A100, expected_sps=120_000.0)
    found = ranked(tmp_path, Prices(given={"rtx-4090": 0.5, "a100": 2.0}))
    assert [offer.profile.machine_class for offer in found] == [RTX, A100]
    assert found[0].steps_per_dollar == pytest.approx(50_000 * 3600 / 0.5)
    assert offers.advice(found) == (
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
    ],
)
def test_sentence_says_how_sure_it_is(
    changes: dict[str, Any], table: dict[str, float], said: str, tmp_path: Path
) -> None:
    write(tmp_path, "a", **changes)
    write(tmp_path, "b", machine_class=A100, expected_sps=49_000.0)
    assert said in offers.advice(ranked(tmp_path, Prices(given=table)))


def test_best_of_a_class_is_proven_before_it_is_fast(tmp_path: Path) -> None:
    write(tmp_path, "a", expected_sps=40_000.0)
    write(tmp_path, "b", expected_sps=45_000.0)
    write(tmp_path, "c", expected_sps=60_000.0, confirmed=False)
    (offer,) = ranked(tmp_path, Prices())
    assert (offer.profile.host, offer.price_per_hour) == ("b", None)


def test_speeds_of_other_tasks_are_not_compared(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", data={"source": "bars.csv", "sha256": "def"})
    tasks = profiles.by_task(profiles.read_all(tmp_path, kind="fastest"))
    assert [len(results) for results in tasks.values()] == [1, 1]
    assert len({offers.suffix(task) for task in tasks}) == 2


def page_of(tmp_path: Path, table: Prices) -> str:
    tasks = {
        task: offers.offers(results, (), table)
        for task, results in profiles.by_task(profiles.read_all(tmp_path, kind="fastest")).items()
    }
    path = page.write(tasks, tmp_path / "page" / "report.html", kind="fastest")
    assert list(path.parent.iterdir()) == [path]
    return path.read_text()


def test_page_says_which_class_to_rent_and_on_what_grounds(tmp_path: Path) -> None:
    source = write(tmp_path, "a b")
    write(tmp_path, "<b>", machine_class=A100, expected_sps=120_000.0)
    own = source.parent.parent / "run" / "report.html"
    own.parent.mkdir()
    own.touch()
    html = page_of(tmp_path, Prices(given={"rtx-4090": 0.5, "a100": 2.0}))
    assert f"<h1>Rent this one: {RTX} at $0.50 an hour, 360 M env steps per dollar" in html
    for text in ("env steps/s, with the 95 % interval", "$ per hour", "env steps per $", A100):
        assert text in html
    assert 'href="../a%20b/search-1/run/report.html"' in html
    assert html.count("/run/report.html") == 1, "the other search has left no report"
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            {"vectorized_envs": 4, "batch_size": 256, "num_envs": 8, "num_steps": 64},
            "num_envs 8, num_steps 64, batch_size 256, vectorized_envs 4",
        ),
        ({"width": 512, "depth": 3, "num_envs": 8}, "num_envs 8, depth 3, width 512"),
        ({"tile": 128}, "tile 128"),
    ],
)
def test_table_and_page_show_every_axis_of_a_configuration(
    config: dict[str, int], text: str, tmp_path: Path
) -> None:
    write(tmp_path, "a", config=config)
    (offer,) = ranked(tmp_path, Prices())
    assert offers.cells(offer)[-1] == text
    html = page.render([(offer.profile.task, [offer])], kind="fastest", folder=tmp_path, now="")
    assert text in html


def test_page_without_prices_has_no_empty_chart(tmp_path: Path) -> None:
    write(tmp_path, "a")
    html = page_of(tmp_path, Prices())
    assert "no price is known" in html
    assert html.count('class="bar ') == 1


def test_page_keeps_tasks_apart(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b", data={"source": "bars.csv", "sha256": "def"})
    html = page_of(tmp_path, Prices(given={"rtx-4090": 0.5}))
    assert "<h1>2 tasks, each with its own answer" in html
    assert html.count("Rent this one") == 2
    assert html.count("<section") == 2


@pytest.mark.parametrize("option", [[], ["--html", "elsewhere/fleet.html"]])
def test_report_writes_its_page_beside_the_profiles_or_where_it_is_told(
    option: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "profiles", "a")
    Path("hosts.toml").write_text('[hosts.a]\naddress = "x"\nprice_per_hour = 0.5\n')
    assert fleet.main(["report", *option]) == 0
    path = Path(option[1] if option else "profiles/report.html")
    assert "Rent this one" in path.read_text()
    assert capsys.readouterr().out.endswith(f"page: {path}\n")


def test_page_that_cannot_be_written_is_a_mistake_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"cannot write the page .*file/report\.html"):
        page.write({}, tmp_path / "file" / "report.html", kind="fastest")


def test_profile_of_each_class_is_copied_as_it_is(tmp_path: Path) -> None:
    source = write(tmp_path, "a")
    (copy,) = offers.publish(ranked(tmp_path, Prices()), tmp_path)
    assert copy == tmp_path / source.name
    assert copy.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"machine_class": None}, "is not a profile: machine_class: missing"),
        ({"speed": {}}, r"is not a profile: speed\.low: missing"),
        ({"expected_sps": None}, "is not a profile: expected_sps: missing"),
        ({"schema_version": 2}, "schema_version: must be 1, .*got 2"),
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
        ("", ("x=-1",), r"--price\.x: must be US dollars an hour, like 0\.69, got -1\.0"),
        ("", ("=1",), r"--price: must name a GPU class, got \{'': 1\.0\}"),
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


@pytest.mark.parametrize(
    ("value", "text"),
    [(947, "947"), (50_123, "50.1 K"), (999_950, "1.00 M"), (1.234e6, "1.23 M"), (0, "0")],
)
def test_speed_reads_in_three_digits(value: float, text: str) -> None:
    assert units.speed(value) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0.00"), (0.001, "< $0.01"), (0.69, "$0.69"), (12, "$12.00")]
)
def test_little_money_is_not_nothing(amount: float, text: str) -> None:
    assert units.dollars(amount) == text


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

    found = gpuhunt.quotes([machine_class], query)
    assert {name: quote.price for name, quote in found.items()} == (
        {} if price is None else {machine_class: price}
    )
    assert asked["spot"] is False
    assert asked["max_gpu_count"] == 1


def test_what_was_fetched_comes_after_all_that_a_person_said() -> None:
    fetched = {RTX: 0.3}
    assert Prices(fetched=fetched).of(None, RTX) == 0.3
    assert Prices(fetched=fetched, listed={"rtx-4090": 0.7}).of(None, RTX) == 0.7
    assert Prices(fetched=fetched).of(HOST, RTX) == 0.4


def test_catalog_that_cannot_be_fetched_is_told() -> None:
    def query(**filters: object) -> list[object]:
        raise ConnectionError("no route to host")

    with pytest.raises(FleetError, match="could not fetch its catalog"):
        gpuhunt.quotes([RTX], query)


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


def test_report_by_gpuhunt_says_whose_price_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = types.SimpleNamespace(query=lambda **filters: CATALOG)
    monkeypatch.setitem(sys.modules, "gpuhunt", module)  # type: ignore[arg-type]
    write(tmp_path, "a", machine_class="rtx-4090-24gb-450w")
    hosts = tmp_path / "hosts.toml"
    hosts.write_text('[hosts.a]\naddress = "192.0.2.1"\n')
    words = ["report", "--hosts", str(hosts), "-o", str(tmp_path), "--gpuhunt"]
    assert fleet.main(words) == 0
    told = capsys.readouterr()
    assert "gpuhunt: rtx-4090-24gb-450w from $0.34 an hour at vastai (EU)" in told.err
    assert "Rent this one: rtx-4090-24gb-450w at $0.34 an hour" in told.out
