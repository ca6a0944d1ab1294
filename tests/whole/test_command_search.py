"""Searches of training commands as a person starts them: from the command line to a profile."""

import json
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from places import PYTHONPATH
from tune.profile import file as profile_file

pytestmark = [pytest.mark.slow, pytest.mark.seconds(90), pytest.mark.timeout(900)]

SCRIPT = """
    import argparse, time
    parser = argparse.ArgumentParser()
    parser.add_argument("--num-envs", type=int)
    parser.add_argument("--num-steps", type=int, default=8)
    parser.add_argument("--vec")
    sizes = parser.parse_args()
    if sizes.num_envs == 64:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    if sizes.num_envs == 32 and sizes.vec == "dummy":
        raise SystemExit("a death that nobody knows")
    started, done = time.time(), 0
    while True:
        time.sleep(0.03 + 1e-4 * sizes.num_envs + 0.03 * (sizes.vec == "dummy"))
        done += sizes.num_envs * sizes.num_steps
        print("SPS:", int(done / (time.time() - started)))
"""
SPACE = ("--space", "num_envs=4:64", "vec=dummy,subproc", "num_steps=8")
OPTIONS = (*SPACE, "--baseline", "vec=dummy", "--max-runs", "8", "--finalists", "1")
SHORT = ("--soak-updates", "0")
COMMAND = ("--", "python3", "train.py", "--num-envs", "{num_envs}", "--vec", "{vec}")


