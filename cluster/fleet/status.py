"""What each box does, has found and costs, and what to run so that it costs nothing any more."""

import dataclasses
import time

from cluster.box.answer import BoxStatus, JobStatus
from cluster.fleet.hosts import Host
from cluster.fleet.offers.prices import Prices
from cluster.fleet.part import Part
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError, UnreachableError
from cluster.node.atomic import read_json, write_json
from cluster.structure import structure_known

_PATIENCE_S = 12.0  # a box under load answers within two


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """What a box said, and when; where it cannot be reached, what it said last."""

    host: Host
    answer: BoxStatus | None
    age_s: float
    problem: str | None = None
    reachable: bool = True

    @property
    def job(self) -> JobStatus | None:
        """The job that was started last."""
        return None if self.answer is None else self.answer.job

    @property
    def machine_class(self) -> str | None:
        """The box's class, once `up` has found it."""
        ready = None if self.answer is None else self.answer.ready
        return None if ready is None else ready.machine_class

    @property
    def part(self) -> Part | None:
        """Which part the job is of a search that boxes share; `None` if it is a whole one."""
        return None if self.job is None else Part.of(self.job.split)

    @property
    def is_running(self) -> bool:
        """Whether a job runs, as far as is known."""
        return self.job is not None and self.job.state == "running"

    @property
    def state(self) -> str:
        """One word, or three."""
        if not self.reachable:
            return "unreachable"
        if self.problem is not None:
            return "problem"
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
        """Whether the job has ended with profiles."""
        return self.state == "done"

    def cost(self, prices: Prices) -> float | None:
        """Dollars since the box's first process began, `None` if the price or that is unknown."""
        price = prices.of(self.host, self.machine_class)
        age_s = None if self.answer is None else self.answer.machine_age_s
        return None if price is None or age_s is None else (age_s + self.age_s) / 3600 * price


def read(box: RemoteBox) -> HostStatus:
    """Ask a box; where it does not answer, say so beside what it said last. Never raises."""
    last_seen = box.connection.state.last_seen(box.host)
    try:
        answer = box.status(timeout_s=_PATIENCE_S)
    except UnreachableError as error:
        known = read_json(last_seen)
        return HostStatus(
            host=box.host,
            answer=None if known is None else structure_known(BoxStatus, known["answer"]),
            age_s=0.0 if known is None else max(time.time() - known["at"], 0.0),
            problem=str(error),
            reachable=False,
        )
    except HostError as error:
        return HostStatus(host=box.host, answer=None, age_s=0.0, problem=str(error))
    write_json(last_seen, {"at": time.time(), "answer": dataclasses.asdict(answer)})
    return HostStatus(host=box.host, answer=answer, age_s=0.0)
