"""The command: a real shell gets exactly the values, and a mistake is one sentence."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.node.stdout import UNREAD
from pids_cgroup import cpu_seconds_of_children
from places import ROOT
from profiles import loaded, rewritten, written
from tune.profile import __main__ as profile


@pytest.mark.parametrize("command", ["show", "env", "validate"])
def test_a_reader_that_has_seen_enough_sees_no_traceback(tmp_path: Path, command: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    ended = subprocess.run(
        [sys.executable, "-m", "tune.profile", command, str(written(tmp_path))],
        cwd=ROOT,
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writes)
    assert (ended.returncode, "Traceback" in ended.stderr) == (UNREAD, False), ended.stderr


AWKWARD = "--xla_dump_to='/a b' --x=$HOME;`touch pwned` \\\"!"


def test_a_real_shell_gets_exactly_the_values(tmp_path: Path) -> None:
    path = rewritten(written(tmp_path), environment__variables__XLA_FLAGS=AWKWARD)
    names = list(loaded(path)["environment"]["variables"])
    evaluated = in_bash(path, "env -0", tmp_path)
    got = dict(item.split("=", 1) for item in evaluated.stdout.split("\0") if "=" in item)
    assert {name: got[name] for name in names} == loaded(path)["environment"]["variables"]
    assert evaluated.returncode == 0
    assert not (tmp_path / "pwned").exists()


def in_bash(path: Path, then: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `eval "$(python -m tune.profile env FILE)" && then` in a bash of its own."""
    command = f'eval "$({sys.executable} -m tune.profile env {shlex.quote(str(path))})" && {then}'
    return subprocess.run(
        ["bash", "-c", command],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_training_does_not_start_without_the_caps(tmp_path: Path) -> None:
    path = rewritten(written(tmp_path), kind="quickest")
    done = in_bash(path, "echo training", tmp_path)
    assert "training" not in done.stdout
    assert done.returncode != 0
    assert "kind: must be one of" in done.stderr


@pytest.mark.parametrize("words", [["env"], ["env", "a", "b"], ["env", "--no-such-option"]])
def test_words_that_name_no_profile_do_not_start_training(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a variable that is not set, or a path with a space."""
    with pytest.raises(SystemExit, match="2"):
        profile.main(words)
    assert capsys.readouterr().out == "false\n"


def test_env_says_which_cpus_to_bind_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rewritten(written(tmp_path), environment__cpus=[0, 4095])
    assert profile.main(["env", str(path)]) == 0
    said = capsys.readouterr()
    assert "export PJRT_NPROC='2'\n" in said.out
    assert "(CPUs 0,4095 of the profile are not allowed here)" in said.out
    assert "4095 YOUR TRAINING" not in said.out
    assert "warning: this machine is another: CPU was AMD EPYC 7543" in said.err


def test_list_shows_what_it_can_and_names_what_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile.main(["list", str(tmp_path)]) == 0
    assert "No profiles in" in capsys.readouterr().out
    written(tmp_path)
    (tmp_path / "broken.yaml").write_text("a: [")
    assert profile.main(["list", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "amd-epyc-7543-8cpu-phase1-fastest.yaml  512 x 64 / 4096 num_epochs=4" in said.out
    assert "confirmed, 2026-11-24" in said.out
    assert "broken.yaml is not YAML" in said.err


def test_a_mistake_is_one_sentence_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile.main(["show", "nowhere.yaml"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: nowhere.yaml: No such file")
    assert said.err.count("\n") == 1


def test_an_option_that_is_given_again_keeps_its_earlier_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["validate", str(written(tmp_path)), "--option", "data", "--option", "seed=1"]
    assert profile.main(words) == 2
    assert "--option" in capsys.readouterr().err


def test_help_answers_at_once_and_imports_nothing_heavy() -> None:
    before = cpu_seconds_of_children()
    command = [sys.executable, "-m", "tune.profile", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "validate" in done.stdout) == (0, True)
    assert cpu_seconds_of_children() - before < 1  # 0.15 s on a quiet machine
    heavy = "{'ray', 'jax', 'numpy', 'rich', 'optuna'} & set(sys.modules)"
    code = f"import tune.profile, sys; raise SystemExit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
