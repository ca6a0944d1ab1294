"""Which cluster a search takes, and what several searches make of one command line."""

import datetime
import json
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from cluster.node import source
from tune import per_class
from tune.driver import joined
from tune.driver.joined import ClassWatch
from tune.jax_phase12 import JaxSpec
from tune.preflight.findings import PreflightRequest

JOB = {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}", "RAY_ADDRESS": "10.0.0.1:6379"}
NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("spec", "environ", "address"),
    [
        (JaxSpec(), {}, None),
        (JaxSpec(address="10.0.0.1"), {}, "10.0.0.1"),
        (JaxSpec(), JOB, "10.0.0.1:6379"),
        (JaxSpec(address="10.0.0.9"), JOB, "10.0.0.9"),
        # What a person's shell says of Ray is none of this search's business.
        (JaxSpec(), {"RAY_ADDRESS": "10.0.0.1:6379"}, None),
    ],
)
def test_search_takes_the_cluster_it_is_told_of_or_whose_job_it_is(
    spec: JaxSpec, environ: dict[str, str], address: str | None
) -> None:
    assert per_class.cluster_of(spec, environ) == address


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JaxSpec(machine_class="h100"), "--machine-class chooses .* give --address"),
        (JaxSpec(address="10.0.0.1", dashboard=True), "--dashboard is for this machine's own Ray"),
    ],
)
def test_options_of_the_other_case_are_refused(spec: JaxSpec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        per_class.cluster_of(spec, {})


def test_cluster_without_a_head_is_one_sentence() -> None:
    with (
        pytest.raises(UserError, match=r"--address: no head answers at 127\.77\.0\.9 port 1 "),
        joined.connect("127.77.0.9:1"),
    ):
        pass


@pytest.mark.parametrize(
    ("codes", "code"),
    [([0, 0], 0), ([0, 1], 1), ([1, 2], 2), ([0, 130, 2], 130), ([0, -9], -9)],
)
def test_worst_end_of_all_is_the_end(codes: list[int], code: int) -> None:
    assert per_class.worst(codes) == code


def test_each_class_has_a_folder_below_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = per_class._folder(JaxSpec(), "jax-phase1", NOW)
    assert folder == Path("runs/jax-phase1-20260102-030405")
    assert per_class._folder(JaxSpec(out=Path("x"), resume=True), "t", NOW) == Path("x")
    with pytest.raises(UserError, match="--resume found no search"):
        per_class._folder(JaxSpec(resume=True), "jax-phase1", NOW)
    journal = folder / "rtx-4090-24gb-450w" / "journal.log"
    journal.parent.mkdir(parents=True)
    journal.touch()
    assert per_class._folder(JaxSpec(resume=True), "jax-phase1", NOW) == folder


def test_line_of_a_search_says_its_class() -> None:
    assert per_class._behind_class("l4", "trial 0 starts") == "l4  trial 0 starts"
    event = json.loads(per_class._with_class("l4", '{"event": "note", "text": "x"}'))
    assert event == {"event": "note", "text": "x", "machine_class": "l4"}
    assert per_class._with_class("l4", "no JSON") == "no JSON"


def test_trial_asks_for_a_place_of_its_class_and_for_a_whole_gpu() -> None:
    hosts = (("id1", "10.0.0.1", 2), ("id2", "10.0.0.2", 1))
    chosen = HardwareClass(name="l4-22gb-72w", hosts=hosts, uses_gpu=True)
    assert chosen.num_trials == 3
    assert chosen.trial_resources == {"CPU": 0, "GPU": 1, "class:l4-22gb-72w": 1}
    assert chosen.describe() == "l4-22gb-72w: 3 at once on 10.0.0.1, 10.0.0.2"


def test_class_is_lost_when_its_hosts_stay_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now, resources = [100.0], {"class:l4": 1.0}
    monkeypatch.setattr(joined.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(joined.ray, "cluster_resources", lambda: resources)
    watch = ClassWatch("l4", timeout_s=60)

    def after(seconds: float, places: float) -> bool:
        now[0] += seconds
        resources["class:l4"] = places
        return watch.stop_all()

    assert not after(0, 1)
    assert not after(10, 0)
    assert not after(50, 0)
    assert not after(5, 1), "it came back"
    assert not after(50, 0)
    assert not after(59, 0)
    assert after(2, 0)
    assert watch.is_lost


def test_file_that_the_workload_was_told_of_is_looked_for_on_every_host(tmp_path: Path) -> None:
    from factories import task

    bars = tmp_path / "bars.csv"
    bars.touch()
    options = {"data": str(bars), "seed": 0, "mode": "fast", "gone": str(tmp_path / "gone")}
    assert joined.files_of(task(options=options)) == (str(bars),)
    said = joined._check_here(code="other code", files=(), request=PreflightRequest())
    assert isinstance(said, str)
    assert "its code is another one" in said
    code = source.digest()
    said = joined._check_here(
        code=code, files=(str(tmp_path / "gone"),), request=PreflightRequest()
    )
    assert said == f"it has no {tmp_path}/gone: copy the file to the same path on every host."
    fine = joined._check_here(
        code=code, files=(str(bars),), request=PreflightRequest(ray_runs=True)
    )
    assert not isinstance(fine, str)
    assert fine.ray_threads < 60, "only the actors are still to come"
