"""`watch`: ask all boxes again and again, and bring their results home."""

import contextlib
import dataclasses
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live

from cluster.fleet import finish, parallel, pull, rent, status, status_view
from cluster.fleet.offers.prices import Prices
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError
from cluster.fleet.status import HostStatus
from cluster.node.stdout import lasting


class Tunnels:
    """SSH tunnels to the dashboards of boxes, one for each dashboard that runs."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, int, subprocess.Popen[bytes]]] = {}

    def follow(self, box: RemoteBox, seen: HostStatus) -> str | None:
        """Open the tunnel to this box's dashboard if need be; return a line if its URL is new."""
        job = seen.job if seen.is_running and seen.reachable else None
        remote_port = None if job is None else _port(job.dashboard_url or "")
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
    end_rent: bool = False,
) -> list[HostStatus]:
    """Watch until no box that answers runs a job; return the last statuses.

    A box that has been silent for `lost_after_s` seconds is waited for no longer; its job and its
    dead-man may go on there. The finals of shared searches are started on the way; `is_whole`
    says that these are all boxes of the fleet. With `end_rent` each box ends its rent once its
    search is over and its results are here; it is asked no more then. While that fails, it is
    asked again for `lost_after_s` seconds.

    Raises:
        FleetError: if a box has no command for that.
    """
    if end_rent:
        rent.require_stop_commands(boxes)
    silence, rents = _Silence(lost_after_s), rent.Rents(lost_after_s)
    # Nobody may be there to read it any more when the rents are to end.
    stream = lasting(sys.stdout) if end_rent else sys.stdout
    with _screen(prices, stream) as (show, say), contextlib.closing(Tunnels()) as tunnels:
        while True:
            looks = parallel.each(boxes, lambda box: _look_unless(rents.ended, box, out))
            seen, news = [one for one, _ in looks], [line for _, line in looks]
            if dashboard:
                news += map(tunnels.follow, boxes, seen)
            show(seen)
            lost = {one.host.name for one in seen if silence.is_lost(one)}
            away = lost | rents.ended.keys()  # neither takes finals any more
            started, problems = finish.finish(boxes, seen, lost=away, is_whole=is_whole, out=out)
            pending = [one for one in seen if _pending(one) and one.host.name not in lost]
            is_over = not started and not pending
            if end_rent:
                news += rents.end_due(boxes, seen, is_last=is_over, is_whole=is_whole)
                is_over = is_over and not rents.has_to_ask_again
            if is_over:
                news += problems  # until then they may pass
                news += rents.left(seen) if end_rent else []
            for text in filter(None, [*news, *started]):
                say(text)
            if is_over:
                return [rents.ended.get(one.host.name, one) for one in seen]
            time.sleep(every_s)


def have_profiles(seen: Sequence[HostStatus], out: Path) -> bool:
    """Return whether the searches of all boxes have ended with profiles."""
    return all(finish.has_profile(one, out) for one in seen)


def losses(seen: Sequence[HostStatus], out: Path) -> list[str]:
    """Return a line for each box that was given up before its results were here, and what to do."""
    lines = []
    for one in seen:
        if not one.is_silent or one.is_home:
            continue
        if one.fails_here:
            said = str(one.problem).removeprefix(f"{one.host.name}: ")
            then = "its search may go on there: mend this, and `watch` again."
            lines.append(f"{one.host.name}  {said}; {then}")
        else:
            finished = one.part is not None and finish.has_profile(one, out)
            then = "go on elsewhere with submit --take-over"
            then = "another box has finished its search" if finished else then
            kept = f"its results until then are in {out / one.host.name}"
            lines.append(f"{one.host.name}  node lost: {kept}; {then}.")
    return lines


class _Silence:
    """The time since each box last answered."""

    def __init__(self, lost_after_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._since: dict[str, float] = {}

    def is_lost(self, seen: HostStatus) -> bool:
        if not seen.is_silent:
            self._since.pop(seen.host.name, None)
            return False
        now = time.monotonic()
        return now - self._since.setdefault(seen.host.name, now) >= self._lost_after_s


def _pending(seen: HostStatus) -> bool:
    """Return whether a box runs a job, or may run one and gives no answer."""
    return seen.is_running or seen.is_silent


def _look_unless(
    ended: Mapping[str, HostStatus], box: RemoteBox, out: Path
) -> tuple[HostStatus, str | None]:
    """Look at a box, but at none that was asked to end its rent."""
    known = ended.get(box.host.name)
    return _look(box, out) if known is None else (known, None)


def _look(box: RemoteBox, out: Path) -> tuple[HostStatus, str | None]:
    """Ask a box and pull; return its status, and a line for a person about the pull.

    The question comes first: once the answer says that the job has ended, the pull brings
    everything. A box whose pull fails is asked again, as one that gives no answer.
    """
    seen = status.read(box)
    if seen.problem is not None:
        return _with_home(seen, out), None
    try:
        pulled = pull.pull(box, out)
    except (HostError, OSError) as error:
        return _with_home(status.failed(seen, error), out), None
    new = ", ".join(map(str, pulled.profiles))
    said = [f"pulled {new}"] * bool(new) + pulled.warnings
    return seen, f"{box.host.name}  {'; '.join(said)}" if said else None


def _with_home(seen: HostStatus, out: Path) -> HostStatus:
    """Return the status of a box that gives no results now, with whether they are here already."""
    is_home = seen.job is not None and pull.has_end(seen.job, out / seen.host.name)
    return dataclasses.replace(seen, is_home=is_home)


@contextlib.contextmanager
def _screen(
    prices: Prices, stream: TextIO
) -> Iterator[tuple[Callable[[Sequence[HostStatus]], None], Callable[[str], None]]]:
    """Yield functions that show statuses and lines: a live table on a terminal, else lines."""
    console = Console(file=stream)
    if not console.is_terminal:
        last: dict[str, str] = {}

        def print_changes(seen: Sequence[HostStatus]) -> None:
            for one in seen:
                # What only counts up or down is no change.
                cells = status_view.cells(one, prices)
                key = "|".join((*cells[:6], cells[8].split("; last seen")[0]))
                if last.get(one.host.name) != key:
                    last[one.host.name] = key
                    print(status_view.line(one, prices), file=stream, flush=True)

        yield print_changes, lambda text: print(text, file=stream, flush=True)
        return
    with Live(console=console, refresh_per_second=2) as live:
        yield (
            lambda seen: live.update(status_view.render(seen, prices)),
            lambda text: live.console.print(text, markup=False, highlight=False),
        )


def _port(url: str) -> int | None:
    """Return the port of a URL, `None` where it has none; a box may send what is no URL."""
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
