"""A search watched from outside: by Prometheus, TensorBoard, MLflow and optuna-dashboard."""

import collections
import contextlib
import dataclasses
import functools
import http.client
import json
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.node import listeners
from cluster.node.listeners import Listener
from dashboard_pages import workers_shown
from factories import failed, outcome
from loopback import HEAD, PORTS
from places import SUPPORT
from search_spaces.space import SearchSpace
from trainables.measurement import OutcomeKind
from tune.driver import metrics
from tune.search.constraints import Limits
from tune.search.study import Study
from tune.search.trial import Stage

SEARCH = (
    *("--workload", "surface_workload:factory", "--memory-budget", "120MB"),
    *("--option", "build_s=5"),  # time to be seen
    *("--space", "num_envs=256,2048", "num_steps=64", "batch_size=4096"),
    *("--finalists", "1", "--final-rounds", "1", "--soak-updates", "3", "--out", "out"),
    *("--json", "--dashboard", "--tensorboard", "--mlflow", "sqlite:///mlflow.db"),
)


pytestmark = pytest.mark.timeout(1500)  # the search runs in a fixture, and CI is slow


def get(url: str, token: str | None = None) -> str:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


def test_the_journal_opens_in_optuna_dashboard_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard")
    space = SearchSpace(axes=()).override(("num_envs=64:1024", "num_steps=64", "batch_size=4096"))
    limits = Limits(num_threads=1000, device_bytes=2**30, host_bytes=2**34)
    journal = tmp_path / "journal.log"
    study = Study.create(journal, space=space, limits=limits, identity={"machine": "any"})
    config = {"num_envs": 64, "num_steps": 64, "batch_size": 4096}
    study.tell(study.ask(Stage.BASELINE, config), outcome(), score=50_000.0)
    over = failed(OutcomeKind.DEVICE_MEMORY, "too much.")
    study.tell(study.ask(Stage.RAMP, config | {"num_envs": 1024}), over, score=None)
    study.ask(Stage.SEARCH, config | {"num_envs": 256})  # a search may still be running
    with optuna_dashboard(journal) as url:
        [summary] = json.loads(get(f"{url}/api/studies"))["study_summaries"]
        assert summary["study_name"] == "search"
        listed = json.loads(get(f"{url}/api/studies/{summary['study_id']}"))["trials"]
    assert [one["state"] for one in listed] == ["Complete", "Pruned", "Running"]
    assert listed[0]["values"] == [50_000.0]
    assert {one["name"]: one["param_external_value"] for one in listed[1]["params"]} == {
        "num_envs": "1024",
        "num_steps": "64",
        "batch_size": "4096",
    }


