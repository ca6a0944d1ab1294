"""The folder of one run, and what it has of the person's own."""

import sys
from pathlib import Path

import pytest

from trainables.command import folder as standing
from trainables.workload import WorkloadInputError


def test_it_has_links_to_all_but_hidden_entries_and_outputs(tmp_path: Path) -> None:
    person, run = tmp_path / "person", tmp_path / "trials" / "one"
    for name in ("src", "runs", "wandb", "log/CartPole-v1/ppo", ".git"):
        (person / name).mkdir(parents=True)
    (person / "train.py").write_text("x")
    (person / "logs").write_text("a file that is called so")
    standing.make_standing_place(run, person)
    assert sorted(path.name for path in run.iterdir()) == ["logs", "src", "train.py"]
    assert (run / "train.py").read_text() == "x"
    standing.make_standing_place(run, person)  # again is no matter


def test_a_log_of_tensorboard_is_an_output_whatever_its_name(tmp_path: Path) -> None:
    person, run = tmp_path / "person", tmp_path / "run"
    events = "events.out.tfevents.1.host"
    logs = (f"tb/{events}", f"curves/PPO_1/{events}", f"curves/PPO_2/{events}")
    kept = (f"agents/{events}", "agents/train.py", f"project/tb/{events}", "project/data/x")
    code = (f"src/agent/{events}", "src/agent/model.py")
    for name in (*logs, *kept, *code, "tfevents/x"):
        (person / name).parent.mkdir(parents=True, exist_ok=True)
        (person / name).touch()
    (person / "empty").mkdir()
    standing.make_standing_place(run, person)
    made = sorted(path.name for path in run.iterdir())
    assert made == ["agents", "empty", "project", "src", "tfevents"]


def test_a_link_that_cannot_be_followed_is_a_link_too(tmp_path: Path) -> None:
    """One may lead to where this person may not look, or to a share that is gone."""
    person, run = tmp_path / "person", tmp_path / "run"
    (person / "inner").mkdir(parents=True)
    (person / "train.py").touch()
    for name in ("loop", "runs", "inner/events.out.tfevents.1.host", "inner/loop"):
        (person / name).symlink_to((person / name).name)
    (person / "through").symlink_to("train.py/x")
    (person / "gone").symlink_to("nowhere")
    standing.make_standing_place(run, person)
    made = sorted(path.name for path in run.iterdir())
    assert made == ["gone", "loop", "runs", "through", "train.py"]


def test_a_folder_of_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "_MOST_LINKS", 2)
    person = tmp_path / "person"
    person.mkdir()
    for name in "abc":
        (person / name).write_text("")
    with pytest.raises(WorkloadInputError, match="has 3 entries, and each run gets a link"):
        standing.make_standing_place(tmp_path / "run", person)


def test_a_run_within_the_person_s_folder_is_not_in_itself(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("x")
    run = tmp_path / "out" / "trials" / "one"
    standing.make_standing_place(run, tmp_path)
    assert [path.name for path in run.iterdir()] == ["train.py"]


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("../train.py", "{up}/train.py"),
        ("--config=../train.py", "--config={up}/train.py"),
        ("../person/../train.py", "{up}/train.py"),
        ("../a-link/python", "{up}/bin/python"),
        ("../a-link/../train.py", "{up}/train.py"),
        ("..", "{up}"),
        ("../gone.py", "../gone.py"),
        ("train.py", "train.py"),
        ("lr=0.1", "lr=0.1"),
        ("...", "..."),
    ],
)
def test_a_path_that_leads_up_leads_to_the_same_place(
    word: str, becomes: str, tmp_path: Path
) -> None:
    (tmp_path / "person").mkdir()
    (tmp_path / "train.py").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "a-link").symlink_to("bin")
    assert standing.reachable(word, tmp_path / "person") == becomes.format(up=tmp_path)


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        (".venv/bin/python", "{person}/.venv/bin/python"),
        ("runs/start.sh", "{person}/runs/start.sh"),
        ("./start.sh", "./start.sh"),
        ("python3", "python3"),
        ("/bin/sh", "/bin/sh"),
        ("./gone.sh", "./gone.sh"),
    ],
)
def test_a_program_that_no_link_leads_to_is_found(word: str, becomes: str, tmp_path: Path) -> None:
    person, run = tmp_path / "person", tmp_path / "run"
    for name in (".venv/bin/python", "runs/start.sh", "start.sh", "python3"):
        (person / name).parent.mkdir(parents=True, exist_ok=True)
        (person / name).touch()
    standing.make_standing_place(run, person)
    assert standing.program_for(word, person, run) == becomes.format(person=person)
