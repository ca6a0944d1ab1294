"""The menu, as a person meets it: through a real pseudo-terminal, key by key."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tyro

from cluster.errors import UserError
from cluster.fleet import commands
from places import ROOT
from tune import menu
from tune.jax_phase12 import JaxSpec
from tune.profile import __main__ as profile
from tune.pytorch_phase3 import Phase3Spec

ENTER, CTRL_C = "\r", "\x03"
MENU = "What shall be done?"
LEAD = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "tune"])
"""
"""Takes the terminal, then becomes the menu; `preexec_fn` would fork beside JAX's threads."""


class Script:
    """Answers by what a question begins with; Enter to all others."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = answers

    def select(self, question: str, choices: Mapping[str, Any]) -> Any:
        answer = self._find(question)
        [title] = [title for title in choices if title.startswith(answer)] if answer else [None]
        return choices[title or next(iter(choices))]

    def text(self, question: str, *, default: str = "", check: Callable[[str], str | None]) -> str:
        answer = self._find(question) or default
        assert check(answer) is None
        return answer

    def _find(self, question: str) -> str:
        return next((self._answers[key] for key in self._answers if question.startswith(key)), "")


def made(choice: str, **answers: str) -> str:
    return " ".join(menu.MAIN[choice](Script(answers)))


PHASE1, PHASE2, PHASE3 = menu.SEARCHES
FLEET = "fleet: the same on rented boxes"
LOOK, VALIDATE = "look at profiles", "validate a profile: does it still hold?"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder: bars, profiles and two reports."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bars.csv").touch()
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "gpu-fastest.yaml").touch()
    for at, name in ((2, "new"), (1, "old")):
        report = tmp_path / "runs" / name / "report.html"
        report.parent.mkdir(parents=True)
        report.touch()
        os.utime(report, (at, at))
    return tmp_path


@pytest.mark.parametrize(
    ("choice", "answers", "command"),
    [
        ("preflight: what this machine allows", {}, "-m tune.preflight"),
        (PHASE1, {}, "-m tune.jax_phase12 --phase 1 --max-time 10m"),
        (
            PHASE2,
            {"Your bars": "bars.csv", "Time": "2h", "Objective": "balanced"},
            "-m tune.jax_phase12 --phase 2 --data bars.csv --max-time 2h --objective balanced",
        ),
        (
            PHASE3,
            {"Language model": "owner/name"},
            "-m tune.pytorch_phase3 --llm owner/name --max-time 20m",
        ),
        (LOOK, {}, "-m tune.profile list"),
        (LOOK, {"Which": "gpu"}, "-m tune.profile show profiles/gpu-fastest.yaml"),
        (
            VALIDATE,
            {},
            "-m tune.profile validate profiles/gpu-fastest.yaml",
        ),
        (FLEET, {}, "-m cluster.fleet up --max-hours 3"),
        (
            FLEET,
            {"On your": "submit", "Search what": PHASE2, "Your bars": "bars.csv"},
            "-m cluster.fleet submit --send bars.csv -- "
            "python -m tune.jax_phase12 --phase 2 --data bars.csv --max-time 10m",
        ),
        *((FLEET, {"On your": name}, f"-m cluster.fleet {name}") for name in ("watch", "report")),
    ],
)
def test_answers_make_the_command_line(
    folder: Path, choice: str, answers: Mapping[str, str], command: str
) -> None:
    assert made(choice, **answers) == command


def parsed(words: Sequence[str]) -> Any:
    """What the command itself understands; tyro exits on what it does not."""
    _, module, *arguments = words
    if module == "cluster.fleet":
        own = arguments[: arguments.index("--")] if "--" in arguments else arguments
        name, *options = own
        if "--" in arguments:
            parsed(arguments[arguments.index("--") + 2 :])
        return tyro.cli(getattr(commands, f"{name.capitalize()}Command"), args=options)
    if module == "tune.profile":
        return tyro.cli(profile.ProfileCommand, args=arguments)  # type: ignore[call-overload]
    specs: dict[str, Any] = {"tune.jax_phase12": JaxSpec, "tune.pytorch_phase3": Phase3Spec}
    config = (tyro.conf.EnumChoicesFromValues,)
    return tyro.cli(specs[module], args=arguments, config=config) if module in specs else None


@pytest.mark.parametrize("choice", [*menu.SEARCHES, *menu.FLEET, LOOK, VALIDATE])
def test_every_command_takes_the_options_that_the_menu_gives_it(folder: Path, choice: str) -> None:
    every = {**menu.MAIN, **menu.FLEET}
    answers = {"Your bars": "bars.csv", "Objective": "balanced", "Language": "none"}
    assert parsed(every[choice](Script(answers))) is not None


def test_the_newest_report_is_opened(folder: Path) -> None:
    assert made("open the newest report") == (
        f"-m webbrowser {(folder / 'runs' / 'new' / 'report.html').as_uri()}"
    )


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (LOOK, "There are no profiles in profiles/ yet; a search writes them."),
        ("open the newest report", "There is no report in runs/ yet; a search writes one"),
    ],
)
def test_what_is_not_there_yet_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape(sentence)):
        made(choice)


class Terminal:
    """`python -m tune` behind a pseudo-terminal, which is also its controlling terminal."""

    def __init__(self, cwd: Path, environ: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        # A real terminal would answer where its cursor is.
        settings = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LEAD],
            cwd=cwd,
            env=settings | {"PATH": os.environ["PATH"]} | environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._raw, self._num_seen = b"", 0

    def expect(self, text: str, *, timeout_s: float = 60) -> str:
        """Read until `text` is on the screen; return what came before it since the last time."""
        deadline = time.monotonic() + timeout_s
        while text not in self._unseen():
            assert self._read(deadline), f"{text!r} did not come:\n{self._unseen()}"
        seen, _, _ = self._unseen().partition(text)
        self._num_seen += len(seen) + len(text)
        return seen

    def type(self, *keys: str) -> None:
        for key in keys:
            os.write(self._master, key.encode())

    def end(self) -> tuple[int, str]:
        """Wait for the menu to be left; return its exit code and its last words."""
        deadline = time.monotonic() + 60
        while self._read(deadline):
            continue
        return self.process.wait(timeout=30), self._unseen()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _unseen(self) -> str:
        """What came and was not expected yet, without control sequences."""
        text = self._raw.decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)[self._num_seen :]

    def _read(self, deadline: float) -> bool:
        """Read some; whether there was any before the end, or the deadline."""
        ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
        try:
            chunk = os.read(self._master, 2**16) if ready else b""
        except OSError:  # so Linux says that the other side is closed
            return False
        self._raw += chunk
        return bool(chunk)


@pytest.fixture
def menu_in(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start the menu in an empty folder; whatever is left of it at the end is killed."""
    opened: list[Terminal] = []

    def start(**environ: str) -> Terminal:
        opened.append(Terminal(tmp_path, environ))
        opened[-1].expect("leave")
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def test_a_choice_prints_its_command_runs_it_and_comes_back(
    menu_in: Callable[..., Terminal],
) -> None:
    terminal = menu_in()
    terminal.type("1", ENTER)
    terminal.expect("$ python -m tune.preflight\r\n")
    assert "Limits on threads" in terminal.expect(MENU)
    terminal.expect("leave")
    terminal.type("9", ENTER)
    assert terminal.end()[0] == 0


