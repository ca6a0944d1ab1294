"""Programs that start a training so that it is not heard, or not ended, from here. Pure."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from cluster.errors import UserError

_ELSEWHERE = frozenset({"docker", "kubectl", "nerdctl", "podman", "sbatch", "srun", "ssh"})
"""What they start is a child of a daemon or of another host: it outlives a trial that is ended."""

_STREAMS = {"--live-stream", "--no-capture-output", "-s"}


def require_own_child(arguments: Sequence[str], here: Path) -> None:
    """Require that the command runs its training as a child, and lets its lines through.

    Raises:
        UserError: naming the program, and what to write instead.
    """
    words = list(itertools.dropwhile(_precedes, arguments))
    program = Path(words[0]).name if words else ""
    if program in _ELSEWHERE:
        raise UserError(
            f"what {program} starts is no child of it, so a trial's threads and memory could not "
            "be counted, and its training would outlive it on the GPU: run python -m tune.command "
            "where the training runs, in its container or on its host, with its own command."
        )
    if program == "ray" and words[1:3] == ["job", "submit"]:
        raise UserError(
            "ray job submit has another Ray run the training, so a trial's threads and memory "
            "could not be counted, and its training would outlive it on the GPU: write the command "
            "behind its own --, and each trial starts a Ray of its own."
        )
    if words[1:2] != ["run"]:
        return
    if program == "conda" and _STREAMS.isdisjoint(words):
        raise UserError(
            "conda run shows what its program prints only when that has ended, so no speed could "
            "be read: write conda run --no-capture-output."
        )
    if program == "poetry":
        raise UserError(
            "poetry finds its environment by the folder that it runs in, and each trial has one "
            f"of its own: write poetry -P {here} run."
        )


def _precedes(word: str) -> bool:
    return word == "sudo" or word.startswith("-")
