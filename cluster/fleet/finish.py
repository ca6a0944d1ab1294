"""Finals of the searches that boxes share; `watch` starts them once all parts are over."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from cluster.fleet import split, status, submit
from cluster.fleet.part import Part, SharedSearch
from cluster.fleet.remote import RemoteBox
from cluster.fleet.ssh import HostError, UnreachableError
from cluster.fleet.status import HostStatus
from cluster.node.atomic import read_json


def finish(
    boxes: Sequence[RemoteBox],
    seen: Sequence[HostStatus],
    *,
    lost: Collection[str],
    is_whole: bool,
    out: Path,
) -> tuple[list[str], list[str]]:
    """Start the finals of each shared search whose parts are over and pulled to `out`.

    The leaders of all parts are measured again on that one box, so no profile compares boxes.
    Return a line for each that was started, and one for each that will not be finished.
    """
    started: list[str] = []
    problems: list[str] = []
    # A box that is silent since before it was first seen may have a part, too.
    is_whole = is_whole and all(not one.is_silent or one.host.name in lost for one in seen)
    for search, members in split.searches(seen).items():
        if is_finished(out, search):
            continue  # by a box that is in the hosts file no more, it may be
        verdict = split.judge(members, lost=lost, is_whole=is_whole)
        problem = verdict.problem
        if verdict.boxes:
            text, problem = _start(boxes, verdict.boxes, journals(out, search))
            started += [text] if text else []
        if problem:
            problems.append(f"{search} is not finished: {problem}")
    return started, problems


def _start(
    boxes: Sequence[RemoteBox], able: Sequence[HostStatus], journals: Sequence[Path]
) -> tuple[str | None, str | None]:
    """Start the finals on the first box that takes them; return what runs, or why nothing does."""
    if not journals:
        return None, "no part has left a journal"
    by_name = {box.host.name: box for box in boxes}
    refusals = []
    for one in able:
        box = by_name[one.host.name]
        try:
            running = submit.finish(box, one, journals)
        except UnreachableError as error:
            return str(error), None  # it may have started: the next look will tell
        except HostError as error:
            if one.part is not None and status.read(box).part == one.part.finals:
                return f"{one.host.name}  finishes it already: another watch was first", None
            refusals.append(str(error))
        else:
            return f"{one.host.name}  all parts are over: runs {running}", None
    return None, " ".join(refusals)


def has_profile(one: HostStatus, out: Path) -> bool:
    """Return whether a box's search has ended with profiles, on this box or on another."""
    return one.succeeded if one.part is None else is_finished(out, one.part.search)


def is_finished(out: Path, search: SharedSearch) -> bool:
    """Return whether the finals of a search were pulled to `out`, and have ended with profiles."""
    finals = [job for job, part in _pulled(out, search) if part.number is None]
    return any(_has_succeeded(job / "exit.json") for job in finals)


def journals(out: Path, search: SharedSearch) -> list[Path]:
    """Return the pulled journal of each part; the longer one if another box took a part over."""
    found: dict[int, Path] = {}
    for job, part in _pulled(out, search):
        journal = job / "run" / "journal.log"
        if part.number is None or not journal.is_file():
            continue
        known = found.get(part.number)
        if known is None or journal.stat().st_size > known.stat().st_size:
            found[part.number] = journal
    return [found[number] for number in sorted(found)]


def _pulled(out: Path, search: SharedSearch) -> Iterator[tuple[Path, Part]]:
    """Yield the pulled jobs of a search, each with its part."""
    for request in sorted(out.glob("*/*/job.json")):
        part = _part(request)
        if part is not None and part.search == search:
            yield request.parent, part


def _part(request: Path) -> Part | None:
    """Return the part that a pulled job has; a box may have sent anything as its request."""
    try:
        return Part.of(read_json(request).get("split"))
    except (OSError, ValueError, AttributeError):
        return None


def _has_succeeded(end: Path) -> bool:
    """Return whether a job has ended by itself with profiles, by what a box has sent as its end."""
    try:
        known = read_json(end)
        return known is not None and (known["reason"], known["exit_code"]) == ("ended", 0)
    except (OSError, ValueError, KeyError, TypeError):
        return False
