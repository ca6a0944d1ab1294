"""The menu's questions, and the command line that the answers make. Nothing is run here.

Every function takes an `Asker` and returns the arguments of `python`; a `UserError` says in one
sentence why there is nothing to run.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from cluster.errors import UserError
from tune.parse import parse_duration
from tune.run_folder.folder import RUNS
from tune.spec import PROFILES

Answer = TypeVar("Answer")
CommandLine = tuple[str, ...]


class Asker(Protocol):
    """The side that asks a person. Both methods raise KeyboardInterrupt on Ctrl-C."""

    def select(self, question: str, choices: Mapping[str, Answer]) -> Answer:
        """Let the person pick; the first choice is what Enter takes."""

    def text(self, question: str, *, default: str = "", check: Callable[[str], str | None]) -> str:
        """Let the person type; `check` returns what is wrong with the answer, if anything."""


Choice = Callable[[Asker], CommandLine]


def preflight(ask: Asker) -> CommandLine:
    """Show what this machine allows."""
    return ("-m", "tune.preflight")


def _jax(phase: str) -> Choice:
    module = "tune.jax_phase12"
    return lambda ask: ("-m", module, "--phase", phase, *_data(ask), *_limits(ask, "10m"))


def phase3(ask: Asker) -> CommandLine:
    """Search PyTorch Phase 3."""
    llm = ask.text(
        "Language model: a folder, a GGUF file or a hub id (Enter: the embedded one)",
        check=lambda answer: None,
    )
    model = ("--llm", llm) if llm else ()
    return ("-m", "tune.pytorch_phase3", *model, *_data(ask), *_limits(ask, "20m"))


def look(ask: Asker) -> CommandLine:
    """List the profiles, or show one."""
    one = ask.select("Which?", {"all of them, as a list": None, **_profiles()})
    return ("-m", "tune.profile", *(("list",) if one is None else ("show", str(one))))


def validate(ask: Asker) -> CommandLine:
    """Measure a profile again."""
    return ("-m", "tune.profile", "validate", str(ask.select("Which?", _profiles())))


def report(ask: Asker) -> CommandLine:
    """Open the newest report."""
    return ("-m", "webbrowser", newest_report().resolve().as_uri())


def newest_report() -> Path:
    """Return the report of the search that ended last.

    Raises:
        UserError: if there is none yet.
    """
    reports = sorted(RUNS.glob("*/report.html"), key=lambda path: path.stat().st_mtime)
    if not reports:
        raise UserError(f"There is no report in {RUNS}/ yet; a search writes one at its end.")
    return reports[-1]


def fleet(ask: Asker) -> CommandLine:
    """Choose one of the fleet's commands."""
    return ask.select("On your rented boxes (hosts.toml):", FLEET)(ask)


def _fleet(*words: str) -> Choice:
    return lambda ask: ("-m", "cluster.fleet", *words)


def _up(ask: Asker) -> CommandLine:
    hours = ask.text(
        "End jobs and rent after so many hours, whatever happens", default="3", check=_check_hours
    )
    return ("-m", "cluster.fleet", "up", "--max-hours", hours)


def _submit(ask: Asker) -> CommandLine:
    _, module, *rest = ask.select("Search what?", SEARCHES)(ask)
    data = rest[rest.index("--data") + 1 :][:1] if "--data" in rest else []
    send = ("--send", *data) if data else ()
    return ("-m", "cluster.fleet", "submit", *send, "--", "python", "-m", module, *rest)


SEARCHES: Mapping[str, Choice] = {
    "search JAX Phase 1: entries": _jax("1"),
    "search JAX Phase 2: position management": _jax("2"),
    "search PyTorch Phase 3: with a language model": phase3,
}
FLEET: Mapping[str, Choice] = {
    "up: set the boxes up": _up,
    "submit: start a search on each": _submit,
    "watch: see them search, bring results home": _fleet("watch"),
    "status: look once, with what it costs": _fleet("status"),
    "pull: bring results home": _fleet("pull"),
    "report: which one to rent": _fleet("report"),
    "down: end the searches, and say how to end the rent": _fleet("down"),
}
MAIN: Mapping[str, Choice] = {
    "preflight: what this machine allows": preflight,
    **SEARCHES,
    "look at profiles": look,
    "validate a profile: does it still hold?": validate,
    "fleet: the same on rented boxes": fleet,
    "open the newest report": report,
}


def _data(ask: Asker) -> Sequence[str]:
    answer = ask.text(
        "Your bars, CSV, Parquet or Feather (Enter: a synthetic market)", check=_check_data
    )
    return ("--data", str(_at_home(answer))) if answer else ()


def _limits(ask: Asker, default: str) -> Sequence[str]:
    max_time = ask.text(
        "Time for everything, like 300s, 10m or 2h", default=default, check=_check_time
    )
    objective = ask.select(
        "Objective",
        {
            "throughput: env steps per second": (),
            "balanced: discounts what learns less per sample": ("--objective", "balanced"),
        },
    )
    return ("--max-time", max_time, *objective)


def _profiles() -> Mapping[str, Path]:
    found = sorted(PROFILES.glob("*.yaml"))
    if not found:
        raise UserError(f"There are no profiles in {PROFILES}/ yet; a search writes them.")
    return {path.name: path for path in found}


def _check_data(answer: str) -> str | None:
    is_there = not answer or _at_home(answer).is_file()
    return None if is_there else f"There is no file {answer}."


def _at_home(answer: str) -> Path:
    """Return the path, with the home folder that its ~ stands for."""
    return Path(os.path.expanduser(answer))  # pathlib's own raises where there is no such user


def _check_time(answer: str) -> str | None:
    try:
        parse_duration("this", answer)
    except UserError as error:
        return str(error).capitalize()
    return None


def _check_hours(answer: str) -> str | None:
    try:
        return None if float(answer) > 0 else "More than none, please."
    except ValueError:
        return "Hours are a number like 3 or 1.5."