@contextlib.contextmanager
def optuna_dashboard(journal: Path) -> Iterator[str]:
    """Start it on an address of loopback that is this process's own; yield its URL."""
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), str(journal)]
    process = subprocess.Popen(
        [*command, "--host", HEAD, "--port", str(PORTS.head)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://{HEAD}:{PORTS.head}"
    try:
        deadline = time.monotonic() + 60
        while not answers(f"{url}/api/studies"):
            assert process.poll() is None, "optuna-dashboard ended"
            assert time.monotonic() < deadline, "optuna-dashboard does not answer"
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(url: str) -> bool:
    try:
        return bool(get(url))
    except (urllib.error.URLError, ConnectionError, http.client.HTTPException):
        return False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One real search with everything on, and what was seen of it while it ran."""

    folder: Path
    temporary: Path
    scrapes: Sequence[str]
    workers: frozenset[str]
    exposed: Sequence[Listener]

    def events(self, name: str) -> list[dict[str, Any]]:
        return events(self.folder, name)

    def trials_that_ran(self) -> list[dict[str, Any]]:
        """All but those that were predicted not to fit: they are no trials of Ray Tune's."""
        ended = [event["trial"] for event in self.events("trial_ended")]
        return [trial for trial in ended if not trial["excluded"]]


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """The search's JSON lines so far; the last may still be in the making."""
    lines = (folder / "events").read_text().splitlines(keepends=True)
    every = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in every if event["event"] == name]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Run a search to its end, scraping all the while."""
    for package in ("mlflow", "opencensus", "tensorboardX"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("watched")
    scrapes: list[str] = []
    workers: set[str] = set()
    exposed: list[Listener] = []
    temporary = Path(tempfile.mkdtemp(prefix="f-", dir="/tmp"))  # Ray's sockets need a short path
    own = {
        "PYTHONPATH": str(SUPPORT),
        "RAY_metrics_report_interval_ms": "3000",
        "REPORTER_UPDATE_INTERVAL_MS": "500",  # of the dashboard's pages
        "TMPDIR": str(temporary),
    }
    with (folder / "events").open("w") as out, (folder / "errors").open("w") as errors:
        search = subprocess.Popen(
            [sys.executable, "-m", "tune.jax_phase12", *SEARCH],
            cwd=folder,
            env=os.environ | own,
            stdout=out,
            stderr=errors,
        )
    try:
        deadline = time.monotonic() + 400
        while search.poll() is None and time.monotonic() < deadline:
            for event in events(folder, "dashboard"):
                with contextlib.suppress(urllib.error.URLError, ConnectionError):
                    scrapes.append(get(event["metrics_url"]))
                    token = next(temporary.rglob("ray_token")).read_text()
                    workers |= workers_shown(event["url"], functools.partial(get, token=token))
            if len(events(folder, "trial_ended")) == 1:
                exposed = listeners.exposed_listeners(search.pid)
            time.sleep(0.3)
        assert search.wait(timeout=30) == 0, (folder / "errors").read_text()
    finally:
        search.kill()
        search.wait()
    assert (folder / "errors").read_text() == ""
    yield Watched(
        folder=folder,
        temporary=temporary,
        scrapes=scrapes,
        workers=frozenset(workers),
        exposed=exposed,
    )
    shutil.rmtree(temporary)


def values(scrape: str, metric: str, label: str = "") -> dict[str, float]:
    """A metric's values by one of its labels."""
    found = {}
    for labels, value in re.findall(rf"^{metric}{{(.*)}} (\S+)$", scrape, re.MULTILINE):
        name = re.search(rf'{label}="([^"]*)"', labels) if label else None
        found[name[1] if name else ""] = float(value)
    return found


@pytest.mark.slow
def test_prometheus_finds_what_the_search_knows(watched: Watched) -> None:
    best, trials, room, headroom = metrics.EXPORTED
    # On a busy machine Ray may have forgotten a gauge before it is set again.
    scrapes = [one for one in watched.scrapes if all(values(one, m) for m in metrics.EXPORTED)]
    totals = [sum(values(scrape, trials, "outcome").values()) for scrape in scrapes]
    # The state that was seen longest: its last scrape fell into no update.
    [(total, _)] = collections.Counter(totals).most_common(1)
    scrape = scrapes[len(totals) - 1 - totals[::-1].index(total)]
    ended = [event["trial"] for event in watched.events("trial_ended")][: int(total)]
    counts = collections.Counter(
        "excluded" if one["excluded"] else one["outcome"]["kind"] for one in ended
    )
    assert values(scrape, trials, "outcome") == counts
    speeds = [
        one["outcome"]["measurement"]["steps_per_second"]
        for one in ended
        if one["stage"] in {"baseline", "ramp", "search"} and one["outcome"]["measurement"]
    ]
    assert values(scrape, best) == {"": pytest.approx(max(speeds))}
    last = [one["outcome"] for one in ended if not one["excluded"]][-1]
    free = values(scrape, headroom, "memory")
    assert free["device"] == 120_000_000 - last["predicted_device_bytes"]
    assert free["host"] > 0
    assert values(scrape, room)[""] > 0


@pytest.mark.slow
def test_the_dashboard_shows_trials_by_their_configurations(watched: Watched) -> None:
    names = {f"ray::{folder.name}" for folder in (watched.folder / "out/ray").glob("[0-9]*_*")}
    assert names & watched.workers, watched.workers


@pytest.mark.slow
def test_with_the_dashboard_on_every_socket_is_on_loopback(watched: Watched) -> None:
    assert watched.scrapes
    assert watched.exposed == []


@pytest.mark.slow
def test_no_temporary_file_of_the_dashboard_is_left(watched: Watched) -> None:
    left = {path.name for path in watched.temporary.rglob("*")}
    assert left == {f"rl-tuner-{os.getuid()}", "ray_token", "search.lock"}


def tensorboard_values(folder: Path) -> Iterator[Any]:
    """Every value in a trial's event file: records of length, checksum, protobuf, checksum."""
    from tensorboardX.proto import event_pb2

    [file] = folder.glob("events.out.tfevents.*")
    rest = file.read_bytes()
    while rest:
        [length] = struct.unpack("<Q", rest[:8])
        yield from event_pb2.Event.FromString(rest[12 : 12 + length]).summary.value
        rest = rest[16 + length :]


@pytest.mark.slow
def test_tensorboard_shows_configurations_as_hparams_and_their_speed(watched: Watched) -> None:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    ended = watched.trials_that_ran()
    folders = sorted((watched.folder / "out" / "ray").glob("[0-9]*_*"))
    assert len(folders) == len(ended)
    for folder, one in zip(folders, ended, strict=True):
        found = {value.tag: value for value in tensorboard_values(folder)}
        start = found["_hparams_/session_start_info"].metadata.plugin_data.content
        shown = HParamsPluginData.FromString(start).session_start_info.hparams
        assert shown["stage"].string_value == one["stage"]
        numbers = {name: shown[name].number_value for name in shown if name != "stage"}
        assert numbers == one["config"]
        measured = one["outcome"]["measurement"]
        assert ("ray/tune/steps_per_second" in found) is (measured is not None)
        if measured is not None:
            speed = found["ray/tune/steps_per_second"].simple_value
            assert speed == pytest.approx(measured["steps_per_second"], rel=1e-6)


@pytest.mark.slow
def test_mlflow_has_one_run_per_trial_with_its_configuration_and_speed(watched: Watched) -> None:
    ended = watched.trials_that_ran()
    with contextlib.closing(sqlite3.connect(watched.folder / "mlflow.db")) as database:
        runs = database.execute("select run_uuid, status from runs order by name").fetchall()
        assert [status for _, status in runs] == ["FINISHED"] * len(ended)
        for (run, _), one in zip(runs, ended, strict=True):
            params = dict(
                database.execute("select key, value from params where run_uuid = ?", (run,))
            )
            assert params.pop("stage") == one["stage"]
            assert params.pop("order").startswith(f"{one['number']:03d}_{one['stage']}_")
            assert params == {name: str(value) for name, value in one["config"].items()}
            logged = dict(
                database.execute("select key, value from latest_metrics where run_uuid = ?", (run,))
            )
            measured = one["outcome"]["measurement"]
            speed = None if measured is None else measured["steps_per_second"]
            assert logged.get("steps_per_second") == pytest.approx(speed)
            assert logged["completed"] == (one["outcome"]["kind"] == "completed")
