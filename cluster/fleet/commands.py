"""Commands of the fleet: each is a dataclass of its options with a method `run`."""

import dataclasses
import datetime
import json
import secrets
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from cluster.errors import FleetError
from cluster.fleet import down, parallel, pull, send, split, status, status_view, submit, up, watch
from cluster.fleet.hosts import read
from cluster.fleet.offers import gpuhunt, offers, page, prices, profiles
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import StateFolder
from cluster.node import deadman, source
from cluster.node.arguments import with_options
from cluster.pages.units import dollars

Out = Annotated[Path, tyro.conf.arg(aliases=["-o"])]
_LONGEST_PAUSE_S = 24 * 3600
_LONGEST_SPLIT = 73  # what finishes the search is called NAME-finals, and a box takes 80


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Fleet:
    hosts: Path = Path("hosts.toml")
    """The boxes; see cluster/hosts.example.toml."""
    only: tuple[str, ...] = ()
    """Names of hosts; all of the file's if left out."""

    def boxes(self) -> list[RemoteBox]:
        """Return the boxes that --hosts and --only name."""
        hosts = read(self.hosts, only=self.only)
        state = StateFolder.beside(self.hosts)
        return [RemoteBox.of(host, state) for host in hosts]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Priced(_Fleet):
    prices: Path | None = None
    """Dollars an hour of one GPU, by class; see cluster/prices.example.toml."""
    price: tuple[str, ...] = ()
    """The same by hand: rtx-4090=0.69. Comes before the files."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpCommand(_Fleet):
    """Set the boxes up: check, send the code, install, preflight. May be repeated."""

    max_hours: float | None = None
    """Arm the dead-man: after so many hours it ends the job and runs the host's stop_command."""
    accept_new: bool = False
    """Pin host keys that are seen for the first time without asking."""
    python: str | None = None
    """An interpreter on the boxes that has the environment already; nothing is installed."""
    dashboard: bool = False
    """Also install what Ray's dashboard needs, for `submit --dashboard`."""

    def run(self) -> int:
        """Bring all boxes up, side by side; one by one if there are host keys to ask about."""
        if self.max_hours is not None and not 0 < self.max_hours <= deadman.LONGEST_H:
            limits = f"positive and at most {deadman.LONGEST_H} (30 days)"
            raise FleetError(f"--max-hours must be {limits}, got {self.max_hours:g}.")
        boxes = self.boxes()
        code = up.pack(source.ROOT)
        accept: Literal["ask", "accept-new", "refuse"] = "ask" if sys.stdin.isatty() else "refuse"
        if self.accept_new:
            accept = "accept-new"

        def bring_up(box: RemoteBox) -> None:
            up.bring_up(
                box,
                code,
                accept=accept,
                max_hours=self.max_hours,
                python=self.python,
                dashboard=self.dashboard,
                say=parallel.sayer(box),
            )

        asks = accept == "ask" and not all(box.connection.is_pinned() for box in boxes)
        return parallel.report_each(boxes, bring_up, num_threads=1 if asks else None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmitCommand(_Fleet):
    """Start a search on each box; the command stands behind --. It outlives this laptop."""

    name: str | None = None
    """The job's name; by default search-DATE-TIME."""
    split: bool = False
    """Boxes of one class explore a part each; `watch` has one of them finish the search."""
    resume: bool = False
    """Go on with the latest search of each box, or with --name."""
    take_over: Path | None = None
    """Go on with a lost box's search: the folder that was pulled, OUT/HOST/JOB."""
    send: tuple[Path, ...] = ()
    """Files to carry to the boxes, such as bars; name each behind -- by the same path."""
    dashboard: bool = False
    """Start Ray's dashboard, on the box's loopback; `watch --dashboard` reaches it."""

    def run(self, words: Sequence[str]) -> int:
        """Start all searches."""
        self._check(words)
        parcels = send.pack(self.send)
        words = send.address(words, parcels) if words else words
        boxes = self.boxes()
        if self.take_over is not None and (len(boxes) != 1 or self.resume):
            raise FleetError("--take-over goes on on one box: choose it with --only NAME.")
        name = self.name or submit.new_name(datetime.datetime.now(datetime.UTC))
        words = with_options(words, ["--dashboard"] * self.dashboard)
        seen = parallel.each(boxes, status.read) if self.split else []
        submission = secrets.token_hex(8)

        def start(box: RemoteBox) -> None:
            send.send(box, parcels)
            if self.take_over is not None:
                running = submit.take_over(box, self.take_over)
            elif self.resume:
                running = submit.resume(box, name=self.name)
            elif self.split:
                part = split.part_of(box.host, seen, name=name, submission=submission)
                running = f"{part}: {submit.start_part(box, part, words)}"
            else:
                running = submit.start(box, name=name, words=words)
            parallel.sayer(box)(f"runs {running}")

        return parallel.report_each(boxes, start)

    def _check(self, words: Sequence[str]) -> None:
        again = self.resume or self.take_over is not None
        if again and words:
            raise FleetError("a resumed search has its command already: leave out what follows --.")
        if again and self.split:
            raise FleetError("--split is for a new search: a resumed one keeps its parts.")
        if not again:
            submit.check_words(words, split=self.split)
        if self.split and len(self.name or "") > _LONGEST_SPLIT:
            raise FleetError(f"--split takes a --name of at most {_LONGEST_SPLIT} characters.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WatchCommand(_Priced):
    """Watch the searches and bring results home while they run; start it again at any time."""

    out: Out = Path("profiles")
    """Folder for results: OUT/HOST/JOB."""
    every: float = 15.0
    """Seconds between two looks."""
    lost_after: float = 900.0
    """Seconds of silence after which a box is given up; the others are watched on."""
    dashboard: bool = False
    """Open SSH tunnels to the dashboards and print their URLs."""
    end_rent: bool = False
    """Have each box run its stop_command once its search is over and its results are here."""

    def run(self) -> int:
        """Watch to the end; return 0 if every search has a profile, and its rent ends if asked."""
        if not 0 < self.every <= _LONGEST_PAUSE_S:
            limits = f"above 0 and at most {_LONGEST_PAUSE_S} seconds"
            raise FleetError(f"--every must be {limits}, got {self.every}.")
        if not self.lost_after > 0:  # NaN is not either, and no box would ever be given up
            raise FleetError(f"--lost-after must be above 0 seconds, got {self.lost_after}.")
        boxes, table = self.boxes(), prices.read(self.prices, self.price)
        seen = watch.watch(
            boxes,
            is_whole=not self.only,
            prices=table,
            out=self.out,
            every_s=self.every,
            lost_after_s=self.lost_after,
            dashboard=self.dashboard,
            end_rent=self.end_rent,
        )
        print("\n".join([*watch.losses(seen, self.out), *status_view.money(seen, table)]))
        have_ended = all(one.ends_rent for one in seen) or not self.end_rent
        return 0 if have_ended and watch.have_profiles(seen, self.out) else 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatusCommand(_Priced):
    """Look once, and say what every box costs and how to end its rent."""

    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the status; return 1 if a box gives none."""
        boxes, table = self.boxes(), prices.read(self.prices, self.price)
        seen = parallel.each(boxes, status.read)
        if self.json:
            print(json.dumps([status_view.to_dict(one, table) for one in seen], indent=1))
        elif sys.stdout.isatty():
            Console().print(status_view.render(seen, table))
        else:
            print("\n".join(status_view.line(one, table) for one in seen))
        if not self.json:
            print("\n".join(status_view.money(seen, table)))
        return 0 if all(one.problem is None for one in seen) else 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PullCommand(_Fleet):
    """Bring results home; files that are here already are not sent again."""

    out: Out = Path("profiles")
    """Folder for results: OUT/HOST/JOB."""

    def run(self) -> int:
        """Pull from all boxes."""

        def bring(box: RemoteBox) -> None:
            parallel.sayer(box)(str(pull.pull(box, self.out)))

        return parallel.report_each(self.boxes(), bring)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportCommand(_Priced):
    """Compare the pulled profiles: one per GPU class, and which class to rent."""

    out: Out = Path("profiles")
    """Folder where `pull` put the results; each class's profile is copied here."""
    kind: Literal["fastest", "balanced", "lean", "learning"] = "fastest"
    """The kind of profiles to compare."""
    html: Path | None = None
    """The same for a browser, in one file; OUT/report.html unless set."""
    gpuhunt: bool = False
    """Fetch the cheapest offer of each class without a price, by the package gpuhunt."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print a table and a sentence per task; copy the profiles; write the page."""
        hosts = read(self.hosts, only=self.only)
        table = prices.read(self.prices, self.price)
        results = profiles.read_all(self.out, kind=self.kind)
        if self.gpuhunt:
            found = {(offers.host_of(one, hosts), one.machine_class) for one in results}
            table = self._with_quotes(table, {name for at, name in found if not table.of(at, name)})
        tasks = {
            task: offers.offers(of_task, hosts, table)
            for task, of_task in profiles.by_task(results).items()
        }
        titles = profiles.titles(
            {task: ranked[0].profile.options for task, ranked in tasks.items()}
        )
        for task, ranked in tasks.items():
            paths = offers.publish(
                ranked, self.out, suffix=offers.suffix(task) if len(tasks) > 1 else ""
            )
            if self.json:
                print(json.dumps(offers.to_dict(ranked, task)))
                continue
            shown = offers.render(ranked, titles[task])
            Console(width=None if sys.stdout.isatty() else 160).print(shown)
            print("\n".join(f"profile: {path}" for path in paths))
            print(offers.advice(ranked))
        path = page.write(tasks, self.html or self.out / "report.html", kind=self.kind)
        if not self.json:
            print(f"page: {path}")
        return 0

    def _with_quotes(self, table: prices.Prices, classes: Collection[str]) -> prices.Prices:
        found = gpuhunt.quotes(sorted(classes))
        for name, quote in found.items():
            told = f"gpuhunt: {name} from {dollars(quote.price)} an hour at {quote.provider}"
            print(f"{told} ({quote.location})", file=sys.stderr)
        return dataclasses.replace(table, fetched={name: q.price for name, q in found.items()})


@dataclasses.dataclass(frozen=True, kw_only=True)
class DownCommand(_Fleet):
    """End the searches, pull a last time, and print the commands that end the rent."""

    out: Out = Path("profiles")
    """Folder for the last results."""
    remove: bool = False
    """Also remove the fleet's folder from the boxes."""

    def run(self) -> int:
        """Take all boxes down."""
        boxes = self.boxes()

        def take_down(box: RemoteBox) -> None:
            down.take_down(box, out=self.out, remove=self.remove, say=parallel.sayer(box))

        code = parallel.report_each(boxes, take_down)
        print("The boxes themselves still cost money until you run:")
        for box in boxes:
            print(f"  {box.host.destroy_command}")
        return code
