"""`watch --end-rent`: a box ends its own rent once its search is over and its results are here."""

import dataclasses
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.box.bundle import TOO_LARGE
from cluster.errors import FleetError
from cluster.fleet import split, status
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError
from cluster.fleet.status import HostStatus

_STOPPING_S = 20.0
"""The time in which a stop command tells that it failed, or takes the box away."""

_POLL_S = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RentEnd:
    """The end of a box's rent in words; with `ends` its stop command ran."""

    ends: bool
    text: str


def require_stop_commands(boxes: Sequence[RemoteBox]) -> None:
    """Require that all boxes can end their rent.

    Raises:
        FleetError: naming those that cannot.
    """
    without = [box.host.name for box in boxes if not box.host.stop_command]
    if without:
        raise FleetError(
            f"--end-rent: the hosts file has no stop_command for {', '.join(without)}, which a box "
            "runs to end its rent. See cluster/hosts.example.toml."
        )


def is_due(one: HostStatus, seen: Sequence[HostStatus]) -> bool:
    """Return whether a box's search is over: of a shared one, when its finals have ended.

    A search that a person ended may be gone on with there.
    """
    if one.problem is not None or one.job is None or one.is_running or one.state == "stopped":
        return False
    return one.part is None or split.has_profile(one, seen)


def end(box: RemoteBox, out: Path) -> RentEnd:
    """Have a box end its rent now, by its dead-man, which goes on until the box stops.

    Files that are too large to be brought home keep it.
    """
    host = box.host
    kept = [path for path in (out / host.name).glob(f"*/{TOO_LARGE}") if path.read_text().strip()]
    if kept:
        return RentEnd(
            ends=False, text=f"{host.name}  its rent goes on: what {kept[0]} names is only there."
        )
    try:
        box.ask("end_rent", {"stop_command": list(host.stop_command)})
    except HostError as error:
        return RentEnd(ends=False, text=f"{host.name}  its rent goes on: {error}")
    code = _exit_code(box)
    if code:
        command = shlex.join(host.stop_command)
        return RentEnd(
            ends=False,
            text=f"{host.name}  STILL PAID: its stop command fails with exit code {code}, and is "
            f"repeated: {command}",
        )
    return RentEnd(
        ends=True,
        text=f"{host.name}  its search is over and its results are here: it ends its rent.",
    )


def _exit_code(box: RemoteBox) -> int | None:
    """Return the exit code of the stop command; `None` if the box was gone before it told."""
    give_up_at = time.monotonic() + _STOPPING_S
    while time.monotonic() < give_up_at:
        seen = status.read(box)
        if seen.problem is not None:
            return None
        deadman = None if seen.answer is None else seen.answer.deadman
        fired = None if deadman is None else deadman.fired
        if fired is not None and fired.stop_exit_code is not None:
            return fired.stop_exit_code
        time.sleep(_POLL_S)
    return None
