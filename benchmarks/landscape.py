"""A landscape: every configuration of a space, measured in real trials, to replay searches on.

    python -m benchmarks.landscape record --phase 1 --out FILE.json [--space num_envs=64:1024 ...]
    python -m benchmarks.landscape show FILE.json ...

Every visit is a trial as a search runs it: the same child, in a fresh process, under the same caps.
One pass visits every configuration in a random order. Then the leaders are visited again, in order
and in reverse, because the fastest of many noisy figures is too fast. A canary, the lightest
configuration, is visited all along and tells how the machine's own speed moved.

After a kill, the same command goes on where it was. Measurements are shorter than in a search; the
file says how they were taken.
"""

import dataclasses
import datetime
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from benchmarks import recorded
from benchmarks.recorded import ConfigValues, Landscape, Visit
from cluster import cli
from cluster.errors import UserError
from cluster.node import hardware, limits, thread_env
from cluster.node.hardware import Machine
from cluster.node.thread_env import Platform
from search_spaces import jax_phase12
from search_spaces.space import SearchSpace
from trainables.measurement import Outcome, OutcomeKind, TrialRequest
from trainables.process import run_child
from trainables.sampling import Sampling
from tune.jax_phase12 import JaxSpec, task_of
from tune.spec import Task

SAMPLING = Sampling(block_s=0.3, relative_half_width=0.02, min_blocks=5, max_measure_s=2.0)
_NUM_LEADERS = 10
_LEADER_VISITS = 2
_CANARY_EVERY = 10
_AHEAD = 8
_TIMEOUT_S = 180.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordLandscape(JaxSpec):
    """Record every configuration of a space in real trials; the same command again goes on."""

    out: Path = Path("landscape.json")
    """The file to write."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowLandscapes:
    """Print what landscapes hold: size, speeds, noise, and how the machine's speed moved."""

    files: tyro.conf.Positional[tuple[Path, ...]]


