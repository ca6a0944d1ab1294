"""The pulled profiles, as far as a choice between machines needs them.

They are read as plain YAML here: tune, which writes them, is a floor above.
"""

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cluster.errors import FleetError
from cluster.node.plain_yaml import read_yaml
from cluster.structure import Plain, PositiveCount, Rule, StructureError, convert, structure_known

TaskKey = tuple[str, ...]
"""All that two profiles must agree on for their speeds to be compared; the last is a digest."""

_SENT = re.compile(r"^.*/files/(?=[0-9a-f]{16}/)")
"""Where a box keeps what `submit --send` brought; behind it is the hash of the content."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PulledProfile:
    """One pulled profile, with the keys that a choice between machines needs.

    `options` are all that the workload was given, and its code, by name: the digest in `task` is
    theirs. `unit` is what the speeds count, in the plural. `is_proven` means that finals confirmed
    it and the search came to its end; `is_disturbed`, that other programs, or a slower machine,
    disturbed every process that counts. One training was measured on `num_devices` of the
    machine's `num_gpus` GPUs of its class; that is 0 for a training on the CPU. `is_of_former_box`:
    the host's name has been given to a box of another class since.
    """

    path: Path
    host: str
    machine_class: str
    kind: str
    task: TaskKey
    options: dict[str, str]
    steps_per_second: float
    low: float
    high: float
    unit: str
    is_proven: bool
    config: dict[str, Any]
    num_devices: int = 1
    num_gpus: int = 0
    is_disturbed: bool = False
    created_at: str = ""
    is_of_former_box: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Workload:
    factory: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def name(self) -> str:
        """The factory; all commands have the same, so theirs is the command."""
        words = self.options.get("arguments")
        is_command = isinstance(words, list) and all(isinstance(word, str) for word in words)
        return shlex.join(words) if is_command and words else self.factory


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    objective: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    source: str | None
    sha256: str | None
    llm: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Speed:
    low: float
    high: float
    unit: str = "env steps"
    disturbed: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    gpus: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Profile:
    """The keys of a profile that the fleet reads; the search's own reader knows all of them."""

    schema_version: Annotated[
        int, Rule("must be 1, which is all that this version reads", lambda version: version == 1)
    ]
    kind: str
    machine_class: str
    expected_sps: float
    confirmed: bool
    partial: bool
    config: dict[str, Plain]
    speed: _Speed
    workload: _Workload
    search: _Search
    data: _Data
    created_at: str = ""
    device: str = "cuda"
    machine: _Machine = _Machine()


def read_all(out: Path, *, kind: str) -> list[PulledProfile]:
    """Read every profile of this kind that `pull` brought to `out`.

    Raises:
        FleetError: if there is none, or one cannot be read, naming file and key.
    """
    paths = sorted(out.glob("*/*/profiles/*.yaml"))
    results = _with_former_boxes([read(path) for path in paths])
    wanted = [result for result in results if result.kind == kind]
    if not wanted:
        kinds = ", ".join(sorted({result.kind for result in results}))
        has = f"only of the kinds {kinds}" if kinds else "no profile at all"
        raise FleetError(f"{out} has no profile of the kind {kind} ({has}); run `pull` first.")
    return wanted


def read(path: Path) -> PulledProfile:
    """Read one profile.

    Raises:
        FleetError: if it is not one, naming the file and the key.
    """
    try:
        document = read_yaml(path)
    except (OSError, ValueError) as error:
        raise FleetError(f"cannot read the profile {path}: {error}") from error
    try:
        profile = structure_known(_Profile, document)
        key = "num_devices"
        num_devices = convert(PositiveCount, profile.config.get(key, 1), f"config.{key}")
    except StructureError as error:
        raise FleetError(f"{path} is not a profile: {error}") from error
    data = profile.data
    options = _options(profile.workload, data)
    return PulledProfile(
        path=path,
        host=path.parents[2].name,
        machine_class=profile.machine_class,
        kind=profile.kind,
        task=(
            profile.workload.name,
            profile.search.objective,
            data.source or "-",
            (data.sha256 or "-")[:12],
            _digest(sorted(options.items())),
        ),
        options=options,
        steps_per_second=profile.expected_sps,
        low=profile.speed.low,
        high=profile.speed.high,
        unit=profile.speed.unit,
        is_proven=profile.confirmed and not profile.partial,
        config=profile.config,
        num_devices=num_devices,
        num_gpus=len(profile.machine.gpus) if profile.device == "cuda" else 0,
        is_disturbed=bool(profile.speed.disturbed),
        created_at=profile.created_at,
    )


def _with_former_boxes(results: Sequence[PulledProfile]) -> list[PulledProfile]:
    """Return the profiles with those marked whose host has had a search of another class since.

    One search of a box with GPUs of two kinds has a profile of each.
    """
    latest: dict[str, PulledProfile] = {}
    for one in results:
        if one.host not in latest or one.created_at > latest[one.host].created_at:
            latest[one.host] = one
    jobs = {one.path.parent for one in latest.values()}
    now = {(one.host, one.machine_class) for one in results if one.path.parent in jobs}
    return [
        dataclasses.replace(one, is_of_former_box=(one.host, one.machine_class) not in now)
        for one in results
    ]


def by_task(results: Sequence[PulledProfile]) -> dict[TaskKey, list[PulledProfile]]:
    """Return the profiles by task; only speeds of the same task may be compared."""
    tasks: dict[TaskKey, list[PulledProfile]] = {}
    for result in results:
        tasks.setdefault(result.task, []).append(result)
    return tasks


def titles(tasks: Mapping[TaskKey, Mapping[str, str]]) -> dict[TaskKey, str]:
    """Return each task in words; `tasks` has the options of each.

    Tasks that are alike but for the digest are told apart by the options in which they differ.
    """
    found = {}
    for task, own in tasks.items():
        alike = [options for other, options in tasks.items() if other[:-1] == task[:-1]]
        names = [name for name in own if any(o.get(name) != own[name] for o in alike)]
        parts = [part for part in task[:-1] if part != "-"]
        found[task] = " · ".join([*parts, *(f"{name} {own[name]}" for name in names)])
    return found


def _options(workload: _Workload, data: _Data) -> dict[str, str]:
    """Return what tells a workload from others of its name and data, on whatever box it ran.

    A seed makes no other speed. The data is told by its hash, and lies elsewhere on another box; so
    may the code.
    """
    given = {name: value for name, value in workload.options.items() if name != "seed"}
    if data.sha256 is not None:
        given.pop("data", None)
    if data.llm is not None:
        given["language model"] = data.llm
    if workload.source:
        given["own code"] = _digest(sorted(workload.source.values()))
    return dict(_leaves(given))


def _leaves(nested: Any) -> Iterator[tuple[str, str]]:
    """Yield the single values of nested ones as text, with their dotted names."""
    waiting = [("", nested)]
    while waiting:  # and no recursion: a file from a box may be nested deeply
        name, value = waiting.pop()
        if isinstance(value, dict | list):
            items = value.items() if isinstance(value, dict) else enumerate(value, start=1)
            below = [(f"{name}.{key}" if name else str(key), item) for key, item in items]
            waiting += reversed(below)
            continue
        text = _SENT.sub("", str(value))
        yield name, text if text.isprintable() else repr(text)


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:12]
