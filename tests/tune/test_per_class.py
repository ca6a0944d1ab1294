"""Which cluster a search takes, and what several searches make of one command line."""

import datetime
import json
from pathlib import Path

import pytest

from cluster.errors import UserError
from tune import per_class
from tune.jax_phase12 import JaxSpec
from tune.spec import cluster_of

JOB = {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}", "RAY_ADDRESS": "10.0.0.1:6379"}


NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("spec", "environ", "address"),
    [
        (JaxSpec(), {}, None),
        (JaxSpec(address="10.0.0.1"), {}, "10.0.0.1"),
        (JaxSpec(), JOB, "10.0.0.1:6379"),
        (JaxSpec(address="10.0.0.9"), JOB, "10.0.0.9"),
        (JaxSpec(), {name: JOB[name] for name in JOB if name != "RAY_ADDRESS"}, "auto"),
        # What a person's shell says of Ray is none of this search's business.
        (JaxSpec(), {"RAY_ADDRESS": "10.0.0.1:6379"}, None),
    ],
)
def test_search_takes_the_cluster_it_is_told_of_or_whose_job_it_is(
    spec: JaxSpec, environ: dict[str, str], address: str | None
) -> None:
    assert cluster_of(spec, environ) == address


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JaxSpec(address="10.0.0.1", dashboard=True), "--dashboard is for this machine's own Ray"),
        (JaxSpec(address="10.0.0.1", gpus=2), "--gpus is for this machine's own: in a cluster"),
    ],
)
def test_options_of_the_other_case_are_refused(spec: JaxSpec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        cluster_of(spec, {})


def test_a_job_is_in_a_cluster_whose_gpus_ray_counts() -> None:
    with pytest.raises(UserError, match="--gpus is for this machine's own"):
        cluster_of(JaxSpec(gpus=2), JOB)
    with pytest.raises(UserError, match="--gpus and --device cpu contradict each other"):
        JaxSpec(gpus=2, device="cpu")


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
    for of in (folder, Path("runs/jax-phase1-other-20260102-030405")):
        journal = of / "rtx-4090-24gb-450w" / "journal.log"
        journal.parent.mkdir(parents=True)
        journal.touch()
    assert per_class._folder(JaxSpec(resume=True), "jax-phase1", NOW) == folder


def test_line_of_a_search_says_its_class() -> None:
    assert per_class._behind_class("l4", "trial 0 starts") == "l4  trial 0 starts"
    event = json.loads(per_class._with_class("l4", '{"event": "note", "text": "x"}'))
    assert event == {"event": "note", "text": "x", "machine_class": "l4"}
    assert per_class._with_class("l4", "no JSON") == "no JSON"
