"""`up`: set up a bare box step by step, or refuse it in one sentence."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any, Literal

from cluster.box.answer import BoxStatus
from cluster.errors import FleetError
from cluster.fleet import probe
from cluster.fleet.parallel import Sayer
from cluster.fleet.remote import BareError, RemoteBox
from cluster.fleet.ssh import HostError, UnreachableError
from cluster.node import stop_program
from cluster.node.deadman import DeadmanStatus
from cluster.node.hardware import Machine, machine_class
from cluster.pages.units import duration
from cluster.structure import structure

_PROBE = Path(__file__).with_name("probe.sh")
_INSTALL_S = 1800.0
_PREFLIGHT_S = 120.0

# The new tree is complete before it takes the old one's place. A folder that holds anything is the
# fleet's if it tells the interpreter and has the code, be it where a broken-off `swap` left it.
_UNPACK = """
set -e; umask 077
mkdir -p -- "$1"; cd -- "$1"
other=$(ls -A | grep -vx -e code.new -e lock | head -n 1)
if [ "$other" ] && ! { [ -f python ] && ls -d code*/cluster/box > /dev/null 2>&1; }; then
  echo "the folder $1 is not the fleet's alone, $other is in it: nothing there was changed." \
    "Name one of its own in the hosts file: folder = \\"$1/rl-tuner\\"." >&2
  exit 1
fi
chmod 700 .
rm -rf code.new; mkdir code.new; tar -xf - -C code.new
"""
_SWAP = 'cd -- "$1"/code.new && exec "$2" -m cluster.box swap'
_INSTALL = ("make", "--no-print-directory", "setup")
_PIP = (".venv/bin/python", "-m", "pip", "install", "--quiet")
_INSTALL_DASHBOARD = (*_PIP, "--editable", ".[dashboard]")
_CHECK_PYTHON = 'exec "$1" -c "import sys; sys.exit(sys.version_info < (3, 11))"'
_PREFLIGHT = 'cd -- "$1"/code && exec "$2" -m tune.preflight --json'
_VENV_PYTHON = 'cd -- "$1"/code && printf %s "$PWD/.venv/bin/python"'


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The repository's tree at HEAD as a tar, and the number of files that differ from it."""

    revision: str
    num_changed: int
    tar: bytes


