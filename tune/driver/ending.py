"""The end of a search: its kinds, and what is written and said then."""

import contextlib
import dataclasses
import datetime
import enum
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cluster import cli
from cluster.errors import UserError
from tune.memory.look_ahead import Foresight
from tune.prepare import Prepared
from tune.profile import export
from tune.profile.searched import ProfilePair, SideBySide
from tune.report.write import write_report
from tune.run_folder import record
from tune.run_folder.record import SearchEnd
from tune.run_folder.trials import write_trials
from tune.search.pair import measured_pair, side_by_side
from tune.search.policy import Search
from tune.search.result import Kind, SearchResult
from tune.search.trial import Trial


class Ending(enum.Enum):
    """The ends of a search; all but the first come before its time."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    CLASS_LOST = "class lost"
    """No host of the class was left."""
    RAY_LOST = "Ray lost"
    """A process of the private Ray itself died."""
    LINK_LOST = "link lost"
    """The link of Ray's client to the cluster was lost for too long."""
    SILENT = "silent"
    """A worker has not answered for longer than its trial may take."""
    UNWRITABLE = "unwritable"
    """The journal cannot be written any more."""
    DIED = "died"
    """The driver's own process died."""

    @property
    def is_finished(self) -> bool:
        """Return whether the search came to its end."""
        return self is Ending.FINISHED


def _early_end(prepared: Prepared, ending: Ending) -> str | None:
    """Return what to say of a search that something ended before its time, else `None`."""
    chosen, waited_s = prepared.hardware_class, prepared.spec.class_timeout_s
    name = "" if chosen is None else chosen.name
    reason = {
        Ending.CLASS_LOST: f"no host of class {name} was left for {waited_s:.0f} s, so the search "
        "ended early: let one join again and",
        Ending.RAY_LOST: "a process of Ray itself was ended (by a person, or for want of memory), "
        "and the search with it; what it found is kept:",
        Ending.LINK_LOST: "the link to the cluster was lost for longer than Ray's client waits, "
        "and the search with it; what it found is kept:",
        Ending.SILENT: "a worker of Ray has not answered for longer than its trial may take (it "
        "was stopped, or a driver hangs), so the search was ended; what it found is kept:",
        Ending.UNWRITABLE: f"{prepared.folder.path} cannot be written any more (is the disk "
        "full?), so the search ended; what it found is above: free some space and",
        Ending.DIED: "the search's own process died (ended by a person, or for want of memory or "
        "threads); what it found is kept:",
    }.get(ending)
    return None if reason is None else f"{reason} go on with --resume."


def write_result(prepared: Prepared, search: Search, ahead: Foresight, ending: Ending) -> int:
    """Write profiles, tables and the report, show the result, and return the exit code.

    Raises:
        UserError: when all of that is done, if something ended the search before its time, or a
            file could not be written.
        ExceptionGroup: then, too, if a defect of ours kept a file from being written.
    """
    result = search.result(partial=not ending.is_finished)
    folder, is_part = prepared.folder, prepared.spec.shard is not None
    profiles: dict[Kind, Path] = {}
    files: tuple[Path, ...] = ()
    problems: list[str] = []
    defects: list[Exception] = []

    def noted(place: Path) -> contextlib.AbstractContextManager[None]:
        return _noted(problems, defects, place)

    with noted(prepared.spec.profiles):
        profiles = {} if is_part else _export(prepared, result)
    with noted(folder.path):
        files = write_trials(
            folder.path, result.trials, wall_s=result.wall_s, compiling_ahead_s=ahead.wall_s
        )
    with noted(folder.record):
        record.end(folder, SearchEnd.of(result, profiles))
    prepared.screen.finished(
        result, prepared.context, profiles=profiles, files=(folder.report, *files, folder.run_log)
    )
    with noted(folder.report):
        write_report(folder)  # last: an error here does not cost the result
    folder.forget_tune_state()
    if reason := _early_end(prepared, ending):
        problems.append(reason)
    if defects:
        found = ExceptionGroup("what the search found could not be written in full", defects)
        for problem in problems:
            found.add_note(problem)
        raise found
    if problems:
        raise UserError(" ".join(problems))
    if result.partial:
        return cli.INTERRUPTED
    return 0 if (result.chosen if is_part else profiles) else cli.NOTHING_FOUND


@contextlib.contextmanager
def _noted(problems: list[str], defects: list[Exception], place: Path) -> Iterator[None]:
    """Note why nothing could be written to `place`, and go on: the result is shown in any case.

    A defect of ours is raised again when the other files are written.
    """
    try:
        yield
    except UserError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{error.filename or place} could not be written ({error.strerror}).")
    except Exception as defect:  # noqa: BLE001  # raised again by `write_result`
        defects.append(defect)


def _side_by_side(prepared: Prepared, trials: Sequence[Trial]) -> SideBySide | None:
    """Return how the trials shared several GPUs or hosts, or the machine with other searches;
    `None` where they shared nothing.
    """
    share = prepared.preflight.share
    if prepared.num_parallel_trials == 1 and share is None:
        return None
    is_so = side_by_side(trials, prepared.spec.finals, prepared.baseline)
    pair = measured_pair(trials, prepared.baseline)
    return SideBySide(
        exploring=prepared.num_parallel_trials,
        finals="together" if is_so else "alone",
        pair=None if pair is None else ProfilePair(**dataclasses.asdict(pair)),
        searches=None if share is None else share.beside,
    )


def _export(prepared: Prepared, result: SearchResult) -> dict[Kind, Path]:
    """Write the profiles; return the path of each."""
    search = export.FinishedSearch(
        result=result,
        task=prepared.task,
        preflight=prepared.preflight,
        objective=prepared.spec.objective.value,
        soak_updates=prepared.spec.effort_plan.soak_updates,
        study=prepared.folder.journal,
        ended_at=datetime.datetime.now(datetime.UTC),
        environ=os.environ if prepared.hardware_class is None else {},  # else the hosts' own
        side_by_side=_side_by_side(prepared, result.trials),
    )
    return export.write_all(search, prepared.spec.profiles)
