"""The identity of a search: whether a journal can be read, and is of the search that is meant."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cluster.errors import UserError
from trainables.workload_source import edited

Read = TypeVar("Read")

_LATER = frozenset({"thread_cap", "memory_budget"})
"""What journals of earlier versions do not tell."""


class StudyError(UserError):
    """The journal cannot be used: damaged, or of another search."""


@contextlib.contextmanager
def reading(journal: Path) -> Iterator[None]:
    """Raise what reading a damaged journal raises as a `StudyError`.

    Optuna asserts the kinds of events that it knows; those of another version are none.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, LookupError, TypeError, ValueError, AssertionError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{error!r:.200}"
        raise StudyError(
            f"{journal} is not a readable journal ({what}); move it away to start anew."
        ) from error


def read_known(
    journals: Sequence[Path],
    read: Callable[[Path], Read],
    *,
    adopted: Collection[str | None] = (),
    note: Callable[[str], None],
) -> dict[Path, Read]:
    """Return what `read` takes from each journal of `--known`.

    What was `adopted` before is not read again: it may be gone by now. One that cannot be used
    beside others is a note: the parts of a fleet's search have cost money, and what one of them
    explored is explored again.

    Raises:
        StudyError: if one is not there, or none can be used.
    """
    found: dict[Path, Read] = {}
    unusable: list[StudyError] = []
    for journal in journals:
        if str(journal) in adopted:
            continue
        try:
            found[journal] = read(journal)
        except StudyError as error:
            if not journal.is_file():
                raise
            unusable.append(error)
    if unusable and len(unusable) == len(journals):
        raise unusable[0]
    for why in unusable:
        note(f"not known after all, and explored again: {why}")
    return found


def require_same(
    journal: Path, known: Mapping[str, Any], identity: Mapping[str, Any], *, advice: str
) -> None:
    """Require that a journal is of the search that is meant.

    Raises:
        StudyError: if its own identity, `known`, is another.
    """
    known, identity = _without_place_of_data(known, identity)
    names = edited(known.get("source", {}), identity.get("source", {}))
    if names and known.get("source"):  # version 0.1 kept no source
        raise StudyError(
            f"{journal} is of other code: {', '.join(names)} was edited since, so its speeds are "
            "not comparable. Search anew with another --out."
        )
    before, now = known.get("versions"), identity.get("versions")
    if before is not None and now is not None and before != now:
        raise StudyError(
            f"{journal} was measured with {_text(before)}, and here is {_text(now)}, so its speeds "
            "are not comparable. Install those versions, or search anew with another --out."
        )
    told = {*known, *identity} - {"source", "versions"} - (_LATER - known.keys())
    different = sorted(name for name in told if known.get(name) != identity.get(name))
    if different:
        changes = "; ".join(
            f"{name} was {known.get(name)!r}, now {identity.get(name)!r}" for name in different
        )
        raise StudyError(f"{journal} belongs to another search: {changes}. {advice}")


def _without_place_of_data(*identities: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the identities without the path of their data, if all of them have the data's hash.

    The same bars lie in another folder on another machine.
    """
    if not all((one.get("data") or {}).get("sha256") for one in identities):
        return list(identities)
    options = [one.get("options") or {} for one in identities]
    return [
        {**one, "options": {name: value for name, value in given.items() if name != "data"}}
        for one, given in zip(identities, options, strict=True)
    ]


def _text(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "no framework"
