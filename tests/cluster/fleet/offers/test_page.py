"""The page of offers."""

from pathlib import Path

import pytest

from cluster.errors import FleetError
from cluster.fleet.offers import offers as report
from cluster.fleet.offers import page as report_page
from cluster.fleet.offers import profiles
from cluster.fleet.offers.prices import Prices
from fleet_profiles import A100, RTX, ranked, write


def page_of(tmp_path: Path, table: Prices) -> str:
    tasks = {
        task: report.offers(results, (), table)
        for task, results in profiles.by_task(profiles.read_all(tmp_path, kind="fastest")).items()
    }
    path = report_page.write(tasks, tmp_path / "page" / "report.html", kind="fastest")
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
    for text in ("speed, with the 95 % interval", "$ per hour", "steps per $", A100):
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
    assert report.cells(offer)[-1] == text
    page = report_page.render(
        [(offer.profile.task, [offer])], kind="fastest", folder=tmp_path, now=""
    )
    assert text in page


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


def test_page_that_cannot_be_written_is_a_mistake_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FleetError, match=r"cannot write the page .*file/report\.html"):
        report_page.write({}, tmp_path / "file" / "report.html", kind="fastest")
