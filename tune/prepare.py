"""The start of a search, prepared from its options and a machine. Nothing is written yet."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from typing import Any

from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from cluster.node import hardware
from cluster.node.thread_env import ThreadEnv
from search_spaces.config import config_violation
from search_spaces.space import SearchSpace
from tune.parse import parse_integers
from tune.preflight.findings import Preflight, PreflightRequest
from tune.profile import warm_start
from tune.run_folder.folder import RunFolder, locate, require_writable
from tune.screen.screen import Screen
from tune.search.candidates import winning_kind
from tune.spec import SearchSpec, Task

SpaceFor = Callable[[str, int], tuple[SearchSpace, dict[str, int]]]
"""`space_for(platform, num_cpus)`: a machine's default space and its baseline."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is settled before the first trial. `hardware_class` is of a joined cluster, if any.

    `recommended` are the configurations that `--warm-start` says to try first.
    """

    spec: SearchSpec
    task: Task
    preflight: Preflight
    caps: ThreadEnv
    space: SearchSpace
    baseline: dict[str, int]
    recommended: tuple[dict[str, int], ...]
    folder: RunFolder
    resume: bool
    screen: Screen
    hardware_class: HardwareClass | None

    @property
    def num_parallel_trials(self) -> int:
        """The number of trials that run side by side."""
        return 1 if self.hardware_class is None else self.hardware_class.num_trials

    @property
    def keeps_programs(self) -> bool:
        """Return whether trials reuse compiled programs: see `trainables.compile_cache`."""
        is_here = self.hardware_class is None
        return is_here and self.task.framework == "jax" and self.preflight.platform == "cpu"

    @property
    def identity(self) -> dict[str, Any]:
        """All that a measurement depends on; it must be the same in a search that is resumed."""
        return {
            "workload": self.task.workload,
            "options": self.task.options,
            "data": self.task.data,
            "space": self.space.describe(),
            "baseline": self.baseline,
            "objective": self.spec.objective.value,
            "machine": hardware.machine_class(self.preflight.machine),
            "platform": self.preflight.platform,
        }


def preflight_request(spec: SearchSpec, task: Task) -> PreflightRequest:
    """Return the request to judge a machine for this search."""
    return PreflightRequest(
        device=spec.device,
        thread_cap=spec.thread_cap,
        memory_budget_bytes=spec.memory_budget_bytes,
        framework=task.framework,
        num_subprocesses=task.num_subprocesses,
        dashboard=spec.dashboard,
    )


def prepare(
    spec: SearchSpec,
    task: Task,
    space_for: SpaceFor,
    *,
    screen: Screen,
    preflight: Preflight,
    hardware_class: HardwareClass | None,
    now: datetime.datetime,
) -> Prepared:
    """Settle everything that the first trial needs.

    Raises:
        UserError: if an option cannot be followed.
    """
    assert preflight.thread_env is not None
    space, default = space_for(preflight.platform, preflight.thread_env.cap)
    space = space.override(spec.space)
    baseline = _baseline(space, default, parse_integers("--baseline", spec.baseline))
    resume = spec.resume
    if hardware_class is not None and spec.out is not None:
        resume = resume and RunFolder(spec.out).journal.exists()  # the class may have joined later
    folder = locate(task.name, out=spec.out, resume=resume, now=now)
    require_writable(spec.profiles, option="--profiles")
    return Prepared(
        spec=spec,
        task=task,
        preflight=preflight,
        caps=preflight.thread_env,
        space=space,
        baseline=baseline,
        recommended=_recommended(spec, task, space, baseline, preflight, screen),
        folder=folder,
        resume=resume,
        screen=screen,
        hardware_class=hardware_class,
    )


def _recommended(
    spec: SearchSpec,
    task: Task,
    space: SearchSpace,
    baseline: dict[str, int],
    preflight: Preflight,
    screen: Screen,
) -> tuple[dict[str, int], ...]:
    if spec.warm_start is None:
        return ()
    found = warm_start.read(
        spec.warm_start,
        factory=task.workload,
        kind=winning_kind(spec.objective),
        space=space,
        baseline=baseline,
        machine_class=hardware.machine_class(preflight.machine),
        device=preflight.platform,
    )
    screen.note(found.text)
    return found.configs


def _baseline(
    space: SearchSpace, default: Mapping[str, int], given: Mapping[str, int]
) -> dict[str, int]:
    """Return the configuration to compare with, over the axes of the space.

    Raises:
        UserError: if --baseline names no axis of the space, or does not divide.
    """
    unknown = sorted(given.keys() - set(space.names))
    if unknown:
        raise UserError(f"--baseline names {unknown}; the axes are {list(space.names)}.")
    config = {
        axis.name: given.get(axis.name, default.get(axis.name, axis.values[0]))
        for axis in space.axes
    }
    for axis in space.axes:
        if len(axis.values) == 1 and axis.name not in given:
            config[axis.name] = axis.values[0]  # a fixed axis is fixed for the baseline too
    problem = config_violation(config)
    if problem is not None:
        raise UserError(f"the baseline cannot run: {problem} Set it with --baseline.")
    return config