def test_ctrl_c_at_a_question_goes_back_and_at_the_menu_leaves(
    menu_in: Callable[..., Terminal],
) -> None:
    terminal = menu_in()
    terminal.type("2", ENTER)
    terminal.expect("Your bars")
    terminal.type(CTRL_C)
    terminal.expect("Back to the menu.")
    terminal.expect("leave")
    terminal.type(CTRL_C)
    code, words = terminal.end()
    assert code == 130
    assert "left; nothing was running." in words
    assert "Traceback" not in words


def test_a_wrong_answer_is_told_where_it_is_typed(menu_in: Callable[..., Terminal]) -> None:
    terminal = menu_in()
    terminal.type("3", ENTER)
    terminal.expect("Your bars")
    terminal.type("missing.csv", ENTER)
    terminal.expect("There is no file missing.csv.")


def test_home_of_nobody_is_no_file() -> None:
    assert menu._check_data("~no-user/bars.csv") == "There is no file ~no-user/bars.csv."


def test_a_report_is_opened_in_the_persons_browser(
    menu_in: Callable[..., Terminal], tmp_path: Path
) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    report = tmp_path / "runs" / "one" / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    terminal = menu_in(DISPLAY=":0", BROWSER=f"{browser} %s")
    terminal.type("8", ENTER)
    terminal.expect(f"$ python -m webbrowser {report.as_uri()}")
    terminal.expect(MENU)
    assert (tmp_path / "opened").read_text().strip() == report.as_uri()
    without = menu_in()
    without.type("8", ENTER)
    without.expect(report.as_uri())
    without.expect("There is no display here")


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ctrl_c_in_a_search_is_the_searchs_own_and_the_menu_stays(
    menu_in: Callable[..., Terminal], tmp_path: Path
) -> None:
    terminal = menu_in(HOME=str(tmp_path))
    terminal.type("2", ENTER)
    for question in ("Your bars", "Time for everything", "Objective"):
        terminal.expect(question)
        terminal.type(ENTER)
    terminal.expect("$ python -m tune.jax_phase12 --phase 1 --max-time 10m\r\n")
    terminal.expect("baseline", timeout_s=240)
    terminal.type(CTRL_C)
    seen = terminal.expect("(exit code 130)", timeout_s=240)
    assert "interrupted" in seen
    assert "Traceback" not in seen
    terminal.expect("leave")
    terminal.type("9", ENTER)
    assert terminal.end()[0] == 0


def test_without_a_terminal_the_commands_are_named(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tune"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    [sentence] = ended.stderr.splitlines()
    for module in ("tune.preflight", "tune.jax_phase12", "tune.profile", "cluster.fleet"):
        assert f"python -m {module}" in sentence