LandscapeCommand = (
    Annotated[RecordLandscape, tyro.conf.subcommand("record")]
    | Annotated[ShowLandscapes, tyro.conf.subcommand("show")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return cli.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    command: RecordLandscape | ShowLandscapes = tyro.cli(
        LandscapeCommand, args=arguments, prog="python -m benchmarks.landscape", description=__doc__
    )
    if isinstance(command, RecordLandscape):
        record(command)
    else:
        for path in command.files:
            show(path)
    return 0


Ahead = Callable[[Sequence[dict[str, int]]], None]
"""Called before each visit with the next configurations, that one first."""


def record(
    spec: RecordLandscape, *, variables: Mapping[str, str] | None = None, ahead: Ahead | None = None
) -> None:
    """Make every visit that the file lacks, and write the file after each.

    `variables` are added to the trials' environment. What `ahead` raises ends the recording; the
    visits so far are kept.

    Raises:
        UserError: if the file is of another recording.
    """
    task, machine = task_of(spec), hardware.probe()
    platform = _platform(spec, machine)
    cap = min(spec.thread_cap or thread_env.DEFAULT_CAP, len(limits.cpus().allowed))
    empty = _empty(spec, task, machine, platform, cap)
    landscape = _begin_or_go_on(spec.out, empty, machine)
    with tempfile.TemporaryDirectory(prefix="landscape-") as folder:
        caps = thread_env.build(cap, platform, limits.cpus().allowed, os.environ)
        environment = {**os.environ, **caps.variables, **(variables or {})}
        started = time.monotonic() - max((visit.at_s for visit in landscape.visits), default=0.0)
        while steps := list(itertools.islice(_missing(landscape), _AHEAD)):
            configs = [dict(zip(landscape.axes, config, strict=True)) for _, config in steps]
            if ahead is not None:
                ahead(configs)
            load, at_s = os.getloadavg()[0], time.monotonic() - started
            request = TrialRequest(
                workload=task.workload,
                config=configs[0],
                options=task.options,
                platform=platform,
                cpus=caps.cpus,
                sampling=SAMPLING,
            )
            *_, outcome = run_child(
                request,
                environment=environment,
                log_path=Path(folder) / "trial.log",
                thread_cap=caps.cap,
                timeout_s=_TIMEOUT_S,
            )
            assert isinstance(outcome, Outcome)
            if outcome.kind is OutcomeKind.ERROR:
                raise UserError(f"a trial failed: {outcome.message}")
            visit = _visit(*steps[0], outcome, load=load, at_s=at_s)
            landscape = dataclasses.replace(landscape, visits=(*landscape.visits, visit))
            recorded.write(spec.out, landscape)
            print(_line(visit), flush=True)


def _platform(spec: RecordLandscape, machine: Machine) -> Platform:
    is_gpu = spec.device == "gpu" or (spec.device == "auto" and machine.gpus)
    return "cuda" if is_gpu else "cpu"


def _empty(
    spec: RecordLandscape, task: Task, machine: Machine, platform: Platform, cap: int
) -> Landscape:
    """Return the landscape before its first visit."""
    space = SearchSpace(axes=())
    if spec.workload is None or not spec.space:
        space = jax_phase12.space(platform=platform, num_cpus=cap)
    space = space.override(spec.space)
    default = dict(jax_phase12.PHASE12_BASELINE) | {
        name: int(value) for name, _, value in (item.partition("=") for item in spec.baseline)
    }
    about = {
        "workload": task.workload,
        "options": task.options,
        "data": task.data,
        "thread_cap": cap,
        "sampling": dataclasses.asdict(SAMPLING),
    }
    if platform == "cuda":
        about["gpu"] = machine.gpus[0].name
    axes = {axis.name: tuple(map(int, axis.values)) for axis in space.axes}
    return Landscape(
        about=about,
        axes=axes,
        baseline=tuple(default.get(name, values[0]) for name, values in axes.items()),
    )


def _begin_or_go_on(path: Path, empty: Landscape, machine: Machine) -> Landscape:
    if not path.exists():
        about = {
            "recorded_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": {
                "cpu": machine.cpu_model,
                "num_cpus": machine.num_cpus,
                "python": machine.python,
                "versions": machine.versions,
            },
        }
        return dataclasses.replace(empty, about=empty.about | about)
    known = recorded.read(path)
    for name, value in empty.about.items():
        if known.about.get(name) != json.loads(json.dumps(value)):
            raise UserError(
                f"{path} is of another recording: {name} differs; choose another --out."
            )
    if (known.axes, known.baseline) != (empty.axes, empty.baseline):
        raise UserError(f"{path} is of another space; choose another --out.")
    return known


def _missing(landscape: Landscape) -> Iterator[tuple[str, ConfigValues]]:
    """Yield the stages and configurations still to be visited after the visits so far, in order."""
    visits = landscape.visits
    since_canary = next(
        (back for back, visit in enumerate(reversed(visits)) if visit.stage == "canary"),
        len(visits),
    )
    configs = [tuple(config.values()) for config in landscape.space.configurations()]
    if not visits or since_canary >= _CANARY_EVERY:
        yield "canary", min(configs, key=math.prod)  # the lightest: it costs the least
    done = {visit.config for visit in landscape.of("pass")}
    order = np.random.default_rng(1).permutation(len(configs))
    yield from (("pass", configs[i]) for i in order if configs[i] not in done)
    leaders = leading(landscape)
    counts = dict.fromkeys(leaders, 0)
    for visit in landscape.of("leaders"):
        counts[visit.config] += 1
    for number in range(_LEADER_VISITS):  # there and back, as the finals of a search
        for config in leaders if number % 2 == 0 else leaders[::-1]:
            if counts[config] <= number:
                yield "leaders", config


def leading(landscape: Landscape) -> list[ConfigValues]:
    """Return the configurations that the pass found the fastest, best first."""
    means = {
        config: speed
        for config, visits in recorded.by_config(landscape.of("pass")).items()
        if (speed := recorded.geometric_mean(visits)) is not None
    }
    return sorted(means, key=lambda config: -means[config])[:_NUM_LEADERS]


def _visit(
    stage: str, config: ConfigValues, outcome: Outcome, *, load: float, at_s: float
) -> Visit:
    measured = outcome.measurement
    names = ("steps_per_second", "low", "high", "num_blocks", "startup_s", "build_s", "compile_s")
    figures = {
        name: getattr(measured, name) for name in (*names, "warmup_s", "measure_s") if measured
    }
    return Visit(
        stage=stage,
        config=config,
        kind=outcome.kind,
        at_s=at_s,
        load=load,
        wall_s=outcome.wall_s,
        device_bytes=outcome.predicted_device_bytes,
        peak_host_bytes=outcome.peak_host_bytes,
        **figures,
    )


def _line(visit: Visit) -> str:
    speed = f"{visit.steps_per_second:,.0f} env steps/s" if visit.steps_per_second else visit.kind
    return f"{visit.at_s:7.1f} s  {visit.stage:<8} {visit.config}  {speed}  ({visit.wall_s:.1f} s)"


def show(path: Path) -> None:
    """Print one landscape's summary."""
    landscape = recorded.read(path)
    truth = recorded.true_speeds(landscape)
    ranked = sorted(truth, key=lambda config: -truth[config])
    noise = math.sqrt(statistics.fmean(x * x for x in recorded.residuals(landscape)))
    best = truth[ranked[0]]
    print(f"{path.name}: {landscape.about['workload']}, {landscape.space.describe()}")
    if landscape.is_model:
        print(f"  a model of {landscape.about['gpu']}: {landscape.about['model']}")
    print(f"  {len(truth)} configurations, {len(landscape.visits)} visits")
    print(f"  best {dict(zip(landscape.axes, ranked[0], strict=True))}: {best:,.0f} env steps/s")
    shares = [truth[config] / best for config in ranked]
    near = sum(share >= 0.95 for share in shares), sum(share >= 0.98 for share in shares)
    print(f"  within 5 %: {near[0]}, within 2 %: {near[1]}, median {statistics.median(shares):.0%}")
    print(f"  one visit is off by {noise:.1%} (standard deviation between fresh processes)")
    canaries = [v.steps_per_second for v in landscape.of("canary") if v.steps_per_second]
    if not canaries:
        return
    middle = statistics.median(canaries)
    print(
        f"  the canary's {len(canaries)} visits: {min(canaries) / middle:.0%} to "
        f"{max(canaries) / middle:.0%} of their median"
    )


if __name__ == "__main__":
    sys.exit(main())
