"""The command: lines, JSON, exit codes."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

import factories
from pids_cgroup import cpu_seconds_of_children
from places import ROOT
from tune.preflight import __main__ as preflight
from tune.preflight.findings import Preflight, PreflightRequest


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tune.preflight", *arguments],
        env=os.environ | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_command_prints_json_for_machines() -> None:
    done = run("--device", "cpu", "--json")
    printed = json.loads(done.stdout)
    assert printed["fit"] is (done.returncode == 0)
    assert printed["platform"] == "cpu"


def test_a_machine_that_is_not_fit_is_exit_1() -> None:
    pytest.importorskip("jaxlib")
    done = run("--device", "cpu", XLA_FLAGS="--xla_no_such_flag")
    assert done.returncode == 1
    assert "  problem: XLA_FLAGS of your environment would end every trial" in done.stdout


@pytest.mark.parametrize(
    ("installed", "framework"),
    [({"jaxlib", "torch"}, "jax"), ({"torch"}, "torch"), (set(), "jax")],
    ids=["both", "torch alone", "none"],
)
def test_it_judges_by_the_framework_that_is_there(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], framework: str
) -> None:
    asked: list[PreflightRequest] = []

    def check(request: PreflightRequest) -> Preflight:
        asked.append(request)
        return factories.preflight()

    monkeypatch.setattr(preflight, "check", check)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in installed or None)
    assert preflight.main([]) == 0
    assert [request.framework for request in asked] == [framework]


def test_the_command_prints_plain_lines_without_a_terminal() -> None:
    done = run("--device", "cpu")
    assert "Limits on threads\n  RLIMIT_NPROC: " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--memory-budget", "lots"),
            "error: --memory-budget is a size like 8GiB or 500MB, got 'lots'.",
        ),
        (("--thread-cap", "0"), "error: --thread-cap must be at least 1, got 0."),
    ],
)
def test_a_bad_option_is_one_sentence_and_exit_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stderr.strip()) == (2, message)


def test_an_unknown_option_is_exit_2() -> None:
    assert run("--no-such-option").returncode == 2


def test_help_answers_at_once_and_imports_no_framework() -> None:
    before = cpu_seconds_of_children()
    assert run("--help").returncode == 0
    assert cpu_seconds_of_children() - before < 1  # 0.2 s on a quiet machine
    heavy = "{'ray', 'jax', 'numpy', 'rich'} & set(sys.modules)"
    code = f"import tune.preflight, sys; raise SystemExit(bool({heavy}))"
    root = ROOT
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
