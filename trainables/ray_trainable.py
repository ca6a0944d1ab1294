"""Ray Tune's side of a trial: build the capped environment, run the child, forward its messages."""

import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.tune
from ray.tune import PlacementGroupFactory

from cluster.node import limits, nvml, ray_env, source, thread_env
from cluster.node.cores import own_first
from cluster.node.thread_env import Framework
from search_spaces.config import variables_of
from trainables import compile_cache
from trainables.machine_speed import MachineBest
from trainables.measurement import (
    Outcome,
    OutcomeKind,
    Progress,
    TrialRequest,
)
from trainables.process import run_child
from trainables.travelled import PERSONS_FOLDER, Travelled, without_ours

_LONGEST_LOG_BYTES = 2**20
_GPUS = re.compile(r"GPU|GPU_group_[0-9A-Za-z]+")
"""Ray's resources that are GPUs, by themselves or in a placement group."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place for one trial: the resources that Ray must find on one of `nodes`, if any are given.

    `nodes` are Ray's own ids. `gpus` are the names of its GPUs for CUDA_VISIBLE_DEVICES where the
    driver gives them away, and `cpus` are that place's own; else Ray says which GPUs.
    """

    resources: dict[str, float]
    nodes: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()

    @property
    def label_selector(self) -> dict[str, str]:
        """Ray's selector of these nodes, for a placement group; empty for any node."""
        return {"ray.io/node-id": f"in({','.join(self.nodes)})"} if self.nodes else {}

    @property
    def variables(self) -> dict[str, str]:
        """The variable that shows the trial its own GPUs."""
        return {nvml.VISIBLE: ",".join(self.gpus)} if self.gpus else {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialOrder:
    """A driver's order to a worker. `request.cpus` is empty, because the worker knows its CPUs.

    `name` is the trial's name in Ray's dashboard, that of its worker there. It is also all that
    loggers show of the order; the values of the configuration stand beside it. `compile_cache` is
    the folder of compiled programs, if there is one. `log` is a file of the driver's. If
    `is_remote`, the worker may be another host: it writes elsewhere, and the outcome carries the
    log. `temporary` is the folder to make for its temporary files. `variables` are those that the
    preflight chose for this machine, as its GPU. `place` is where Ray runs the trial, and
    `travelled` has the files that came to that host with the search, if it had nothing of it.
    """

    name: str
    request: TrialRequest
    framework: Framework
    place: Place
    thread_cap: int
    timeout_s: float | None
    host_budget_bytes: int | None
    log: str
    compile_cache: str | None = None
    is_remote: bool = False
    temporary: str | None = None
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    travelled: Travelled | None = None

    def __str__(self) -> str:
        return self.name


class RayTrial(ray.tune.Trainable):  # type: ignore[misc]
    """One trial of real training in a child process of this actor.

    Tune's configuration is the trial's own (`num_envs`, ...), for whoever logs it, and its `order`.
    Each step returns one message: `{"progress": ...}` while the trial lives, `{"outcome": ...}` and
    its `figures` at its end. The actor itself imports no framework. So it can be reused after any
    child, also after one that died.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory | None:
        """Return what Ray must find before the trial starts, in the order's own place."""
        order: TrialOrder | None = config.get("order")
        if order is None:  # Tune asks once before there is a trial
            return None
        return PlacementGroupFactory(
            [order.place.resources], bundle_label_selector=[order.place.label_selector]
        )

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the trial of `config["order"]`."""
        order: TrialOrder = config["order"]
        self._folder: str | None = None
        if order.is_remote:
            self._folder = tempfile.mkdtemp(prefix="trial-")
            with contextlib.suppress(PermissionError):  # others' Ray nices its workers to 15
                os.setpriority(os.PRIO_PROCESS, 0, 0)
            order = dataclasses.replace(
                order,
                log=str(self._log(self._folder)),
                temporary=str(Path(self._folder, "t")),  # short, for sockets below it
            )
        self._name = order.name
        self._messages = run_order(order, environ=os.environ, cpus=_cpus())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare the next trial in the same actor."""
        self.cleanup()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the child's next message. It travels as JSON: Tune flattens nested results."""
        _call_process(self._name)
        message = next(self._messages)
        text = json.dumps(dataclasses.asdict(message))
        if not isinstance(message, Outcome):
            return {"progress": text, "done": False}
        result = {"outcome": text, "done": True, **figures(message)}
        if self._folder is not None:
            result["log"] = _tail(self._log(self._folder))
        return result

    def cleanup(self) -> None:
        """End the child, if it still runs."""
        self._messages.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _log(folder: str) -> Path:
        return Path(folder, "trial.log")


def _call_process(name: str) -> None:
    """Show the trial's name as this worker's, on the dashboard's page of hosts and in `top`.

    Ray names an actor once, and this one runs many trials; a new one for each would cost a second
    and more. Ray itself names the process anew with each call, by the same function.
    """
    with contextlib.suppress(AttributeError):  # it is none of Ray's promises
        ray._raylet.setproctitle(f"ray::{name}")


def figures(outcome: Outcome) -> dict[str, float]:
    """Return what loggers show of a trial: the measured numbers, under their own names.

    `completed` is 1 for a configuration that fits, else 0. Speeds are in env steps per second;
    what was not measured is absent.
    """
    found: dict[str, Any] = dataclasses.asdict(outcome)
    measured = found.pop("measurement") or {}
    health = measured.pop("health", {})
    named = found | measured | {f"health/{name}": value for name, value in health.items()}
    numbers = {
        name: float(value)
        for name, value in named.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return {"completed": float(outcome.kind is OutcomeKind.COMPLETED), **numbers}


def run_order(
    order: TrialOrder, *, environ: Mapping[str, str], cpus: Sequence[int]
) -> Generator[Progress | Outcome, None, None]:
    """Run the trial; if it dies of threads, run it again at half the cap, down to a cap of 1.

    The outcome is the last attempt's, with the cap that it ended under and the time of all. It
    takes the first of `cpus`, where the place has none of its own.
    """
    request, folder = order.request, None
    if order.travelled is not None:
        request, folder = (
            order.travelled.request(request, source.ROOT),
            source.ROOT / PERSONS_FOLDER,
        )
        environ = without_ours(environ, source.ROOT)
    chosen = variables_of(request.config)
    base = ray_env.for_child(environ) | order.variables | order.place.variables | chosen
    if order.compile_cache is not None:
        base |= compile_cache.variables(order.compile_cache, base)
    cap, wall_s = order.thread_cap, 0.0
    while True:
        caps = thread_env.build(
            cap,
            request.platform,  # type: ignore[arg-type]
            order.place.cpus or cpus,
            base,
            order.framework,
        )
        if caps.cap != order.thread_cap:  # the best was reached under that
            request = dataclasses.replace(request, machine_best=MachineBest())
        messages = run_child(
            dataclasses.replace(request, cpus=caps.cpus),
            environment=thread_env.with_chosen(base | caps.variables, chosen),
            log_path=Path(order.log),
            thread_cap=caps.cap,
            timeout_s=order.timeout_s,
            host_budget_bytes=order.host_budget_bytes,
            folder=folder,
            temporary=None if order.temporary is None else Path(order.temporary),
        )
        for message in messages:
            if isinstance(message, Progress):
                yield message
            else:
                outcome = message
        wall_s += outcome.wall_s
        if outcome.kind is not OutcomeKind.THREAD_LIMIT or caps.cap == 1:
            yield dataclasses.replace(outcome, wall_s=wall_s)
            return
        cap = caps.cap // 2


def _tail(log: Path) -> str:
    """Return the end of a trial's log, which says why it died. A whole log may be long."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LONGEST_LOG_BYTES))
        return file.read().decode(errors="replace")


def _cpus() -> tuple[int, ...]:
    """Return the CPUs of this host, first those that are of this actor's GPUs."""
    here = limits.cpus()
    return own_first(here.allowed, here.cores, *_own_gpus())


def _own_gpus() -> tuple[tuple[int, ...], int]:
    """Return the places of this actor's GPUs among those of its node, and how many that has.

    Ray promises their names for CUDA_VISIBLE_DEVICES alone, which may be any, in whatever order.
    """
    with contextlib.suppress(AttributeError):
        held = ray._private.worker.global_worker.core_worker.resource_ids()
        places = {place for name, ids in held.items() if _GPUS.fullmatch(name) for place, _ in ids}
        here = ray.get_runtime_context().get_node_id()
        [resources] = [node["Resources"] for node in ray.nodes() if node["NodeID"] == here]
        return tuple(sorted(places)), max(math.ceil(resources.get("GPU", 0)), 1)
    return (), 1
