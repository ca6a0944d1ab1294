"""Finals of the searches that boxes share; `watch` starts them once all parts are over."""

from collections.abc import Collection, Sequence
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


def journals(out: Path, search: SharedSearch) -> list[Path]:
    """Return the pulled journal of each part; the longer one if another box took a part over."""
    found: dict[int, Path] = {}
    for request in sorted(out.glob("*/*/job.json")):
        part = Part.of(read_json(request).get("split"))
        journal = request.parent / "run" / "journal.log"
        if part is None or part.search != search or part.number is None or not journal.is_file():
            continue
        known = found.get(part.number)
        if known is None or journal.stat().st_size > known.stat().st_size:
            found[part.number] = journal
    return [found[number] for number in sorted(found)]
