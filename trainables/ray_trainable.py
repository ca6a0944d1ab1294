"""Ray Tune's end of a trial: build the capped environment, run the child, forward what it says."""

import dataclasses
import json
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Literal

import ray.tune

from cluster.node import limits, ray_env, thread_env
from trainables import compile_cache
from trainables.measurement import (
    Outcome,
    OutcomeKind,
    Progress,
    TrialRequest,
)
from trainables.process import run_child


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialOrder:
    """What the driver asks of a worker. `request.cpus` is left empty: the worker knows its CPUs.

    `name` is what Ray's dashboard calls the trial, and what loggers show of its order: they take
    the plain values that stand beside it in Tune's configuration. `compile_cache` is the folder of
    compiled programs, if there is one.
    """

    name: str
    request: TrialRequest
    framework: Literal["jax", "torch"]
    thread_cap: int
    timeout_s: float | None
    host_budget_bytes: int | None
    log: str
    compile_cache: str | None = None

    def __str__(self) -> str:
        return self.name


class RayTrial(ray.tune.Trainable):  # type: ignore[misc]
    """One trial of real training in a child process of this actor.

    Tune's configuration is the trial's own (`num_envs`, ...), for whoever logs it, and its `order`.
    Each step returns one message: `{"progress": ...}` while the trial lives, `{"outcome": ...}` and
    its `figures` at its end. The actor itself imports no framework and is reused, whatever happened
    to a child.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Prepare the trial of `config["order"]`."""
        self._messages = run_order(config["order"], environ=os.environ, slot=_slot())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Prepare the next trial in the same actor."""
        self._messages.close()
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Wait for the child's next message. It travels as JSON: Tune flattens nested results."""
        message = next(self._messages)
        text = json.dumps(dataclasses.asdict(message))
        if isinstance(message, Outcome):
            return {"outcome": text, "done": True, **figures(message)}
        return {"progress": text, "done": False}

    def cleanup(self) -> None:
        """End the child, if it still runs."""
        self._messages.close()


def figures(outcome: Outcome) -> dict[str, float]:
    """What loggers show of a trial: the numbers that were measured, under their own names.

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
    order: TrialOrder, *, environ: Mapping[str, str], slot: int = 0
) -> Generator[Progress | Outcome, None, None]:
    """Run the trial; if it dies of threads, run it again at half the cap, down to a cap of 1.

    The outcome is the last attempt's, with the cap that it ended under and the time of all. `slot`
    numbers the trials that run side by side on one machine, for CPUs of their own.
    """
    base = ray_env.for_child(environ)
    if order.compile_cache is not None:
        base |= compile_cache.variables(order.compile_cache, base)
    cap, wall_s = order.thread_cap, 0.0
    while True:
        caps = thread_env.build(
            cap,
            order.request.platform,  # type: ignore[arg-type]
            limits.cpus().allowed,
            base,
            order.framework,
            slot=slot,
        )
        messages = run_child(
            dataclasses.replace(order.request, cpus=caps.cpus),
            environment=base | caps.variables,
            log_path=Path(order.log),
            thread_cap=caps.cap,
            timeout_s=order.timeout_s,
            host_budget_bytes=order.host_budget_bytes,
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


def _slot() -> int:
    """The index of this actor's GPU, by which side-by-side trials share the CPUs out."""
    ids = ray.get_gpu_ids()
    return int(ids[0]) if ids and str(ids[0]).isdecimal() else 0
