"""The program that stops a machine's rent: whether it is there, its variables, one run of it."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import BoxError
from cluster.node.proc import PROC
from cluster.node.secret_names import MASK, without_secret_words

_LONGEST_S = 120.0
_SHELLS = ("sh", "bash", "dash")
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


def require(command: Sequence[str]) -> None:
    """Require that the program of a stop command is there; in `sh -c SCRIPT` the script's first.

    Raises:
        BoxError: naming the one that is not.
    """
    missing = _missing(command) if command else None
    if missing is not None:
        raise BoxError(
            f"stop command: there is no program {missing!r} on this machine, and nothing was "
            "armed: install it there, or give its whole path."
        )


def run(command: Sequence[str]) -> int:
    """Run the provider's stop command; what it prints goes to the dead-man's log."""
    try:
        done = subprocess.run(
            command,
            env=environment(),
            cwd="/",  # the code's folder may have been replaced since
            stdin=subprocess.DEVNULL,
            timeout=_LONGEST_S,
            check=False,
        )
    except FileNotFoundError:
        return 127
    except OSError:  # no permission, no #! line, no room for another process
        return 126
    except subprocess.TimeoutExpired:
        return 124
    return done.returncode


def shown(command: Sequence[str]) -> list[str]:
    """Return a stop command without what is secret by its name, also within a shell's script."""
    told = zip(command, without_secret_words(command), strict=True)
    return [
        " ".join(without_secret_words(word.split(" "))) if " " in word and safe != MASK else safe
        for word, safe in told
    ]


def environment(*, proc: Path = PROC) -> dict[str, str]:
    """Return the variables of the stop command: this process's own, then those of pid 1.

    The container's own variables (RUNPOD_POD_ID, CONTAINER_ID, ...) are pid 1's; a login by SSH
    does not have them, and the providers' tools on the box look for them. Such a tool may lie on
    pid 1's PATH alone, as in an image's virtual environment.
    """
    container = _environ(proc / "1" / "environ")
    paths = [*os.environ.get("PATH", os.defpath).split(":"), *container.get("PATH", "").split(":")]
    path = ":".join(dict.fromkeys(filter(None, paths)))
    return {**container, **os.environ, "PATH": path}


def _missing(command: Sequence[str]) -> str | None:
    variables = environment()
    if shutil.which(command[0], path=variables["PATH"]) is None:
        return command[0]
    first = _first_of_script(command)
    if first is None:
        return None
    look = ("-c", 'command -v -- "$1"', "sh", first)  # which knows the shell's own, as `exec`
    try:
        done = subprocess.run(
            [command[0], *look], env=variables, cwd="/", capture_output=True, check=False
        )
    except OSError:  # there is no room for another process, which says nothing
        return None
    return first if done.returncode != 0 else None


def _first_of_script(command: Sequence[str]) -> str | None:
    """Return the first word of `sh -c SCRIPT`; `None` where the shell alone knows what it is."""
    shell, *rest = command
    if Path(shell).name not in _SHELLS or len(rest) < 2 or rest[0] != "-c":
        return None
    try:
        words = shlex.split(rest[1])
    except ValueError:
        return None
    is_function = words[1:2] != [] and words[1].startswith("()")
    return words[0] if words and _PLAIN.fullmatch(words[0]) and not is_function else None


def _environ(path: Path) -> dict[str, str]:
    with contextlib.suppress(OSError):
        pairs = path.read_bytes().decode(errors="surrogateescape").split("\0")
        return {name: value for name, eq, value in (pair.partition("=") for pair in pairs) if eq}
    return {}
