"""A profile as a person reads it."""

import dataclasses
from pathlib import Path

import pytest

import factories
from profiles import loaded, written
from trainables.command.options import FACTORY
from tune.profile import __main__ as profile
from tune.profile import file as profile_file
from tune.profile import view
from tune.search.result import Kind


def test_show_says_everything_a_person_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile.main(["show", str(written(tmp_path))]) == 0
    said = capsys.readouterr().out
    for text in (
        "jax phase 1, fastest on cpu",
        "512 envs x 64 steps, batch 4096, 4 epochs",
        "62.0 K env steps/s, 95 % interval 61.2 K to 62.9 K, from 2 fresh processes",
        "1.24 x (1.21 x to 1.28 x) the speed of 256 x 128, 4 minibatches at 50.0 K",
        "200 of 200 updates",
        "confirmed by finals",
        "172 MiB measured, 143 MiB predicted; 9.60 GiB allowed",
        "21 at most, under a cap of 2; pids cgroup /c had room for 1,000",
        "a synthetic market (sha256 abababababab...)",
        "differs: CPU was AMD EPYC 7543",
    ):
        assert text in said


@pytest.mark.parametrize("who", ["winner", "baseline"])
def test_a_comparison_that_was_disturbed_is_none_in_the_profile_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], who: str
) -> None:
    result = factories.result(
        chosen={Kind.FASTEST: factories.candidate(disturbed=who == "winner")},
        baseline=dataclasses.replace(factories.BASELINE, disturbed=who == "baseline"),
    )
    path = written(tmp_path, result)
    assert loaded(path)["baseline"].get("disturbed") == (True if who == "baseline" else None)
    assert profile.main(["show", str(path)]) == 0
    said = capsys.readouterr().out
    assert "not comparable with 256 x 128, 4 minibatches" in said
    assert "1.24 x" not in said
    assert profile.main(["list", str(tmp_path)]) == 0
    assert ("confirmed, disturbed, " in capsys.readouterr().out) is (who == "winner")


COMMAND = {
    "workload": FACTORY,
    "mode": "train",
    "phase": None,
    "framework": "any",
    "options": {
        "arguments": ["python", "my train.py", "--n={num_envs}", "{num_envs * 2}", "{trial_dir}/x"],
        "readings": [{"kind": "count", "pattern": r"(\d+)", "unit": "env step"}],
        "variables": {"WORKERS": "{num_envs}", "HF_TOKEN": "s3cret"},
    },
}


def test_a_command_is_printed_ready_to_paste_with_what_a_run_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = factories.candidate(config={"num_envs": 8, "env.OMP_NUM_THREADS": 2})
    result = factories.result(chosen={Kind.FASTEST: chosen})
    path = written(tmp_path, result, task=factories.task(**COMMAND))
    arguments = ["command", str(path), "--steps", "1e9", "--price", "0.69"]
    assert profile.main(arguments) == 0
    command, cost = capsys.readouterr().out.splitlines()
    assert " OMP_NUM_THREADS=2 " in f" {command} "
    assert (
        " WORKERS=8 HF_TOKEN=\"$HF_TOKEN\" taskset -c 0-1 python 'my train.py' --n=8 16 ./x"
        in command
    )
    assert cost == (
        "# 1,000,000,000 env steps take 4 h 28 min (4 h 25 min to 4 h 32 min) and $3.09 "
        "($3.05 to $3.13) at $0.69 an hour."
    )


def test_the_soak_of_a_command_is_told_in_readings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, task=factories.task(**COMMAND))
    assert profile.main(["show", str(path)]) == 0
    assert "200 of 200 readings in 2 min 11 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--steps", "0"], "--steps must be positive, got 0.0"),
        (["--price", "1"], "--price needs --steps"),
        (["--steps", "inf"], "--steps must be positive, got inf"),
    ],
)
def test_a_run_that_cannot_be_priced_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert profile.main(["command", str(written(tmp_path)), *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("allowed", "bound"), [((0, 1), "0-1"), ((1, 2, 5), "1-2")])
def test_where_a_cpu_of_the_profile_is_not_allowed_as_many_others_are_taken(
    tmp_path: Path, allowed: tuple[int, ...], bound: str
) -> None:
    read = profile_file.read(written(tmp_path))
    assert view.training_command(read, allowed).endswith(f"taskset -c {bound} YOUR TRAINING")
    assert view.exports(read, allowed)[-1].endswith(f"taskset -c {bound} YOUR TRAINING")


def test_of_another_workload_the_person_s_own_training_is_bound_and_capped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile.main(["command", str(written(tmp_path))]) == 0
    [command] = capsys.readouterr().out.splitlines()
    assert "PJRT_NPROC=2" in command
    assert command.endswith("taskset -c 0-1 YOUR TRAINING")
