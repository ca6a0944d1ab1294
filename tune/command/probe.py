"""A probe of a command: its baseline runs alone for some seconds, before a long search."""

import dataclasses
import os
import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.node import ray_env, thread_env
from cluster.node.thread_env import Platform, ThreadEnv
from cluster.pages import units
from cluster.structure import destructure, revive
from search_spaces.config import Config, config_text, variables_of
from search_spaces.space import SearchSpace
from trainables.command.options import CommandOptions, filled_in
from trainables.command.readings import clean, first_to_match
from trainables.measurement import Outcome, OutcomeKind, Sampling, TrialRequest
from trainables.process import run_child
from tune.preflight import judge
from tune.prepare import baseline_of, preflight_request
from tune.spec import SearchSpec, Task

_SAMPLING = Sampling(relative_half_width=0.2, min_blocks=3, max_measure_s=4.0)
_LOG_LINES = 12
_SHOWN_LINES = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """The findings of a probe, in sentences, and the options that it settled."""

    sentences: tuple[str, ...]
    options: dict[str, Any]


def probe(spec: SearchSpec, task: Task, space: SearchSpace, given: Mapping[str, Any]) -> Probed:
    """Run the baseline until its speed can be told.

    Raises:
        UserError: if it cannot run, or nothing can be read of it.
    """
    preflight = judge.check(preflight_request(spec, task))
    judge.require_fit(preflight)
    assert preflight.thread_env is not None
    config, _ = baseline_of(space, {}, given)
    with tempfile.TemporaryDirectory(prefix="rl-tuner-probe-") as folder:
        log = Path(folder, "probe.log")
        outcome = _run(spec, task, config, preflight.thread_env, preflight.platform, log)
        text = log.read_text(errors="replace") if log.exists() else ""
    if outcome.kind is not OutcomeKind.COMPLETED or outcome.measurement is None:
        said = "\n".join(f"  {line}" for line in text.splitlines()[-_LOG_LINES:])
        raise UserError(
            f"{config_text(config)} cannot be timed: {outcome.message}"
            + (f"\nIt wrote at last:\n{said}" if said else "")
        )
    return _found(task, config, outcome, text)


def _run(
    spec: SearchSpec, task: Task, config: Config, caps: ThreadEnv, platform: Platform, log: Path
) -> Outcome:
    chosen = variables_of(config)
    base = ray_env.for_child(os.environ) | chosen
    request = TrialRequest(
        workload=task.workload,
        config=config,
        options=task.options | task.run_options,
        platform=platform,
        cpus=caps.cpus,
        sampling=_SAMPLING,
    )
    *_, outcome = run_child(
        request,
        environment=thread_env.with_chosen(base | caps.variables, chosen),
        log_path=log,
        thread_cap=caps.cap,
        timeout_s=spec.trial_timeout_s,
    )
    assert isinstance(outcome, Outcome)
    return outcome


def _found(task: Task, config: Config, outcome: Outcome, text: str) -> Probed:
    measured = outcome.measurement
    assert measured is not None
    options = revive(CommandOptions, task.options)
    lines = [clean(line) for line in re.split(r"[\r\n]+", text)]
    reading = first_to_match(options.readings, lines)
    assert reading is not None, "what was timed was read of a line"
    matched = [line for line in lines if reading.compiled().search(line)]
    name = "" if reading.preset is None else f" (preset {reading.preset})"
    speed = units.speed_interval(measured.steps_per_second, measured.low, measured.high)
    needs = [f"{units.duration(outcome.wall_s)} a trial"]
    if outcome.peak_host_bytes is not None:
        needs.append(f"{units.size(outcome.peak_host_bytes)} of host memory")
    if measured.peak_device_bytes is not None:
        needs.append(f"{units.size(measured.peak_device_bytes)} of the GPU's")
    if outcome.peak_threads is not None:
        needs.append(units.plural(outcome.peak_threads, "thread"))
    return Probed(
        sentences=(
            f"{config_text(config)}: {speed} {reading.units}/s{name}, {', '.join(needs)}.",
            f"Read from {shlex.quote(reading.pattern)}, "
            f"{units.plural(len(matched), 'line')}, such as:",
            *(f"  {line[:120]}" for line in matched[:_SHOWN_LINES]),
            "The command was: " + shlex.join(filled_in(config, options, Path("TRIAL_DIR"), {})[0]),
        ),
        options={"readings": [destructure(reading)]},
    )
