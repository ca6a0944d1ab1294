"""The working directory that hosts get which have nothing of a search."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from factories import task
from trainables.command.options import FACTORY
from tune.driver.hosts import working_dir
from tune.spec import Task


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, with a loop that imports a module beside it, and data elsewhere."""
    folder = tmp_path / "here"
    (folder / "loops").mkdir(parents=True)
    (folder / "loops" / "own.py").write_text("import beside\n")
    (folder / "loops" / "beside.py").write_text("X = 1\n")
    (folder / "train.py").write_text("")
    (folder / "unrelated.bin").write_bytes(b"x" * 1000)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bars.csv").write_text("bars")
    monkeypatch.chdir(folder)
    return folder


def sent(of: Task, environ: dict[str, str] | None = None) -> tuple[set[str], Any]:
    """The person's files in the working directory, and what tells a trial of them."""
    with working_dir.prepared(of, environ or {}) as (runtime_env, travelled):
        folder = Path(runtime_env["working_dir"])
        assert (folder / "trainables" / "launch.py").is_file()
        assert not list(folder.rglob("__pycache__"))
        mine = folder / "person"
        found = {str(p.relative_to(mine)) for p in mine.rglob("*") if p.is_file()}
    assert not folder.exists()
    return found, travelled


def test_loop_and_data_travel_and_nothing_else(here: Path) -> None:
    bars = here.parent / "data" / "bars.csv"
    found, travelled = sent(task(workload="loops/own.py:make", options={"data": str(bars)}))
    assert {name for name in found if not name.startswith(".elsewhere/")} == {
        "loops/own.py",
        "loops/beside.py",
    }
    [elsewhere] = [name for name in found if name.startswith(".elsewhere/")]
    assert Path(elsewhere).name == "bars.csv"
    assert travelled.files[str(bars)] == f"person/{elsewhere}"
    assert travelled.files[str(here / "loops/own.py")] == "person/loops/own.py"


def test_our_own_loops_need_no_files(here: Path) -> None:
    found, travelled = sent(task(workload="trainables.jax_phase12.workload:phase1", options={}))
    assert (found, travelled.files) == (set(), {})


def test_scripts_that_a_command_names_travel(here: Path) -> None:
    words = ["python", "train.py", str(here / "loops" / "own.py"), "{num_envs}"]
    found, _ = sent(task(workload=FACTORY, options={"arguments": words}))
    assert {"train.py", "loops/own.py"} <= found


def test_job_with_a_working_directory_keeps_it(here: Path) -> None:
    config = {"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}}
    job = {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(config)}
    with working_dir.prepared(task(), job) as (runtime_env, travelled):
        assert "working_dir" not in runtime_env
        assert runtime_env["env_vars"]["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
        assert travelled is None
    for other in ("{}", '{"runtime_env": {}}', '{"runtime_env": null}'):
        assert working_dir.of_job({"RAY_JOB_CONFIG_JSON_ENV_VAR": other}) is None


def test_more_than_ray_sends_is_said_before(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working_dir, "_MOST_BYTES", 3)
    bars = here.parent / "data" / "bars.csv"
    with (
        pytest.raises(UserError, match=r"Ray sends at most .* to hosts: put them at the same"),
        working_dir.prepared(task(options={"data": str(bars)}), {}),
    ):
        pass
