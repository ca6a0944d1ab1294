"""The tasks of pulled profiles: whose speeds are compared, and how they are told apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.fleet import __main__ as fleet
from cluster.fleet.offers import profiles
from fleet_profiles import A100, write

OWN = "train.py:loop"
BARS = {"source": "bars.csv", "sha256": "abc"}

COMMON = {OWN, "package:phase3", "python3 train.py", "throughput", "bars.csv", "abc"}


def phase3(**options: Any) -> dict[str, Any]:
    return {"workload": {"factory": "package:phase3", "options": {"llm": "embedded"} | options}}


def own(source: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    workload = {"factory": OWN, "options": options} | ({"source": source} if source else {})
    return {"workload": workload, "data": {}}


def command(**options: Any) -> dict[str, Any]:
    return own(arguments=["python3", "train.py"], **options)


def titles_of(out: Path, *written: dict[str, Any]) -> list[str]:
    """Return the titles of the tasks, in the order of the hosts `a`, `b`, ... that have them."""
    for place, changes in enumerate(written):
        write(out, "abcd"[place], **{"data": BARS} | changes)
    tasks = profiles.by_task(profiles.read_all(out, kind="fastest"))
    return list(profiles.titles({t: results[0].options for t, results in tasks.items()}).values())


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (own(hidden=64), own(hidden=512), ("hidden 64", "hidden 512")),
        (own(), own(hidden=512), ("", "hidden 512")),
        (own(net={"layers": [8, 8]}), own(net={"layers": [8, 16]}), ("net.layers.2 8", "16")),
        (phase3(query_interval=120), phase3(query_interval=60), ("query_interval 120", "60")),
        (phase3(llm="/m/a/fp16"), phase3(llm="/m/b/fp16"), ("llm /m/a/fp16", "llm /m/b/fp16")),
        (
            phase3() | {"data": BARS | {"llm": "tiny"}},
            phase3() | {"data": BARS | {"llm": "large"}},
            ("language model tiny", "language model large"),
        ),
        (
            command(variables={"A": "1", "B": "2"}),
            command(variables={"A": "1", "B": "3"}),
            ("variables.B 2", "variables.B 3"),
        ),
        (own({"train.py": "1f"}), own({"train.py": "2e"}), ("own code ", "own code ")),
        (own({"train.py": "1f"}), own({"train.py": "1f", "net.py": "2e"}), ("own code ", "own ")),
    ],
)
def test_speeds_of_other_options_or_code_are_not_compared(
    first: dict[str, Any], second: dict[str, Any], told: tuple[str, str], tmp_path: Path
) -> None:
    titles = titles_of(tmp_path, first, second)
    assert len(set(titles)) == 2
    for title, words in zip(titles, told, strict=True):
        assert words in title
    shared = set.intersection(*(set(title.split(" · ")) for title in titles))
    assert shared <= COMMON, "an option that they have in common tells nothing"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (phase3(data="/root/bars.csv"), phase3(data="/workspace/bars.csv")),
        (phase3(seed=1), phase3(seed=2)),
        (
            phase3(llm="/root/rl-tuner-fleet/files/0123456789abcdef/tiny.gguf"),
            phase3(llm="/workspace/rl-tuner/files/0123456789abcdef/tiny.gguf"),
        ),
        (own({"../../train.py": "1f"}), own({"../../../root/train.py": "1f"})),
        (own(hidden=64), own(hidden=64)),
    ],
)
def test_the_same_search_on_another_box_is_the_same_task(
    first: dict[str, Any], second: dict[str, Any], tmp_path: Path
) -> None:
    [title] = titles_of(tmp_path, first, second)
    assert title.endswith(("· throughput", "· bars.csv · abc")), "nothing is to be told apart"


def test_data_without_a_hash_is_told_by_its_path(tmp_path: Path) -> None:
    first, second = titles_of(tmp_path, own(data="/a/bars.npy"), own(data="/b/bars.npy"))
    assert first.endswith("data /a/bars.npy")
    assert second.endswith("data /b/bars.npy")


def test_report_gives_each_of_two_tasks_its_own_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "a", **own(net="[red]", pattern="fps:\x1b[7m"))
    write(tmp_path, "b", machine_class=A100, **own(net="[bold]", pattern="fps:"))
    hosts = tmp_path / "hosts.toml"
    hosts.write_text('[hosts.a]\naddress = "192.0.2.1"\n')
    words = ["report", "--hosts", str(hosts), "-o", str(tmp_path)]
    words += ["--price", "rtx-4090=0.5", "--price", "a100=1"]
    assert fleet.main(words) == 0
    told = capsys.readouterr().out
    assert told.count("Rent this one") == told.count("the only one measured with a price") == 2
    for text in ("net [red]", "net [bold]", r"pattern 'fps:\x1b[7m'"):
        assert text in told
    assert "net [red]" in (tmp_path / "report.html").read_text()
    assert fleet.main([*words, "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["offers"][0]["options"]["net"] for one in answers] == ["[red]", "[bold]"]
    assert answers[0]["task"] != answers[1]["task"]
