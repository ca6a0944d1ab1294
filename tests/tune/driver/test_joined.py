"""A search on a joined cluster: its head, its class of hosts, and what each host must have."""

import time
from pathlib import Path

import pytest
import ray

from cluster.errors import UserError
from cluster.node import source
from tune.driver import joined
from tune.driver.joined import ClassWatch
from tune.preflight.findings import PreflightRequest


def test_cluster_without_a_head_is_one_sentence() -> None:
    with (
        pytest.raises(UserError, match=r"--address: no head answers at 127\.77\.0\.9 port 1 "),
        joined.connect("127.77.0.9:1"),
    ):
        pass


def test_class_is_lost_when_its_hosts_stay_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now, resources = [100.0], {"class:l4": 1.0}
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
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
    command = {"arguments": ["python", str(bars), "{num_envs}", "train.py"]}
    assert joined.files_of(task(options=command)) == (str(bars),)
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
