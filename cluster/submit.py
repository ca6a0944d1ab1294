"""`submit`: start one search on each box, resume one, or go on elsewhere with a lost box's."""

import datetime
import io
import re
import shlex
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.hosts import FleetError
from cluster.remote import RemoteBox
from cluster.ssh import HostError

_OURS = ("--out", "--profiles", "--json", "--resume")
_CARRIED = ("job.json", "events.jsonl", "run/journal.log")
_UNPACK = """
set -e; umask 077
cd -- "$1"/jobs; [ ! -e "$2" ] || { echo "has a job $2 already: resume it." >&2; exit 1; }
rm -rf ".$2"; mkdir ".$2"; tar -xf - -C ".$2"; mv ".$2" "$2"
"""


def new_name(now: datetime.datetime) -> str:
    """A job's name, if the person gives none."""
    return f"search-{now:%Y%m%d-%H%M%S}"


def check_words(words: Sequence[str]) -> None:
    """Refuse a command that cannot be followed.

    Raises:
        FleetError: if there is none, or it says where results go, which is the fleet's to say.
    """
    if not words:
        raise FleetError(
            "submit needs the command behind --: submit --hosts hosts.toml -- "
            "python -m tune.jax_phase12 --phase 1"
        )
    for word in words:
        option = word.split("=", 1)[0].replace("_", "-")
        if option in _OURS:
            raise FleetError(f"leave {option} out: the fleet adds it on each box.")


def start(box: RemoteBox, *, name: str, words: Sequence[str]) -> str:
    """Start a search; return what runs now.

    Raises:
        HostError: if the box is not set up, or busy.
    """
    answer = box.ask("start", {"name": name, "words": list(words), "resume": False})
    return shlex.join(answer["words"])


def resume(box: RemoteBox, *, name: str | None) -> str:
    """Go on with the box's latest search, or with the one of this name.

    Raises:
        HostError: if there is none, or it runs.
    """
    job: dict[str, Any] | None = box.ask("status")["job"]
    if name is None and job is None:
        raise HostError(box.host, "has no search to resume.")
    wanted = name or (job or {})["name"]
    answer = box.ask("start", {"name": wanted, "words": None, "resume": True})
    return shlex.join(answer["words"])


def take_over(box: RemoteBox, pulled: Path) -> str:
    """Go on, on this box, with the search of another whose results were pulled to `pulled`.

    It knows every trial that was pulled, and ends at once with a sentence in its log if this box
    is of another class. It gets a name of its own: `submit` gives the same to all boxes.

    Raises:
        FleetError: if there is no pulled search.
        HostError: if this box is not set up, busy, or has a job of that name.
    """
    if not (pulled / "run" / "journal.log").is_file() or not (pulled / "job.json").is_file():
        raise FleetError(f"{pulled} holds no pulled search (no job.json and run/journal.log).")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in _CARRIED:
            if (pulled / name).is_file():
                tar.add(pulled / name, arcname=name)
    source = pulled.resolve()
    name = re.sub(r"[^A-Za-z0-9_-]", "-", f"{source.name}-from-{source.parent.name}")
    box.shell(_UNPACK, box.host.folder, name, stdin=buffer.getvalue(), timeout_s=300)
    answer = box.ask("start", {"name": name, "words": None, "resume": True})
    return shlex.join(answer["words"])
