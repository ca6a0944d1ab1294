"""The status of each box: its job, its dead-man, its cost."""

import contextlib
import dataclasses
import time
from pathlib import Path

from cluster.box.answer import BoxStatus, JobStatus
from cluster.fleet.hosts import Host
from cluster.fleet.offers.prices import Prices
from cluster.fleet.part import Part
from cluster.fleet.remote import BareError, RemoteBox
from cluster.fleet.ssh import AccessError, HostError, HostKeyError, UnreachableError
from cluster.node.atomic import read_json, write_json
from cluster.structure import structure_known

_PATIENCE_S = 12.0  # a box under load answers within two


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """A box's answer, `age_s` seconds ago: its last one where it gives none now.

    `refused` says that it never will before a person has mended something: it is not set up, or
    its key is not accepted, or, where no search runs, ours. `fails_here`: what failed is this
    machine. `ends_rent`: it was asked to end its rent, and has answered no more since. `is_home`:
    its job has ended by its last answer, and a pull has brought that end.
    """

    host: Host
    answer: BoxStatus | None
    age_s: float
    problem: str | None = None
    reachable: bool = True
    refused: bool = False
    fails_here: bool = False
    ends_rent: bool = False
    is_home: bool = False

    @property
    def is_silent(self) -> bool:
        """Tell whether a job may run there that is not seen now: to be asked again."""
        return self.problem is not None and not self.refused

    @property
    def job(self) -> JobStatus | None:
        """Job that was started last, `None` if there is none."""
        return None if self.answer is None else self.answer.job

    @property
    def machine_class(self) -> str | None:
        """Class of the box, `None` until `up` has found it."""
        ready = None if self.answer is None else self.answer.ready
        return None if ready is None else ready.machine_class

    @property
    def part(self) -> Part | None:
        """Part of a shared search that the job has, `None` if it is a whole search."""
        return None if self.job is None else Part.of(self.job.split)

    @property
    def is_running(self) -> bool:
        """Tell whether a job runs, by the last answer."""
        return self.job is not None and self.job.state == "running"

    @property
    def state(self) -> str:
        """State in one to three words."""
        if not self.reachable:
            return "unreachable"
        if self.problem is not None:
            return "problem"
        return self._job_state

    @property
    def _job_state(self) -> str:
        """State of the job by the last answer."""
        if self.job is None:
            return "no job"
        if self.job.exit is None or self.job.state != "ended":
            return self.job.state
        if self.job.exit.reason != "ended":
            return self.job.exit.reason
        is_part = self.part is not None and self.part.number is not None
        names = {0: "part done" if is_part else "done", 1: "nothing feasible", 130: "interrupted"}
        return names.get(self.job.exit.exit_code, "failed")

    @property
    def succeeded(self) -> bool:
        """Tell whether the job has ended with profiles; of a box that is gone they must be here."""
        return self._job_state == "done" and (self.problem is None or self.is_home)

    def cost(self, prices: Prices) -> float | None:
        """Return the US dollars since the box's first process began, `None` if not known."""
        price = prices.of(self.host, self.machine_class)
        age_s = None if self.answer is None else self.answer.machine_age_s
        return None if price is None or age_s is None else (age_s + self.age_s) / 3600 * price


def read(box: RemoteBox) -> HostStatus:
    """Ask a box for its status; a failure becomes the status's `problem` and is never raised."""
    last_seen = box.connection.state.last_seen(box.host)
    try:
        answer = box.status(timeout_s=_PATIENCE_S)
    except (HostError, OSError) as error:
        return failed(_last_seen(box.host, last_seen), error)
    kept = {"at": time.time(), "place": _place(box.host), "answer": dataclasses.asdict(answer)}
    with contextlib.suppress(OSError):  # it is only shown while the box is silent
        write_json(last_seen, kept)
    return HostStatus(host=box.host, answer=answer, age_s=0.0)


def forget(box: RemoteBox) -> None:
    """Forget what a box said last: a job was started since, and the one of before says nothing."""
    with contextlib.suppress(OSError):
        box.connection.state.last_seen(box.host).unlink(missing_ok=True)


def failed(seen: HostStatus, error: HostError | OSError) -> HostStatus:
    """Return a box's status with what a call to it failed of, there or on this machine."""
    here = "this machine fails: "
    said = str(error) if isinstance(error, HostError) else f"{seen.host.name}: {here}{error}"
    if isinstance(error, BareError) and seen.machine_class is not None:
        said = _emptied(seen)
    # Other failures pass: a search may have taken the box's last process, or its memory. So does
    # a key that is not let in any more: Vast's proxies say to try again after a few seconds.
    refused = isinstance(error, BareError | HostKeyError) or (
        isinstance(error, AccessError) and not seen.is_running
    )
    return dataclasses.replace(
        seen,
        answer=None if refused else seen.answer,
        problem=said,
        reachable=not isinstance(error, UnreachableError),
        refused=refused,
        fails_here=isinstance(error, OSError),
    )


def _emptied(seen: HostStatus) -> str:
    """Return the sentence on a box that was set up, by its last status, and has nothing now."""
    name = seen.host.name
    told = f"{name}: came back empty: all on it is gone, and nothing ends its rent but you"
    then = "run `up`, or end its rent"
    if seen.job is not None and seen.is_running:
        told += f"; of its search {seen.job.name} there is what was pulled"
        then = f"run `up`, then `submit --only {name} --take-over OUT/{name}/{seen.job.name}`"
    return f"{told}: {then}."


def _last_seen(host: Host, path: Path) -> HostStatus:
    """Return what a box said last.

    That is nothing if it was kept by another version of this program, or another box had its name.
    """
    nothing = HostStatus(host=host, answer=None, age_s=0.0)
    try:
        known = read_json(path)
        if known is None or known["place"] != _place(host):
            return nothing
        answer = structure_known(BoxStatus, known["answer"])
        age_s = max(time.time() - known["at"], 0.0)
    except (OSError, ValueError, KeyError, TypeError):
        return nothing
    return HostStatus(host=host, answer=answer, age_s=age_s)


def _place(host: Host) -> list[str | int]:
    """Return what tells a box from another that is rented under its name, as JSON has it."""
    return [host.address, host.port]