def run(
    folder: Path, module: str, *arguments: str, python: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *python, "-m", module, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's folder, in which a search of a script has ended."""
    folder = tmp_path_factory.mktemp("person")
    (folder / "train.py").write_text(textwrap.dedent(SCRIPT))
    for name in ("trainables", "cluster", "search_spaces"):  # the person's own, and no matter
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('not ours')")
    text = "--num-steps"
    ended = run(
        *(folder, "tune.command", *OPTIONS, *SHORT, "--json", "--out", "run"),
        *(*COMMAND, text, "{num_steps}"),
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert "(preset cleanrl)" in ended.stderr, "the probe says what it reads"
    (folder / "events.jsonl").write_text(ended.stdout)
    return folder


def test_it_finds_the_fastest_that_runs(folder: Path) -> None:
    *_, last = (folder / "events.jsonl").read_text().splitlines()
    finished = json.loads(last)
    assert finished["chosen"]["fastest"]["config"] == {
        "num_envs": 32,
        "vec": "subproc",
        "num_steps": 8,
    }
    assert finished["chosen"]["fastest"]["speedup"]["low"] > 5.0
    assert finished["outcomes"]["device_memory"] >= 1


def test_its_profile_has_the_command_and_holds(folder: Path) -> None:
    [path] = (folder / "profiles").glob("*-train-fastest.yaml")
    profile = profile_file.read(path)
    assert profile.config == {"num_envs": 32, "vec": "subproc", "num_steps": 8}
    assert set(profile.workload.source or {}) == {"train.py"}
    # A sleep of 33 ms and a little: what is promised is what the script does.
    assert 0.8 * 32 * 8 / 0.0332 < profile.expected_sps <= 32 * 8 / 0.0332
    printed = run(folder, "tune.profile", "command", str(path), "--steps", "1e6")
    line, cost = printed.stdout.splitlines()
    assert (
        shlex.split(line)[-8:]
        == (
            ["python3", "train.py", "--num-envs", "32", "--vec", "subproc", "--num-steps", "8"][-8:]
        )
    )
    assert cost.startswith("# 1,000,000 agent steps take 2 min ")
    checked = run(folder, "tune.profile", "validate", str(path))
    assert checked.returncode in {0, 1}, checked.stdout + checked.stderr
    assert "of what the profile promises" in checked.stdout


def test_the_report_and_the_tables_show_words(folder: Path) -> None:
    assert "subproc" in (folder / "run" / "trials.csv").read_text()
    page = (folder / "run" / "report.html").read_text()
    assert "Speed over num_envs and vec" in page
    assert "agent steps/s" in page
    assert "env steps" not in page, "the script counts something else"
    assert list((folder / "run" / "trials" / "outputs").iterdir()) == []


def test_a_script_that_was_edited_is_another(folder: Path) -> None:
    script = folder / "train.py"
    before = script.read_text()
    script.write_text(before.replace("0.03 +", "0.01 +"))
    try:
        arguments = (*OPTIONS, "--out", "run", "--resume", *COMMAND, "--num-steps", "{num_steps}")
        refused = run(folder, "tune.command", *arguments)
        [path] = (folder / "profiles").glob("*-train-fastest.yaml")
        validated = run(folder, "tune.profile", "validate", str(path))
    finally:
        script.write_text(before)
    assert refused.returncode == 2, refused.stdout
    assert "is of other code: train.py was edited since" in refused.stderr
    assert "warning: train.py was edited since this profile was measured" in validated.stderr


def test_what_cannot_be_timed_ends_before_ray_with_the_script_s_own_words(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import sys\nprint('hello')\nsys.exit('no such task: x')\n")
    ended = run(tmp_path, "tune.command", *OPTIONS, *COMMAND, "{num_steps}")
    assert ended.returncode == 2, ended.stdout
    assert "Traceback" not in ended.stderr
    assert "cannot be timed: during build, the trial exited with status 1" in ended.stderr
    assert "no such task: x" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_check_says_what_is_read_how_fast_it_is_and_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(textwrap.dedent(SCRIPT))
    ended = run(tmp_path, "tune.command", "--check", *OPTIONS, *COMMAND, "--num-steps={num_steps}")
    assert ended.returncode == 0, ended.stderr
    first, second, *rest = ended.stdout.splitlines()
    assert first.startswith("4 envs x 8 steps, vec dummy: ")
    assert "agent steps/s (preset cleanrl)" in first
    assert second.startswith(r"Read from '^(?:SPS: \d+$|")
    assert rest[0].startswith("  SPS: ")
    assert rest[-1].endswith("python3 train.py --num-envs 4 --vec dummy --num-steps=8")
    assert not (tmp_path / "runs").exists()


LOOP = """
    import time

    class Loop:
        env_steps_per_update = 64

        def __init__(self, num_envs):
            self.num_envs = num_envs

        def run(self, num_updates):
            time.sleep(0.01 * num_updates)

        def health(self):
            return {"mean_return": 3.25}

    def loop(config, options):
        return Loop(config["num_envs"])
"""


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        (
            LOOP,
            0,
            ("num_envs 4: ", " env steps/s, ", "of host memory", "It says: mean_return 3.25."),
        ),
        (
            LOOP.replace("env_steps_per_update = 64", ""),
            2,
            ("error: num_envs 4 cannot be timed: ", "env_steps_per_update"),
        ),
        (LOOP.replace("0.01 *", "1 / 0 *"), 2, ("ZeroDivisionError: division by zero",)),
    ],
)
def test_a_loop_is_checked_without_a_search(
    source: str, code: int, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "loop.py").write_text(textwrap.dedent(source))
    space = ("--workload", "loop.py:loop", "--space", "num_envs=4:8")
    ended = run(tmp_path, "tune.jax_phase12", "--check", *space)
    assert ended.returncode == code, ended.stderr
    assert "Traceback (" not in ended.stderr.partition("It wrote at last")[0]
    for word in words:
        assert word in ended.stdout + ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_check_for_a_program_is_one_line_of_json(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(textwrap.dedent(LOOP))
    space = ("--workload", "loop.py:loop", "--space", "num_envs=4:8")
    ended = run(tmp_path, "tune.jax_phase12", "--check", "--json", *space)
    assert ended.returncode == 0, ended.stderr
    [event] = map(json.loads, ended.stdout.splitlines())
    assert (event["event"], event["config"]) == ("checked", {"num_envs": 4})
    assert event["outcome"]["measurement"]["health"] == {"mean_return": 3.25}
    assert event["text"][-1] == "It says: mean_return 3.25."


def test_a_folder_with_a_tune_py_of_its_own_is_served_by_a_safe_path(tmp_path: Path) -> None:
    (tmp_path / "tune.py").write_text("raise SystemExit('this is not it')\n")
    (tmp_path / "train.py").write_text(textwrap.dedent(SCRIPT))
    ended = run(
        *(tmp_path, "tune.command", "--check", *OPTIONS, *COMMAND, "--num-steps={num_steps}"),
        python=("-P",),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "agent steps/s" in ended.stdout
