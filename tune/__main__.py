"""The menu: python -m tune. It asks, prints the command line, and runs exactly that."""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster import cli
from cluster.errors import UserError
from tune import menu
from tune.menu import Answer, Choice, CommandLine

_COMMANDS = """\
python -m tune.preflight         what this machine allows
python -m tune.jax_phase12       search JAX Phase 1 or 2
python -m tune.pytorch_phase3    search PyTorch Phase 3
python -m tune.profile           show, list, validate and use profiles
python -m cluster.fleet          the same on rented boxes"""

_KEYS = 36  # digits and letters; with more choices there are only arrows


class Terminal:
    """Asks with arrow keys, numbers and Enter."""

    def select(self, question: str, choices: Mapping[str, Answer]) -> Answer:
        """Let the person pick; the first choice is what Enter takes."""
        import questionary  # lazy: only a terminal needs it, and --help must be fast

        prompt = questionary.select(
            question,
            list(choices),
            use_shortcuts=len(choices) <= _KEYS,
            use_jk_keys=False,  # j and k are shortcuts like all letters
        )
        return choices[prompt.unsafe_ask()]

    def text(self, question: str, *, default: str = "", check: Callable[[str], str | None]) -> str:
        """Let the person type; `check` returns what is wrong with the answer, if anything."""
        import questionary  # lazy: only a terminal needs it, and --help must be fast

        answer = questionary.text(
            f"{question}:", default=default, validate=lambda text: check(text.strip()) or True
        )
        return str(answer.unsafe_ask()).strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the menu until the person leaves; return the exit code."""
    return cli.run(lambda: _open(arguments), interrupted="left; nothing was running.")


def _open(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tune",
        description="A menu of what most people need. Each choice prints the command that it runs:",
        epilog=f"{_COMMANDS}\n\nNot in the menu: python -m tune.command, for any training command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        names = ", ".join(line.split("  ")[0] for line in _COMMANDS.splitlines())
        raise UserError(f"the menu needs a terminal; without one, run {names}.")
    try:
        return _serve(Terminal())
    except EOFError as error:
        raise KeyboardInterrupt from error


def _serve(ask: menu.Asker) -> int:
    choices: Mapping[str, Choice | None] = {**menu.MAIN, "leave": None}
    while True:
        choice = ask.select("What shall be done?", choices)
        if choice is None:
            return 0
        try:
            command = choice(ask)
        except UserError as error:
            print(error)
        except (KeyboardInterrupt, EOFError):
            print("Back to the menu.")
        else:
            _run(command)


def _run(command: CommandLine) -> None:
    """Print the command line and run it with this Python; Ctrl-C ends the command, not the menu."""
    print(f"\n$ {shlex.join(['python', *command])}\n", flush=True)
    if command[:2] == ("-m", "webbrowser") and not _has_display(os.environ):
        print("There is no display here: copy the file to a machine that has one.")
        return
    # Not SIG_IGN, which the command would inherit: a handler is reset when it starts.
    before = signal.signal(signal.SIGINT, _heed_nothing)
    try:
        code = subprocess.run([sys.executable, *command], check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    print(f"\n(exit code {code})\n" if code else "")


def _heed_nothing(signum: int, frame: Any) -> None:
    """Ignore a Ctrl-C: the command got the same one, and ends by itself."""


def _has_display(environ: Mapping[str, str]) -> bool:
    return sys.platform == "darwin" or bool(
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    )


if __name__ == "__main__":
    sys.exit(main())
