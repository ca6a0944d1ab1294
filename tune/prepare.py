"""The start of a search, prepared from its options and a machine. Nothing is written yet."""

import dataclasses
import datetime
import os
from collections.abc import Callable, Mapping
from typing import Any

from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from cluster.node import hardware, xla_flags
from cluster.node.thread_env import ThreadEnv
from search_spaces.config import (
    Config,
    Value,
    config_violation,
    doublings,
    value_text,
    weight,
)
from search_spaces.space import Axis, SearchSpace
from tune.parse import parse_config
from tune.preflight import split
from tune.preflight.findings import Preflight, PreflightRequest
from tune.preflight.runtime import require_devices, require_known_flags
from tune.profile import warm_start
from tune.run_folder.folder import RunFolder, locate, require_writable
from tune.run_folder.record import SearchContext
from tune.screen.screen import Screen
from tune.search.candidates import winning_kind
from tune.search.levers import GPU, Lever
from tune.spec import SearchSpec, Task, cluster_of

SpaceFor = Callable[[str, int], tuple[SearchSpace, Config]]
"""`space_for(platform, num_cpus)`: a machine's default space, and the default configuration of the
task, empty for a loop that has none."""

_GIVEN, _DEFAULT, _NEAREST, _SMALLEST = (
    "your baseline",
    "the framework default",
    "the nearest to the framework default",
    "the smallest configuration",
)
"""Words for the baseline, by where it comes from."""