def pack(root: Path) -> Code:
    """Archive HEAD of the repository at `root`.

    Raises:
        FleetError: if it is no git repository, or has no commit.
    """
    git = ["git", "-C", str(root)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, check=True)
        archive = [*git, "archive", "--format=tar", "HEAD"]
        tar = subprocess.run(archive, capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise FleetError("git is not installed: code travels as `git archive HEAD`.") from error
    except subprocess.CalledProcessError as error:  # no checkout, no commit, or another's folder
        said = " ".join(error.stderr.decode(errors="replace").split())
        raise FleetError(
            f"{root} cannot travel as `git archive HEAD`; git says: {said:.300}"
        ) from error
    return Code(
        revision=head.stdout.decode().strip(),
        num_changed=len(changed.stdout.splitlines()),
        tar=tar,
    )


def bring_up(
    box: RemoteBox,
    code: Code,
    *,
    accept: Literal["ask", "accept-new", "refuse"],
    max_hours: float | None,
    python: str | None,
    dashboard: bool,
    say: Sayer,
) -> None:
    """Set one box up; every step may be repeated.

    The dead-man is armed as soon as there is code to do it: the rent runs already.

    Raises:
        HostError: if it cannot be set up; says what is missing and what to do.
    """
    _connect(box, accept, say)
    seen = _probe(box)
    known = _known(box)
    if known is not None:
        _arm(box, max_hours, known.deadman, say)
        if known.job is not None and known.job.state == "running":
            name = known.job.name
            say(f"runs the job {name}: its code and environment stay as they are; `down` ends it")
            return
    given = python or box.host.python
    problem = probe.judge(seen, has_environment=given is not None)
    if problem is not None:
        raise HostError(box.host, problem)
    if given is not None:
        _check_python(box, given)
    say(probe.describe(seen))
    for note in probe.cautions(seen):
        say(f"note: {note}")
    box_python = given or probe.choose_python(seen)
    _send(box, code, box_python, say)
    if known is None or max_hours is not None:  # from here on by the code that was sent
        _arm(box, max_hours, None, say)
    _install(box, given, dashboard, say)
    job_python = given or box.shell(_VENV_PYTHON, box.host.folder).decode()
    machine = _preflight(box, job_python, say)
    known_class = machine_class(machine)
    box.ask(
        "ready",
        {"python": job_python, "revision": code.revision, "machine_class": known_class},
    )
    say(f"ready: {known_class}")


def _connect(box: RemoteBox, accept: Literal["ask", "accept-new", "refuse"], say: Sayer) -> None:
    connection = box.connection
    if not connection.is_pinned() and accept != "refuse":
        connection.first_use(accept)
        say(f"pinned its host key in {connection.state.known_hosts(box.host)}")
    printed = connection.run(["true"], timeout_s=30).stdout.decode(errors="replace").strip()
    if printed:  # in front of every answer, and of all results
        first = printed.splitlines()[0]
        raise HostError(
            box.host,
            f"its shell prints {first!r:.80} also where no terminal is, which would stand in all "
            "answers: let its ~/.bashrc, or what else prints it, do so at a terminal alone "
            "([ -t 1 ] && ...).",
        )
    say(f"reached {box.host.user}@{box.host.address} port {box.host.port}")


def _probe(box: RemoteBox) -> probe.BoxFacts:
    printed = box.shell(_PROBE.read_text(), box.host.folder).decode(errors="replace")
    try:
        return probe.parse(printed)
    except FleetError as error:
        raise HostError(box.host, str(error)) from error


def _check_python(box: RemoteBox, python: str) -> None:
    words = ["sh", "-c", _CHECK_PYTHON, "sh", python]
    done = box.connection.run(words, timeout_s=30)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["older than 3.11"]
        raise HostError(box.host, f"{python} is no Python 3.11 or newer there: {said[-1]}")


def _known(box: RemoteBox) -> BoxStatus | None:
    """Return the status of a box that was set up before, `None` of a bare one.

    Raises:
        HostError: if it does not tell: a search may run from the code that would be replaced.
    """
    try:
        return box.status()
    except BareError:
        return None
    except UnreachableError:
        raise
    except HostError as error:
        said = str(error).removeprefix(f"{box.host.name}: ").rstrip(".")
        raise HostError(
            box.host,
            f"does not tell if a search runs ({said}), so its code stays: run `up` again. If none "
            f"runs and this stays so, remove the folder {box.host.folder} there.",
        ) from error


def _send(box: RemoteBox, code: Code, python: str, say: Sayer) -> None:
    box.shell(_UNPACK, box.host.folder, stdin=code.tar, timeout_s=300)
    request = json.dumps({"python": python}).encode()
    box.shell(_SWAP, box.host.folder, python, stdin=request)
    changed = f"; {code.num_changed} changed files do not travel" * (code.num_changed > 0)
    say(f"code of {code.revision[:12]} is there{changed}")


def _arm(
    box: RemoteBox, max_hours: float | None, deadman: DeadmanStatus | None, say: Sayer
) -> None:
    """Set the dead-man's deadline; without hours, say which one holds of the `deadman` there."""
    if max_hours is None:
        say(f"note: no --max-hours, so {_ends(deadman)}.")
        return
    box.ask("arm", {"hours": max_hours, "stop_command": list(box.host.stop_command)})
    then = (
        f"then runs {' '.join(stop_program.shown(box.host.stop_command))}"
        if box.host.stop_command
        else ("but the rent goes on: no stop_command in the hosts file")
    )
    say(f"dead-man armed: ends the job in {duration(max_hours * 3600)}, {then}")


def _ends(deadman: DeadmanStatus | None) -> str:
    """Return what ends a box's rent whose dead-man is left as it is."""
    if deadman is None or not deadman.alive or (deadman.fired and not deadman.stops_instance):
        return "nothing ends this box's rent but you"
    if deadman.fired:
        return "the dead-man of before, whose time was up, goes on to end the rent, every minute"
    rent = "the job and the rent" if deadman.stops_instance else "the job, not the rent,"
    return f"the dead-man of before ends {rent} in {duration(max(deadman.left_s, 0.0))}"


def _install(box: RemoteBox, given: str | None, dashboard: bool, say: Sayer) -> None:
    if given is not None:
        say(f"environment: {given}, as it is")
        return
    say("environment: make setup (minutes the first time)")
    box.ask("install", {"words": _INSTALL}, timeout_s=_INSTALL_S)
    if dashboard:
        say("environment: what Ray's dashboard needs")
        box.ask("install", {"words": _INSTALL_DASHBOARD}, timeout_s=_INSTALL_S)


def _preflight(box: RemoteBox, python: str, say: Sayer) -> Machine:
    words = ["sh", "-c", _PREFLIGHT, "sh", box.host.folder, python]
    done = box.connection.run(words, timeout_s=_PREFLIGHT_S)
    try:
        verdict: dict[str, Any] = json.loads(done.stdout)
        machine = structure(Machine, verdict["findings"]["machine"], "machine")
    except (ValueError, KeyError) as error:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise HostError(box.host, f"the preflight did not run: {said[-1]}") from error
    if not verdict["fit"]:
        raise HostError(box.host, f"preflight: {verdict['meaning']}")
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    say(f"Python {machine.python}, driver {machine.driver_version or 'none'}, {versions}")
    say(f"preflight: {verdict['meaning']}")
    return machine
