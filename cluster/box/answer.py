"""The status that `python -m cluster.box status` prints as JSON and the laptop reads. Stdlib only.

A field's name is its key in the JSON. Laptop and box may run different versions: the reader passes
over keys that it does not know, and what an older box leaves out takes its default.
"""

import dataclasses
from typing import Any

from cluster.box.progress import SearchProgress
from cluster.node.deadman import DeadmanStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BoxReady:
    """The end of `up`: the interpreter for jobs, the code's commit, the class, the Unix time."""

    python: str
    machine_class: str
    revision: str | None
    at: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobExit:
    """The end of a job, at a Unix time.

    `reason` is `ended` for a job that ended by itself, else `stopped` or `deadline`.
    """

    reason: str
    exit_code: int
    ended_at: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus(SearchProgress):
    """A job, and the progress of its search.

    `state` is `running`, `ended`, or `died` for a job whose processes are gone without a word.
    `words` is its command, `own_words` what a person gave of it and the fleet did not add.
    `split` is the part that the job has of a shared search. `log_tail` has the last lines of its
    stderr once it does not run any more.
    """

    name: str
    words: tuple[str, ...]
    state: str
    elapsed_s: float
    exit: JobExit | None
    log_tail: tuple[str, ...]
    split: dict[str, Any] | None = None
    own_words: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BoxStatus:
    """A box: the age of its first process, the end of `up`, its dead-man, and its latest job."""

    machine_age_s: float | None
    ready: BoxReady | None
    deadman: DeadmanStatus | None
    job: JobStatus | None
