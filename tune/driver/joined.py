"""A cluster of `cluster.join` as a search uses it: its classes, their limits, and their loss."""

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
import ray.exceptions
import ray.tune
import ray.util.scheduling_strategies

from cluster.errors import UserError
from cluster.join.hardware_class import HardwareClass
from cluster.node import hardware, ray_env, source
from tune.preflight import judge
from tune.preflight.findings import NotFitError, Preflight, PreflightRequest
from tune.spec import Task

_DIAL_S = 5.0
_CHECK_S = 120.0
_LOOK_S = 1.0
_PORT = 6379


@contextlib.contextmanager
def connect(address: str) -> Iterator[None]:
    """Connect to the cluster whose head is at `address`: an IP, `IP:PORT`, or Ray's own for jobs.

    Raises:
        UserError: if there is no such cluster, this host is not in it, or the token differs.
    """
    host, _, port = address.partition(":")
    if not port and host not in ("auto", "local"):
        port, address = str(_PORT), f"{host}:{_PORT}"
    if port:
        _dial(host, port)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="warning")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        # Ray raises the same, after 20 s, for a head that refuses and one that it cannot reach.
        raise UserError(
            f"cannot use the cluster at {address} from here: either this host has not joined it "
            "(python -m cluster.join), or its token is another one "
            f"({ray_env.token_path(os.environ)})."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def classes() -> dict[str, HardwareClass]:
    """Return the classes of the hosts that are alive, by name."""
    found: dict[str, HardwareClass] = {}
    for node in ray.nodes():
        if not node["Alive"]:
            continue
        for resource, amount in node["Resources"].items():
            name = hardware.class_of_resource(resource)
            if name is None:
                continue
            host = (node["NodeID"], node["NodeManagerAddress"], int(amount))
            known = found.get(name)
            found[name] = HardwareClass(
                name=name,
                hosts=(*known.hosts, host) if known else (host,),
                uses_gpu="GPU" in node["Resources"],
            )
    return dict(sorted(found.items()))


def require(name: str | None, *, timeout_s: float, note: Callable[[str], None]) -> HardwareClass:
    """Wait until the class `name`, or the only class, has a host with a free place.

    Raises:
        UserError: if there is none after `timeout_s`; names the classes that there are.
    """
    deadline, noted = time.monotonic() + timeout_s, False
    while True:
        found = classes()
        chosen = found.get(name) if name is not None else next(iter(found.values()), None)
        if chosen is not None and _free_places(chosen.name) >= 1:
            return chosen
        wanted = "any class" if name is None else f"class {name}"
        problem = f"no host of {wanted} is in the cluster (it has: {', '.join(found) or 'none'})"
        if chosen is not None:
            problem = f"all places of class {chosen.name} are taken by another search"
        if time.monotonic() > deadline:
            raise UserError(
                f"{problem}, for {timeout_s:.0f} s now: join one with python -m cluster.join "
                "worker, or wait longer with --class-timeout."
            )
        if not noted:
            note(f"Waiting: {problem}.")
            noted = True
        time.sleep(_LOOK_S)


def preflight(
    chosen: HardwareClass, request: PreflightRequest, *, files: tuple[str, ...]
) -> Preflight:
    """Judge every host of the class, on that host; return a verdict that holds on all of them.

    The verdict has the machine of the tightest host, and the smallest budgets. `files` must lie at
    the same path on each.

    Raises:
        NotFitError: naming the host and what to change there.
    """
    check = ray.remote(num_cpus=0, max_retries=0)(_check_here)
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    answers = [
        (
            address,
            check.options(scheduling_strategy=strategy(node_id, soft=False)).remote(
                code=source.digest(),
                files=files,
                request=dataclasses.replace(request, num_parallel_trials=num_trials, ray_runs=True),
            ),
        )
        for node_id, address, num_trials in chosen.hosts
    ]
    verdicts = [_verdict(address, answer) for address, answer in answers]
    tightest = min(verdicts, key=lambda one: (_cap(one), one.device_budget_bytes))
    return dataclasses.replace(
        tightest,
        device_budget_bytes=min(one.device_budget_bytes for one in verdicts),
        host_budget_bytes=min(one.host_budget_bytes for one in verdicts),
    )


def files_of(task: Task) -> tuple[str, ...]:
    """Return the files that the workload's options name: every host needs them."""
    values = task.options.values()
    words = [w for value in values for w in (value if isinstance(value, list | tuple) else [value])]
    paths = [Path(word) for word in words if isinstance(word, str)]
    return tuple(str(path) for path in paths if path.is_absolute() and path.is_file())


class ClassWatch(ray.tune.Stopper):  # type: ignore[misc]
    """Ends a search whose class has had no host for `timeout_s`; Ray alone would wait for ever."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self.is_lost = False
        self._name = name
        self._timeout_s = timeout_s
        self._gone_since: float | None = None
        self._look_at = 0.0

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no single trial."""
        return False

    def stop_all(self) -> bool:
        """Look once a second; Ray Tune asks much more often."""
        now = time.monotonic()
        if self.is_lost or now < self._look_at:
            return self.is_lost
        self._look_at = now + _LOOK_S
        if ray.cluster_resources().get(hardware.class_resource(self._name), 0) >= 1:
            self._gone_since = None
            return False
        if self._gone_since is None:
            self._gone_since = now
        self.is_lost = now - self._gone_since >= self._timeout_s
        return self.is_lost


def _dial(host: str, port: str) -> None:
    """Open a connection to the head, to fail early.

    Ray would try for half a minute and then fail with a message of its C++ core.

    Raises:
        UserError: if nothing answers.
    """
    try:
        with socket.create_connection((host, int(port)), timeout=_DIAL_S):
            return
    except (OSError, ValueError) as error:
        raise UserError(
            f"--address: no head answers at {host} port {port} ({error}). Start one there with "
            "python -m cluster.join head."
        ) from error


def _free_places(name: str) -> float:
    return float(ray.available_resources().get(hardware.class_resource(name), 0))


def _check_here(*, code: str, files: tuple[str, ...], request: PreflightRequest) -> Preflight | str:
    """On a host of the cluster: its preflight, or why it cannot take part."""
    if source.digest() != code:
        return "its code is another one: bring all hosts to the same commit, and join them again."
    missing = [path for path in files if not Path(path).is_file()]
    if missing:
        return f"it has no {missing[0]}: copy the file to the same path on every host."
    return judge.check(request)


def _verdict(address: str, answer: Any) -> Preflight:
    try:
        verdict = ray.get(answer, timeout=_CHECK_S)
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines()[-1]
        raise NotFitError(f"{address} could not be checked: {said}") from error
    if isinstance(verdict, str):
        raise NotFitError(f"{address} cannot take part: {verdict}")
    assert isinstance(verdict, Preflight)
    if not verdict.fit:
        raise NotFitError(f"{address}: {verdict.problems[0]}")
    return verdict


def _cap(verdict: Preflight) -> int:
    assert verdict.thread_env is not None
    return verdict.thread_env.cap
