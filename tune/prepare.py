"""From options and a machine to what is settled before the first trial."""

import datetime
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cluster.node import hardware
from search_spaces.space import SearchSpace, violation
from tune.driver.drive import Session
from tune.preflight import judge as preflights
from tune.preflight.judge import Preflight
from tune.profile import warm_start
from tune.run_folder.folder import RunFolder, locate, require_writable
from tune.screen.screen import Screen
from tune.search.finals import winning_kind
from tune.spec import SearchSpec, SpecError, Task, parse_integers

if TYPE_CHECKING:  # what imports Ray needs room for threads
    from tune.driver.joined import HardwareClass

SpaceFor = Callable[[str, int], tuple[SearchSpace, dict[str, int]]]
"""`space_for(platform, num_cpus)`: a machine's default space and its baseline."""


def preflight_options(spec: SearchSpec, task: Task) -> dict[str, Any]:
    """What a preflight is to judge by."""
    return {
        "device": spec.device,
        "thread_cap": spec.thread_cap,
        "memory_budget_bytes": _parse_budget(spec.memory_budget),
        "framework": task.framework,
        "num_subprocesses": task.num_subprocesses,
    }


def settle(
    spec: SearchSpec,
    task: Task,
    space_for: SpaceFor,
    screen: Screen,
    preflight: Preflight,
    hardware_class: "HardwareClass | None",
    now: datetime.datetime,
) -> Session:
    """Settle everything that the first trial needs to know; nothing is written yet.

    Raises:
        SpecError, SpaceError: if something cannot be as it was asked for.
    """
    assert preflight.thread_env is not None
    space, baseline = space_for(preflight.platform, preflight.thread_env.cap)
    space = space.override(spec.space)
    resume = spec.resume
    if hardware_class is not None and spec.out is not None:
        resume = resume and RunFolder(spec.out).journal.exists()  # its class may have come later
    folder = locate(task.name, out=spec.out, resume=resume, now=now)
    require_writable(spec.profiles, option="--profiles")
    return Session(
        spec=spec,
        task=task,
        preflight=preflight,
        caps=preflight.thread_env,
        space=space,
        baseline=_baseline(space, baseline, parse_integers("--baseline", spec.baseline)),
        folder=folder,
        resume=resume,
        screen=screen,
        hardware_class=hardware_class,
    )


def recommended(session: Session) -> tuple[dict[str, int], ...]:
    """What `--warm-start` says to try first.

    Raises:
        SpecError: if there is no such profile.
    """
    if session.spec.warm_start is None:
        return ()
    found = warm_start.read(
        session.spec.warm_start,
        factory=session.task.workload,
        kind=winning_kind(session.spec.objective),
        space=session.space,
        baseline=session.baseline,
        machine_class=hardware.machine_class(session.preflight.machine),
        device=session.preflight.platform,
    )
    session.screen.note(found.text)
    return found.configs


def _baseline(
    space: SearchSpace, default: Mapping[str, int], given: Mapping[str, int]
) -> dict[str, int]:
    """The configuration to compare with, over the axes of the space.

    Raises:
        SpecError: if --baseline names no axis of the space, or does not divide.
    """
    unknown = sorted(given.keys() - set(space.names))
    if unknown:
        raise SpecError(f"--baseline names {unknown}; the axes are {list(space.names)}.")
    config = {
        axis.name: given.get(axis.name, default.get(axis.name, axis.values[0]))
        for axis in space.axes
    }
    for axis in space.axes:
        if len(axis.values) == 1 and axis.name not in given:
            config[axis.name] = axis.values[0]  # an axis that is fixed is fixed for all
    problem = violation(config)
    if problem is not None:
        raise SpecError(f"the baseline cannot run: {problem} Set it with --baseline.")
    return config


def _parse_budget(text: str | None) -> int | None:
    try:
        return None if text is None else preflights.parse_bytes(text)
    except ValueError as error:
        raise SpecError(f"--memory-budget: {error}") from error