_FLAGS = "XLA_FLAGS"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is settled before the first trial. `hardware_class` is of a joined cluster, if any.

    `baseline_called` says where the baseline comes from. `recommended` are the configurations that
    `--warm-start` says to try first. `levers` are to be tried on the winner.
    """

    spec: SearchSpec
    task: Task
    preflight: Preflight
    caps: ThreadEnv
    space: SearchSpace
    baseline: Config
    baseline_called: str
    recommended: tuple[Config, ...]
    levers: tuple[Lever, ...]
    folder: RunFolder
    resume: bool
    screen: Screen
    hardware_class: HardwareClass | None

    @property
    def num_parallel_trials(self) -> int:
        """The number of trials that run side by side."""
        if self.hardware_class is None:
            return self.preflight.num_places
        return self.hardware_class.num_trials

    @property
    def keeps_programs(self) -> bool:
        """Return whether trials reuse compiled programs: see `trainables.compile_cache`."""
        return self.hardware_class is None and self.task.framework == "jax"

    @property
    def context(self) -> SearchContext:
        """Everything that the result is judged against."""
        return SearchContext.of(self.spec, self.task, self.preflight, self.baseline_called)

    @property
    def identity(self) -> dict[str, Any]:
        """All that a measurement depends on; it must be the same in a search that is resumed."""
        plan, judged = self.spec.learning, self.task.learning_options
        trainings: dict[str, Any] = {}
        if plan is not None:  # with more seeds it may go on
            trainings["learning"] = {
                "target": plan.target,
                "training_s": plan.training_s,
                "options": judged,
            }
        return trainings | {
            "workload": self.task.workload,
            "options": self.task.shown_options,
            "data": self.task.data,
            "space": self.space.describe(),
            "baseline": self.baseline,
            "objective": self.spec.objective.value,
            "machine": hardware.machine_class(self.preflight.machine),
            "platform": self.preflight.platform,
            "source": self.task.source,
            "versions": hardware.frameworks(self.preflight.machine),
            "thread_cap": self.spec.thread_cap,
            "memory_budget": self.spec.memory_budget,
        }


def preflight_request(spec: SearchSpec, task: Task, environ: Mapping[str, str]) -> PreflightRequest:
    """Return the request to judge a machine for this search: this one, or a cluster's hosts.

    Raises:
        UserError: if an option does not go with the other ones.
    """
    is_here = cluster_of(spec, environ) is None
    return PreflightRequest(
        device=spec.device,
        thread_cap=spec.thread_cap,
        memory_budget_bytes=spec.memory_budget_bytes,
        framework=task.framework,
        num_subprocesses=task.num_subprocesses,
        more_threads=task.more_threads,
        max_gpus=spec.gpus,
        dashboard=spec.dashboard,
        machine_class=spec.machine_class if is_here else None,
        share=split.share_of(environ) if is_here else None,
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
    space, baseline, baseline_called = settle(spec, space_for, preflight)
    require_known_flags(space, task.framework)
    require_devices(space, baseline, task.framework, preflight, hardware_class)
    resume = spec.resume
    if hardware_class is not None and spec.out is not None:
        resume = resume and RunFolder(spec.out).has_search  # the class may have joined later
    folder = locate(task.name, out=spec.out, resume=resume, now=now)
    require_writable(spec.profiles, option="--profiles")
    return Prepared(
        spec=spec,
        task=task,
        preflight=preflight,
        caps=preflight.thread_env,
        space=space,
        baseline=baseline,
        baseline_called=baseline_called,
        recommended=_recommended(spec, task, space, baseline, preflight, screen),
        levers=levers_of(spec, task, preflight, screen, is_here=hardware_class is None),
        folder=folder,
        resume=resume,
        screen=screen,
        hardware_class=hardware_class,
    )


def settle(
    spec: SearchSpec, space_for: SpaceFor, preflight: Preflight
) -> tuple[SearchSpace, Config, str]:
    """Return the space, the baseline, and what the baseline is called.

    Raises:
        UserError: if --space, --require or --baseline cannot be followed.
    """
    assert preflight.thread_env is not None
    space, default = space_for(preflight.platform, preflight.thread_env.cap)
    space = space.override(spec.space, spec.require)
    return space, *baseline_of(space, default, parse_config("--baseline", spec.baseline))


def _recommended(
    spec: SearchSpec,
    task: Task,
    space: SearchSpace,
    baseline: Config,
    preflight: Preflight,
    screen: Screen,
) -> tuple[Config, ...]:
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


def levers_of(
    spec: SearchSpec, task: Task, preflight: Preflight, screen: Screen, *, is_here: bool = True
) -> tuple[Lever, ...]:
    """Return the levers to try: those of `--levers` that the installed jaxlib knows.

    Flags of the person's own stay, before a lever's, if trials run on this machine (`is_here`).

    Raises:
        UserError: if no trial runs on a GPU, or JAX is not what they run.
    """
    if spec.levers == "none":
        return ()
    if not preflight.on_gpu:
        raise UserError("--levers gpu: trials run on the CPU here; leave it out.")
    if task.framework == "torch":
        raise UserError("--levers gpu: they are XLA's, and this is PyTorch; leave it out.")
    own = os.environ.get(_FLAGS, "").strip() if is_here else ""
    is_file = bool(own) and not own.startswith("-")
    levers, left_out = [], []
    for lever in GPU:
        flags = lever.variables.get(_FLAGS)
        if flags is None:
            levers.append(lever)
        elif is_file or xla_flags.unknown_xla_flags(flags):
            left_out.append(lever.name)
        else:
            both = {_FLAGS: f"{own} {flags}".strip()}
            levers.append(dataclasses.replace(lever, variables={**lever.variables, **both}))
    if left_out:
        why = f"XLA_FLAGS={own} names a file" if is_file else "jaxlib does not know their flags"
        screen.note(f"levers that are not tried: {', '.join(left_out)} ({why}).")
    return tuple(levers)


def baseline_of(
    space: SearchSpace, default: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Config, str]:
    """Return the configuration to compare with, and what it is called.

    Values that the person gives are kept. All others are of the space: the nearest to the task's
    default, or, for a loop that has none, the smallest.

    Raises:
        UserError: if --baseline names no axis of the space, or does not divide.
    """
    unknown = sorted(given.keys() - set(space.names))
    if unknown:
        raise UserError(f"--baseline names {unknown}; the axes are {list(space.names)}.")
    axes = tuple(_fixed(one, given[one.name]) if one.name in given else one for one in space.axes)
    known = {axis.name: default[axis.name] for axis in axes if axis.name in default}

    def distance(config: Config) -> tuple[float, float]:
        of_default = {name: config[name] for name in known}
        return doublings(of_default, known), weight(config)

    possible = dataclasses.replace(space, axes=axes)
    config = min(possible.configurations(), key=distance, default=None)
    if config is None:
        smallest = {axis.name: axis.values[0] for axis in axes}
        why = config_violation(smallest) or f"it breaks {possible.broken_rule(smallest)}."
        raise UserError(f"the baseline cannot run: {why} Set it with --baseline.")
    if given:
        return config, _GIVEN
    if not default:
        return config, _SMALLEST
    is_default = all(config[name] == value for name, value in known.items())
    return config, _DEFAULT if is_default else _NEAREST


def _fixed(axis: Axis, value: Value) -> Axis:
    """Return the axis with one value. A number need not be among its own, a word must be.

    Raises:
        UserError: if it is another word.
    """
    if not axis.has_words:
        if isinstance(value, str):
            raise UserError(f"--baseline {axis.name} must be a number, got {value!r}.")
        return Axis(name=axis.name, values=(value,))
    word = value_text(value)
    if word not in axis.values:
        words = ", ".join(map(str, axis.values))
        raise UserError(
            f"--baseline {axis.name}={word} is none of the axis' words, {words}: add it to --space."
        )
    return Axis(name=axis.name, values=(word,))
