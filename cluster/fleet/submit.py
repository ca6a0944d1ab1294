"""`submit`: start a search on a box, resume one, or take over a lost box's."""

import dataclasses
import datetime
import io
import json
import os
import re
import shlex
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import FleetError
from cluster.fleet import send, status
from cluster.fleet.part import Part
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError, UnreachableError
from cluster.fleet.status import HostStatus
from cluster.node.arguments import with_options
from cluster.node.deadman import STOPPING
from cluster.node.secret_names import with_secret_words, without_secret_words

BEHIND_DASHES = (
    "submit needs the command behind --: submit --hosts hosts.toml -- "
    "python -m tune.jax_phase12 --phase 1"
)
_OURS = ("--out", "--profiles", "--json", "--resume")
_KNOWN = "--known"
_SPLITS = ("--shard", _KNOWN)
_LONGEST_NAME = 80  # that a box takes
_CARRIED = ("job.json", "events.jsonl", "run/journal.log")
_UNPACK = """
set -e; umask 077
cd -- "$1"/jobs; [ ! -e "$2" ] || { echo "has a job $2 already: resume it." >&2; exit 1; }
rm -rf ".$2"; mkdir ".$2"; tar -xf - -C ".$2"; mv ".$2" "$2"
"""
# The folder may be there already, of an attempt that broke off or from another watch that is at it.
_UNPACK_KNOWN = """
set -e; umask 077
cd -- "$1"; [ ! -e jobs/"$2"/job.json ] || { echo "has a job $2 already." >&2; exit 1; }
mkdir -p -- jobs/"$2"/known; mkdir "known.$$"; tar -xf - -C "known.$$"
mv -f -- "known.$$"/* jobs/"$2"/known; rmdir "known.$$"
"""


def new_name(now: datetime.datetime) -> str:
    """Return a job's name for a person who gives none."""
    return f"search-{now:%Y%m%d-%H%M%S}"


def check_words(words: Sequence[str], *, split: bool) -> None:
    """Check that the fleet can run a command.

    Raises:
        FleetError: if it is empty, or has options that the fleet sets itself: the folders of
            results, and the part of a box.
    """
    if not words:
        raise FleetError(BEHIND_DASHES)
    search = words[: words.index("--")] if "--" in words else words  # behind it is the training's
    for word in search:
        option = word.split("=", 1)[0].replace("_", "-")
        if option in _OURS or (split and option in _SPLITS):
            raise FleetError(f"leave {option} out: the fleet adds it on each box.")


def start(box: RemoteBox, *, name: str, words: Sequence[str]) -> str:
    """Start a search; return what runs now.

    Raises:
        HostError: if the box is not set up, or busy.
    """
    return _start(box, {"name": name, "words": list(words), "resume": False})


def start_part(box: RemoteBox, part: Part, words: Sequence[str]) -> str:
    """Start a box's part of a search, which may be all of it; return what runs now.

    Raises:
        HostError: as `start`.
    """
    if part.count == 1:
        return start(box, name=part.name, words=words)
    return _start_split(box, part, words, ["--shard", f"{part.number}/{part.count}"])


def finish(box: RemoteBox, one: HostStatus, journals: Sequence[Path]) -> str:
    """Start the finals of the search of which this box had a part; return what runs now.

    It gets the parts' journals and does the rest: what no part explored, finals, soak, profile.

    Raises:
        HostError: as `start`.
    """
    assert one.part is not None
    assert one.job is not None
    name = one.part.finals.job_name
    known = {"-".join(path.parts[-4:-2]) + ".log": path.read_bytes() for path in journals}
    box.shell(_UNPACK_KNOWN, box.host.folder, name, stdin=_tar(known), timeout_s=300)
    there = [f"../jobs/{name}/known/{file}" for file in known]  # it runs in the code folder
    own = _own_words(one.part, one.job.words, one.job.own_words)
    return _start_split(box, one.part.finals, own, [_KNOWN, *there])


