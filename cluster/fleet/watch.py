"""`watch`: look at all boxes again and again, and bring results home meanwhile."""

import contextlib
import dataclasses
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cluster.fleet import finish, pull, split, status, status_view
from cluster.fleet import parallel as together
from cluster.fleet.offers.prices import Prices
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError, UnreachableError
from cluster.fleet.status import HostStatus


class Tunnels:
    """SSH tunnels to the dashboards of boxes, one each, opened when there is one to reach."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, int, subprocess.Popen[bytes]]] = {}

    def follow(self, box: RemoteBox, seen: HostStatus) -> str | None:
        """Keep the tunnel to this box's dashboard; say its URL here when it is new."""
        job = seen.job if seen.is_running and seen.reachable else None
        url = None if job is None else job.dashboard_url
        remote_port = None if url is None else urlsplit(url).port
        if remote_port is None:
            return None
        name = box.host.name
        known = self._open.get(name)
        if known is not None and known[1] == remote_port and known[2].poll() is None:
            return None
        self._end(name)
        local_port = _free_port() if known is None else known[0]  # bookmarks stay good
        self._open[name] = (
            local_port,
            remote_port,
            box.connection.forward(local_port, remote_port),
        )
        return f"{name}  Ray's dashboard: http://127.0.0.1:{local_port}"

    def close(self) -> None:
        """End all tunnels."""
        for name in list(self._open):
            self._end(name)

    def _end(self, name: str) -> None:
        if name in self._open:
            _, _, process = self._open.pop(name)
            with process:  # which also closes its stdin
                process.terminate()


def watch(
    boxes: Sequence[RemoteBox],
    *,
    is_whole: bool,
    prices: Prices,
    out: Path,
    every_s: float,
    lost_after_s: float,
    dashboard: bool,
) -> list[HostStatus]:
    """Watch until no box runs a job that can still be heard of; return how it ended.

    A box that has been silent for `lost_after_s` is given up here, and only here: on the box, the
    job and the dead-man go on. Searches that boxes share are finished on the way; `is_whole` says
    that these are all boxes there are.
    """
    silence = _Silence(lost_after_s)
    with _screen(prices) as (show, say), contextlib.closing(Tunnels()) as tunnels:
        while True:
            seen, news = map(
                list, zip(*together.each(boxes, lambda box: _look(box, out)), strict=True)
            )
            if dashboard:
                news += map(tunnels.follow, boxes, seen)
            show(seen)
            lost = {one.host.name for one in seen if silence.is_lost(one)}
            started, problems = finish.finish(boxes, seen, lost=lost, is_whole=is_whole, out=out)
            pending = [one for one in seen if _pending(one) and one.host.name not in lost]
            is_over = not started and not pending
            for text in filter(None, [*news, *started, *problems * is_over]):
                say(text)
            if is_over:
                return seen
            time.sleep(every_s)


def losses(seen: Sequence[HostStatus], out: Path) -> list[str]:
    """What became of boxes that were given up, and what a person can do."""
    lines = []
    for one in seen:
        if not one.reachable:
            finished = one.part is not None and split.has_profile(one, seen)
            then = "go on elsewhere with submit --take-over"
            then = "another box has finished its search" if finished else then
            kept = f"its results until then are in {out / one.host.name}"
            lines.append(f"{one.host.name}  node lost: {kept}; {then}.")
    return lines


class _Silence:
    """For how long each box has not been heard of."""

    def __init__(self, lost_after_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._since: dict[str, float] = {}

    def is_lost(self, seen: HostStatus) -> bool:
        if seen.reachable:
            self._since.pop(seen.host.name, None)
            return False
        now = time.monotonic()
        return now - self._since.setdefault(seen.host.name, now) >= self._lost_after_s


def _pending(seen: HostStatus) -> bool:
    """Whether there is something to wait for: a job, or a box that may run one."""
    return seen.is_running or not seen.reachable


def _look(box: RemoteBox, out: Path) -> tuple[HostStatus, str | None]:
    """Ask and pull; return what was answered, and what a person should know of the pull.

    The pull comes after the question: where that says that the job has ended, all is here. A box
    whose link broke meanwhile is one that cannot be reached, whatever it said.
    """
    seen = status.read(box)
    if seen.problem is not None:
        return seen, None
    try:
        pulled = pull.pull(box, out)
    except UnreachableError as error:
        return dataclasses.replace(seen, problem=str(error), reachable=False), None
    except HostError as error:
        return seen, str(error)
    new = [str(path) for path in pulled.profiles]
    return seen, f"{box.host.name}  pulled {', '.join(new)}" if new else None


@contextlib.contextmanager
def _screen(
    prices: Prices,
) -> Iterator[tuple[Callable[[Sequence[HostStatus]], None], Callable[[str], None]]]:
    """A live table on a terminal; elsewhere a line for each change."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        last: dict[str, str] = {}

        def print_changes(seen: Sequence[HostStatus]) -> None:
            for one in seen:
                # What only counts up or down is no change.
                cells = status_view.cells(one, prices)
                key = "|".join((*cells[:6], cells[8].split("; last seen")[0]))
                if last.get(one.host.name) != key:
                    last[one.host.name] = key
                    print(status_view.line(one, prices), flush=True)

        yield print_changes, lambda text: print(text, flush=True)
        return
    from rich.live import Live

    with Live(console=console, refresh_per_second=2) as live:
        yield (
            lambda seen: live.update(status_view.render(seen, prices)),
            lambda text: live.console.print(text, markup=False, highlight=False),
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
