"""Reports in a real browser: whole, quiet, readable on a phone and in the dark, offline."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import searches
from cluster.fleet.offers import page as fleet_page
from cluster.fleet.offers.offers import ClassOffer
from cluster.fleet.offers.profiles import PulledProfile
from trainables.measurement import OutcomeKind
from tune.report import page as report_page
from tune.run_folder.folder import RunFolder

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")

pytestmark = pytest.mark.slow

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
DESK = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}

OVERLAPS = """
const found = [];
for (const svg of document.querySelectorAll("figure > svg")) {
  const texts = [...svg.querySelectorAll("text")];
  const labels = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const box = svg.closest("section").getBoundingClientRect();
  for (const [text, r] of labels) {
    if (r.left < box.left || r.right > box.right) found.push([text, "leaves its section"]);
  }
  for (let i = 0; i < labels.length; i++) {
    for (let j = i + 1; j < labels.length; j++) {
      const [[a, p], [b, q]] = [labels[i], labels[j]];
      const over = Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1 &&
        Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 2;
      if (over) found.push([a, b]);
    }
  }
}
return found;
"""

CONTRAST = """
const channels = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = (color) => {
  const [r, g, b] = channels(color).map((c) => {
    const share = c / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = light(getComputedStyle(document.querySelector("header")).backgroundColor);
const ratio = (color) => {
  const [a, b] = [light(color), ground].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
};
const texts = [...document.querySelectorAll("h1, p, td, th, a, figcaption, li, output")];
const least = Math.min(...texts.map((t) => ratio(getComputedStyle(t).color)));
return [ground, least];
"""


def fleet(folder: Path) -> str:
    def offer(name: str, speed: float, price: float | None) -> ClassOffer:
        result = PulledProfile(
            path=folder / "a" / "search" / "profiles" / "x.yaml",
            host=searches.HOSTILE,
            machine_class=name,
            kind="fastest",
            task=("package.module:phase1", "throughput", "0123456789ab"),
            options={},
            steps_per_second=speed,
            low=0.99 * speed,
            high=1.01 * speed,
            unit="env steps",
            is_proven=True,
            config={"num_envs": 256, "num_steps": 128},
        )
        return ClassOffer(profile=result, price_per_hour=price)

    offers = [
        offer("nvidia-geforce-rtx-4090-24gb-450w", 1.2e6, 0.69),
        offer("nvidia-a100-sxm4-80gb-400w", 2.0e6, 1.89),
        offer("quadro-rtx-4000-8gb", 0.4e6, None),
    ]
    task = offers[0].profile.task
    return fleet_page.render([(task, offers)], kind="fastest", folder=folder, now="2026-01-03")


NAMES = (
    "every outcome",
    "on a GPU",
    "empty",
    "foreign",
    "one axis",
    "hostile",
    "many trials",
    "fleet",
)


def pages(folder: Path) -> dict[str, str]:
    run = RunFolder(folder)

    def of(trials: Any, **changes: Any) -> str:
        return report_page.render(searches.record(**changes), trials, run, "2026-01-03")

    hostile = tuple(
        dataclasses.replace(trial, config={searches.HOSTILE: 2 + trial.number % 3, "b": 1})
        for trial in searches.every_outcome()
    )
    many = tuple(
        searches.ended(n, {"num_envs": 64 << n % 9, "num_steps": 8 << n % 7}, kind)
        for n in range(140)
        for kind in [list(OutcomeKind)[n % 10]]
    )
    made = {
        "every outcome": of(searches.every_outcome()),
        "on a GPU": of(searches.every_outcome(on_gpu=True)),
        "empty": of(()),
        "foreign": of(searches.foreign("population", "horizon"), baseline={"depth": 3}),
        "one axis": of(searches.foreign("population"), baseline={"depth": 3}),
        "hostile": of(hostile, baseline={searches.HOSTILE: 2, "b": 1}),
        "many trials": of(many, baseline={"num_envs": 64, "num_steps": 8}),
        "fleet": fleet(folder),
    }
    assert tuple(made) == NAMES
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a headless Chromium that logs what it says and what it fetches."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it refuses to run as root with one
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    running = webdriver.Chrome(options=options, service=service)
    yield running
    running.quit()


def show(browser: Any, page: str, folder: Path, device: dict[str, Any]) -> str:
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())
    return path.as_uri()


def fetched(browser: Any) -> list[str]:
    """The URLs that were asked for since the page was opened."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("device", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_quiet_and_fits(
    browser: Any, tmp_path: Path, name: str, device: dict[str, Any]
) -> None:
    url = show(browser, pages(tmp_path)[name], tmp_path, device)
    assert browser.get_log("browser") == []
    assert [at for at in fetched(browser) if not at.startswith("data:")] == [url]
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= device["width"], "the page scrolls sideways"
    assert browser.execute_script(OVERLAPS) == []
    empty = browser.execute_script(
        "return [...document.querySelectorAll('figure')].filter((figure) => "
        "!figure.querySelector('.mark') || figure.querySelector(':scope > svg').clientHeight < 100)"
        ".map((figure) => figure.textContent)"
    )
    assert empty == []
    flat = browser.execute_script(
        "return [...document.querySelectorAll('section')].filter((one) => one.offsetHeight < 60)"
        ".map((one) => one.id)"
    )
    assert flat == []


def test_the_sections_of_a_search_are_all_there(browser: Any, tmp_path: Path) -> None:
    show(browser, pages(tmp_path)["every outcome"], tmp_path, PHONE)
    headings = browser.execute_script(
        "return [...document.querySelectorAll('section h2')].map((h) => h.innerText)"
    )
    assert headings == [
        "Result",
        "Speed",
        "How the search went",
        "Memory and threads",
        "Where the time went",
        "All trials",
        "Machine and versions",
        "How to reproduce",
    ]


def column(browser: Any, name: str) -> list[str]:
    return browser.execute_script(  # type: ignore[no-any-return]
        """
        const table = document.querySelector("table.sortable");
        const heads = [...table.tHead.rows[0].cells].map((cell) => cell.innerText.trim());
        const index = heads.indexOf(arguments[0]);
        return [...table.tBodies[0].rows].map((row) => row.cells[index].innerText);
        """,
        name,
    )


def click(browser: Any, name: str) -> None:
    [button] = [b for b in browser.find_elements("css selector", "th button") if b.text == name]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def test_a_click_on_a_heading_sorts_and_what_is_unknown_comes_last(
    browser: Any, tmp_path: Path
) -> None:
    show(browser, pages(tmp_path)["every outcome"], tmp_path, DESK)

    def speeds() -> list[float | None]:
        cells = column(browser, "env steps/s")
        return [float(text.replace(",", "")) if text else None for text in cells]

    before = speeds()
    known = sorted(value for value in before if value is not None)
    missing = [None] * before.count(None)
    assert missing
    click(browser, "env steps/s")
    assert speeds() == known + missing
    click(browser, "env steps/s")
    assert speeds() == known[::-1] + missing
    click(browser, "outcome")
    assert column(browser, "outcome") == sorted(column(browser, "outcome"))
    click(browser, "trial")
    assert speeds() == before
    assert browser.get_log("browser") == []


def test_a_tap_on_a_mark_tells_its_figures(browser: Any, tmp_path: Path) -> None:
    show(browser, pages(tmp_path)["every outcome"], tmp_path, PHONE)
    told = browser.execute_script(
        """
        const figure = document.querySelector("#progress figure");
        const shape = figure.querySelector(".mark .solid");
        shape.dispatchEvent(new MouseEvent("click", {bubbles: true}));
        return figure.querySelector("output").textContent;
        """
    )
    assert told.startswith("trial 0 (baseline), 256 envs x 128 steps")
    assert "40.0 K ±2.0 % env steps/s" in told


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_by_day_and_by_night(browser: Any, tmp_path: Path, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        show(browser, pages(tmp_path)["every outcome"], tmp_path, PHONE)
        ground, contrast = browser.execute_script(CONTRAST)
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert (ground < 0.1) is (scheme == "dark")
    assert contrast >= 4.5, "WCAG 2.2 AA asks for it"


def test_a_script_in_a_name_would_not_run(browser: Any, tmp_path: Path) -> None:
    page = pages(tmp_path)["hostile"]
    planted = page.replace("</main>", "<script>document.title = 'planted'</script></main>")
    assert planted != page
    show(browser, planted, tmp_path, DESK)
    assert browser.title != "planted"
    assert "Content Security Policy" in str(browser.get_log("browser"))
