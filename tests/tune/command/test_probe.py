"""A probe of a script, alive: what it settles of the speed and of the return."""

import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.node.thread_env import expected_threads
from cluster.structure import destructure
from tune.command.__main__ import CommandSpec, options_of, run_options_of, space_of, task_of
from tune.command.probe import Probed, probe
from tune.preflight import trying
from tune.search.objective import Objective

SCRIPT = """
    import pathlib, time
    print("reads its data", flush=True)
    while pathlib.Path("{waits_for}").exists():
        time.sleep(0.01)
    for step in range(0, 10**9, 100):
        print("{returns}".format(step=step))
        time.sleep(0.02)
        print("{speed}".format(step=step), flush=True)
"""
SB3 = ("|    ep_rew_mean          | 21.4        |", "|    total_timesteps      | {step} |")
CLEANRL = ("global_step={step}, episodic_return=[21.]", "SPS: 100")
RL_GAMES = (
    "epoch",
    "fps step: 9 fps step and policy inference: 9 fps total: 9 epoch: 1/150 frames: {step}",
)
COMMAND = ["python3", "./train.py", "{num_envs}", "{num_steps}", "{seed}"]


def probed(
    folder: Path,
    script: tuple[str, str],
    tell: Callable[[str], None] = lambda text: None,
    *,
    before: str = "",
    words: tuple[str, ...] = (),
    **options: object,
) -> Probed:
    returns, speed = script
    text = textwrap.dedent(SCRIPT).replace("{waits_for}", str(folder / "waits"))
    text = text.replace("{returns}", returns).replace("{speed}", speed)
    (folder / "train.py").write_text(f"{before}\n{text}")
    space = ("num_envs=4", "num_steps=8")
    spec = CommandSpec(space=space, device="cpu", **options)  # type: ignore[arg-type]
    command = [*COMMAND, *words]
    searched = space_of(spec, command)
    task = task_of(options_of(spec, command, searched), run_options_of(spec))
    return probe(spec, task, searched, {}, tell)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("script", "preset", "words"),
    [
        (SB3, "sb3", "21.4 at last, "),
        (CLEANRL, "cleanrl", " as a mean over 20 episodes, 21 at last, "),
    ],
)
def test_the_preset_that_matches_has_the_return_too(
    script: tuple[str, str], preset: str, words: str, folder: Path
) -> None:
    found = probed(folder, script, objective=Objective.LEARNING)
    [reading] = found.options["readings"]
    assert reading["preset"] == preset
    assert reading["returns"]["pattern"] in found.of_return[0]
    assert words in found.of_return[0]
    assert found.of_return[1].strip().startswith(script[0].partition("{step}")[0])
    assert set(found.of_return) <= set(found.sentences)
    assert "It says: mean_return 21" in found.sentences[1]


def test_a_preset_without_a_return_is_refused_once_it_is_known(folder: Path) -> None:
    with pytest.raises(UserError, match="no line of the preset rl_games is known to have it"):
        probed(folder, RL_GAMES, objective=Objective.LEARNING)
    found = probed(folder, RL_GAMES, objective=Objective.LEARNING, returns=r"^epoch|step: (\d)")
    assert destructure(found.options["readings"][0])["returns"]["pattern"] == r"^epoch|step: (\d)"


def test_a_return_that_never_came_is_said(folder: Path) -> None:
    found = probed(folder, SB3, objective=Objective.LEARNING, returns=r"score (\S+)")
    assert found.of_return == (
        "No line had a return yet, by 'score (\\S+)': if the script prints it in other words, give "
        "--return.",
    )


def test_a_search_of_speed_says_nothing_of_returns(folder: Path) -> None:
    found = probed(folder, SB3)
    assert found.of_return == ()
    assert "returns" not in found.options["readings"][0]
    assert not any("return" in sentence for sentence in found.sentences)


def test_random_steps_that_last_are_a_doubt_until_the_command_says_few(folder: Path) -> None:
    (folder / "agent.py").write_text("LEARNING_STARTS = 70000\n")
    doubted = probed(folder, SB3, before="import agent\nlearning_starts = 80000")
    [doubt] = doubted.doubts
    assert doubt.startswith("learning_starts is 80000 in train.py, ")
    assert doubted.sentences[-1] == doubt
    few = probed(folder, SB3, before="learning_starts = 80000", words=("--learning-starts=100",))
    assert few.doubts == ()


def test_of_a_file_of_data_the_beginning_is_searched_for_random_steps(folder: Path) -> None:
    (folder / "data.json").write_text("[0, " * 2**19 + '"learning_starts: 80000"')
    assert probed(folder, SB3, words=("data.json",)).doubts == ()


def test_a_probe_leaves_no_folder_behind_where_those_of_the_trials_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    probed(folder, SB3, keep_outputs=True)
    assert not list(temporary.glob("trial-*"))


def test_who_waits_for_a_speed_is_told_what_is_written_and_a_program_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trying, "_TOLD_EVERY_S", 0.05)
    (folder / "waits").touch()
    told: list[str] = []

    def tell(text: str) -> None:
        trying.tell_who_waits(text)
        told.append(text)
        if "reads" in text:  # the script goes on once a person was told
            (folder / "waits").unlink(missing_ok=True)

    probed(folder, SB3, tell)
    assert any("; at last it wrote: reads its data" in text for text in told)
    assert all(text.startswith("No speed yet after ") for text in told)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == told
    assert not captured.out


MANY_THREADS = """
import threading, time
for _ in range(90):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""


def test_threads_beyond_those_of_most_trials_are_told(folder: Path) -> None:
    """The preflight would find room for a search whose every trial then dies for want of it."""
    found = probed(folder, SB3, before=MANY_THREADS)
    seen = found.tried.outcome.peak_threads
    assert seen is not None
    expected = expected_threads(found.tried.outcome.thread_cap, "cpu", "any")
    assert 91 < seen == expected + found.more_threads
    assert probed(folder, SB3).more_threads == 0
