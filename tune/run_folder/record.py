"""The record of a search, search.json: its options, its machine, and how it ended.

It is written when the search starts, so that a search that was killed has a report too; the trials
are in the journal.
"""

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.node import atomic, regular
from cluster.node.secret_names import without_secret_words
from cluster.structure import revive
from search_spaces.config import Config, num_devices, num_shares
from tune.preflight.findings import Preflight
from tune.run_folder.folder import RunFolder
from tune.search.learned import LearningPlan
from tune.search.objective import Objective
from tune.search.result import Kind, SearchResult
from tune.spec import SearchSpec, Task

RECORD_VERSION = 1
_MOST_BYTES = 2**26

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchContext:
    """The budgets, the room for threads and the options that a result is judged against.

    `baseline_called` says where the baseline comes from; records of version 0.1 have but
    `baseline_is_default`. `is_command`: the training is a command. `cpus` are those of a trial
    under the full cap, `gpu_cpus` those of each of several GPUs. `num_cpus` is how many a trial
    could have beside those at its side. `shard` is the part that was asked for, if any. `on_gpu`: a
    trial has the host's memory once for each of its GPUs. `learning` is the plan of the trainings,
    if learning was searched. `beside` are the classes of the other GPUs of this machine that were
    searched at the same time. `doubts` are the task's own.
    """

    objective: Objective
    soak_updates: int
    synthetic_data: bool
    device_budget_bytes: int
    host_budget_bytes: int
    thread_room: int | None
    cpus: tuple[int, ...]
    shard: str | None = None
    baseline_called: str | None = None
    is_command: bool = False
    baseline_is_default: bool = False
    on_gpu: bool = False
    learning: LearningPlan | None = None
    beside: tuple[str, ...] = ()
    gpu_cpus: tuple[tuple[int, ...], ...] = ()
    num_cpus: int | None = None
    doubts: tuple[str, ...] = ()

    def cpus_of(self, config: Config) -> tuple[int, ...]:
        """Return the CPUs of a configuration's trials under the full cap: those of all its GPUs."""
        number = num_devices(config)
        if number == 1 or not self.gpu_cpus:
            return self.cpus
        return tuple(sorted(cpu for cpus in self.gpu_cpus[:number] for cpu in cpus))

    def host_budget_of(self, config: Config) -> int:
        """Return the bytes of the host that trials of a configuration may use."""
        return num_shares(config, on_gpu=self.on_gpu) * self.host_budget_bytes

    @classmethod
    def of(
        cls, spec: SearchSpec, task: Task, preflight: Preflight, baseline_called: str
    ) -> "SearchContext":
        """Return the context of a search with these options on this machine."""
        return cls(
            objective=spec.objective,
            baseline_called=baseline_called,
            is_command=task.is_command,
            soak_updates=spec.effort_plan.soak_updates,
            synthetic_data=bool(task.data.get("synthetic")),
            device_budget_bytes=preflight.device_budget_bytes,
            host_budget_bytes=preflight.host_budget_bytes,
            thread_room=preflight.findings.thread_limits.room,
            cpus=preflight.thread_env.cpus if preflight.thread_env else (),
            gpu_cpus=tuple(gpu.cpus for gpu in preflight.gpus),
            num_cpus=preflight.findings.cpus.usable // preflight.num_places,
            shard=spec.shard,
            on_gpu=preflight.on_gpu,
            learning=spec.learning,
            beside=preflight.share.beside if preflight.share else (),
            doubts=task.doubts,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchEnd:
    """The end of a search, with its profiles' paths by kind. Seconds are of the last session."""

    stop_reason: str
    partial: bool
    wall_s: float
    profiles: dict[str, str]

    @classmethod
    def of(cls, result: SearchResult, profiles: Mapping[Kind, Path]) -> "SearchEnd":
        """Return the end of a search that found `result`."""
        return cls(
            stop_reason=result.stop_reason,
            partial=result.partial,
            wall_s=result.wall_s,
            profiles={kind.value: str(path) for kind, path in profiles.items()},
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A search without its trials. `machine` has the rows of the preflight, by heading.

    `first_trial` is the number of the last session's first trial: 0 unless the search was resumed.
    `ending` is `None` while the search runs, and for ever if it was killed.
    """

    command: str
    started_at: str
    task: Task
    context: SearchContext
    space: dict[str, list[Any]]
    baseline: Config
    first_trial: int
    machine: dict[str, list[tuple[str, str]]]
    ending: SearchEnd | None = None


def command_line(arguments: Sequence[str]) -> str:
    """Return the command line that repeats this process, without secrets."""
    return _CREDENTIALS.sub("", shlex.join(["python", *without_secret_words(arguments[1:])]))


def write(folder: RunFolder, record: RunRecord) -> None:
    """Write the record.

    Raises:
        OSError: if that cannot be done.
    """
    document = {"schema_version": RECORD_VERSION, **dataclasses.asdict(record)}
    atomic.write_text(folder.record, json.dumps(document, indent=1) + "\n")


def end(folder: RunFolder, ending: SearchEnd) -> None:
    """Add to the record how the search ended."""
    write(folder, dataclasses.replace(read(folder), ending=ending))


def read(folder: RunFolder) -> RunRecord:
    """Read a search's record.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    try:
        document: dict[str, Any] = json.loads(
            regular.read_bounded(folder.record, most_bytes=_MOST_BYTES)
        )
        version = document.pop("schema_version")
        if version != RECORD_VERSION:
            raise UserError(
                f"{folder.record} is of schema version {version}; this reads {RECORD_VERSION}."
            )
        document["context"].pop("steps", None)  # of records before the trials had their unit
        return revive(RunRecord, document)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{folder.path} holds no search.json, so it is no folder of a search; "
            "they lie in runs/, or where --out said."
        ) from error
    except UserError:
        raise
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder.record} cannot be read: {error!r}.") from error
