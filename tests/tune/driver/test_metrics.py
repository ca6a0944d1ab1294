"""The metrics of a search, and the Grafana dashboard that draws them."""

import dataclasses
import json
import re

import pytest

from cluster.node import hardware
from factories import failed, outcome, preflight, trial
from places import ROOT
from trainables.measurement import OutcomeKind
from tune.driver import metrics

GRAFANA = ROOT / "tune" / "driver" / "grafana_dashboard.json"


def test_every_metric_that_grafana_draws_is_exported() -> None:
    panels = json.loads(GRAFANA.read_text())["panels"]
    drawn = {
        name
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"ray_\w+", target["expr"])
    }
    assert drawn == set(metrics.EXPORTED)
    assert all(panel["title"] and panel["fieldConfig"]["defaults"]["unit"] for panel in panels)
    boxes = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for box in boxes
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert max(x for x, _ in cells) < 24


class Recorder:
    """Stands in for one of Ray's metrics."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.default_tags: dict[str, str] = {}

    def set_default_tags(self, tags: dict[str, str]) -> None:
        self.default_tags = tags

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        self.values["".join((tags or {}).values())] = value

    def inc(self, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        name = "".join((tags or {}).values())
        self.values[name] = self.values.get(name, 0.0) + value


def test_the_metrics_follow_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Recorder] = {}

    def make(name: str, **_: object) -> Recorder:
        return made.setdefault(name, Recorder())

    monkeypatch.setattr("ray.util.metrics.Gauge", make)
    monkeypatch.setattr("ray.util.metrics.Counter", make)
    over = failed(OutcomeKind.DEVICE_MEMORY, "no.", predicted_device_bytes=2**40)
    never_run = failed(OutcomeKind.EXCLUDED, "no.", predicted_device_bytes=2**50)

    class Search:
        trials = (
            trial(number=0),
            trial(number=1, outcome=over),
            trial(number=2, outcome=never_run),
            trial(number=3, outcome=None),
        )
        best = trials[0]

    now = 0.0
    machine = preflight()
    kept = metrics.SearchMetrics(Search(), machine, thread_room=lambda: 77, clock=lambda: now)
    kept.on_step_end(0, [])
    assert made[metrics.TRIALS].values == {"completed": 1, "device_memory": 1, "excluded": 1}
    assert made[metrics.BEST].values == {"": 50_000.0}
    assert made[metrics.THREAD_ROOM].values == {"": 77}
    of_class = {"machine_class": hardware.machine_class(machine.machine)}
    assert [one.default_tags for one in made.values()] == [of_class] * 4
    assert made[metrics.MEMORY_HEADROOM].values == {
        "device": machine.device_budget_bytes - 2**40,
        "host": machine.host_budget_bytes - 800_000_000,
    }
    made[metrics.BEST].values.clear()  # as Ray forgets a gauge
    kept.on_step_end(1, [])
    assert made[metrics.BEST].values == {}
    now = 5.0
    kept.on_step_end(2, [])
    assert made[metrics.BEST].values == {"": 50_000.0}
    assert made[metrics.TRIALS].values["completed"] == 1


@pytest.mark.parametrize(
    ("platform", "num_gpus", "budgets"), [("cuda", 4, 4), ("cuda", 1, 1), ("cpu", 4, 1)]
)
def test_a_trial_on_several_gpus_has_a_budget_of_host_memory_for_each(
    platform: str, num_gpus: int, budgets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, Recorder] = {}
    monkeypatch.setattr(
        "ray.util.metrics.Gauge", lambda name, **_: made.setdefault(name, Recorder())
    )
    monkeypatch.setattr("ray.util.metrics.Counter", lambda name, **_: Recorder())
    machine = dataclasses.replace(preflight(), platform=platform)
    peak = 2 * machine.host_budget_bytes
    later = trial(number=1, config={"num_devices": num_gpus}, outcome=outcome(peak_host_bytes=peak))

    class Search:
        trials = (later, trial(number=0))  # they end in any order
        best = None

    metrics.SearchMetrics(Search(), machine, thread_room=lambda: None).publish()
    host = made[metrics.MEMORY_HEADROOM].values["host"]
    assert host == (budgets - 2) * machine.host_budget_bytes


def test_the_room_for_threads_of_other_hosts_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Recorder] = {}
    monkeypatch.setattr(
        "ray.util.metrics.Gauge", lambda name, **_: made.setdefault(name, Recorder())
    )
    monkeypatch.setattr("ray.util.metrics.Counter", lambda name, **_: Recorder())

    class Search:
        trials = (trial(number=0),)
        best = None

    metrics.SearchMetrics(Search(), preflight(), thread_room=lambda: None).publish()
    assert made[metrics.THREAD_ROOM].values == {}