def resume(box: RemoteBox, *, name: str | None) -> str:
    """Resume the box's latest search, or the one of this name.

    Raises:
        HostError: if there is none, or it runs.
    """
    if name is None:
        job = box.status().job
        if job is None:
            raise HostError(box.host, "has no search to resume.")
        name = job.name
    return _start(box, {"name": name, "words": None, "resume": True})


def take_over(box: RemoteBox, pulled: Path) -> str:
    """Resume on this box the search of another, whose results were pulled to `pulled`.

    It gets every trial that was pulled. If this box is of another class, it ends at once with a
    sentence in its log. Its name tells the lost box, as the same job may run on this one.

    Raises:
        FleetError: if there is no pulled search, or a secret of its command is not in this
            environment: what is pulled has none.
        HostError: if this box is not set up, busy, has a job of that name, or lacks a file of it.
    """
    if not (pulled / "run" / "journal.log").is_file() or not (pulled / "job.json").is_file():
        raise FleetError(f"{pulled} holds no pulled search (no job.json and run/journal.log).")
    there = box.status()
    current = there.job
    if current is not None and current.state == "running":  # else it is left with what it refuses
        raise HostError(
            box.host, f"already runs the job {current.name}: wait, or end it by `down`."
        )
    if there.deadman is not None and there.deadman.is_stopping:
        raise HostError(box.host, STOPPING)
    files = {name: pulled / name for name in _CARRIED if (pulled / name).is_file()}
    carried = {name: path.read_bytes() for name, path in files.items()}
    request = _with_secrets(json.loads(carried["job.json"]), pulled)
    send.require(box, request["words"])
    part = Part.of(request.get("split"))
    if part is not None and part.number is None:  # what those journals held is in its own by now
        request["words"] = _own_words(part, request["words"], request.get("own_words"))
    request["started_at"] = time.time()  # on this box
    carried["job.json"] = json.dumps(request).encode()
    source = pulled.resolve()
    name = re.sub(r"[^A-Za-z0-9_-]", "-", f"{source.name}-from-{source.parent.name}")
    name = name[-_LONGEST_NAME:].lstrip("-_")
    box.shell(_UNPACK, box.host.folder, name, stdin=_tar(carried), timeout_s=300)
    return _start(box, {"name": name, "words": None, "resume": True})


def _with_secrets(request: Mapping[str, Any], pulled: Path) -> dict[str, Any]:
    """Return a pulled request, whose secrets the box has masked, with those of this environment."""
    commands = {key: request.get(key) for key in ("words", "own_words")}
    try:
        found = {
            key: with_secret_words(words, os.environ) for key, words in commands.items() if words
        }
    except KeyError as error:
        [name] = error.args
        raise FleetError(
            f"the command of {pulled} had a secret, {name}, which is masked in all that is pulled: "
            f"set the variable {name} here (export {name}=...), and submit again."
        ) from None
    return {**request, **found}


def _start_split(box: RemoteBox, part: Part, own: Sequence[str], added: Sequence[str]) -> str:
    """Start a part by the person's `own` words and those that the fleet adds behind them."""
    request = {
        "name": part.job_name,
        "words": with_options(own, added),
        "own_words": list(own),
        "resume": False,
        "split": dataclasses.asdict(part),
    }
    return _start(box, request)


def _own_words(part: Part, words: Sequence[str], own: Sequence[str] | None) -> list[str]:
    """Return the person's own words of a part's command.

    A box of an earlier version keeps the whole command alone: there they are cut out of it.
    """
    if own is not None:
        return list(own)
    return list(words[: words.index(_KNOWN)] if part.number is None else words[:-2])


def _start(box: RemoteBox, request: Mapping[str, Any]) -> str:
    try:
        words = box.ask("start", request)["words"]
    except UnreachableError:  # it may have started
        status.forget(box)
        raise
    status.forget(box)
    return shlex.join(without_secret_words(words))


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
