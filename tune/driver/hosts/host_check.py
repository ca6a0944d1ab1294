"""The preflight of a search on one host of a cluster, asked for from here."""

import dataclasses
import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import ray
import ray.exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.node import nvml, source
from cluster.node.thread_env import Framework
from tune.preflight import judge
from tune.preflight.findings import Preflight, PreflightRequest

CHECK_S = 120.0
"""Seconds that a host has for its answer: a worker must start there."""
_OF_INDEX = {"pynvml": "nvidia-ml-py", "ray.tune": "ray[tune]"}
"""Packages by what brings them, where that has another name."""
_NEEDED: dict[Framework, tuple[str, ...]] = {"jax": ("jax", "numpy"), "torch": ("torch",)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HostCheck:
    """A question that every host of a search is asked.

    `request` is that of one trial; `files`, and folders, are to lie at the same path on each host.
    """

    request: PreflightRequest
    files: tuple[str, ...] = ()

    def ask(self, node_id: str, *, num_trials: int) -> Any:
        """Ask the host for its preflight, with so many trials side by side; see `answer`."""
        strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task = ray.remote(num_cpus=0, max_retries=0)(check_here).options(
            scheduling_strategy=strategy
        )
        return task.remote(
            code=source.digest(),
            files=self.files,
            request=dataclasses.replace(
                self.request, num_parallel_trials=num_trials, max_gpus=1, ray_runs=True
            ),
        )


def answer(asked: Any, *, timeout_s: float = CHECK_S) -> Preflight | str:
    """Wait for what `HostCheck.ask` asked for; return it, or why the host cannot take part."""
    try:
        verdict = ray.get(asked, timeout=timeout_s)
    except ray.exceptions.GetTimeoutError:
        return f"it did not answer within {CHECK_S:.0f} s."
    except ray.exceptions.RayError as error:
        return _fault(str(error))
    assert isinstance(verdict, Preflight | str)
    if isinstance(verdict, Preflight) and not verdict.fit:
        return str(verdict.problems[0])
    return verdict


def check_here(*, code: str, files: tuple[str, ...], request: PreflightRequest) -> Preflight | str:
    """Check the host on which this runs: return its preflight, or why it cannot take part."""
    if source.digest() != code:
        return "its code is another one: bring all hosts to the same commit, and join them again."
    missing = [path for path in files if not Path(path).exists()]
    if missing:
        return f"it has no {missing[0]}: copy it to the same path on every host."
    needed = _NEEDED.get(request.framework, ()) + ("pynvml",) * nvml.has_device_file()
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    try:
        importlib.import_module("ray.tune")
    except ImportError:  # a bare `pip install ray` brings no Tune
        absent.append("ray.tune")
    if absent:
        return _lacks(absent[0])
    return judge.check(request)


def _lacks(package: str) -> str:
    name = _OF_INDEX.get(package, package)
    return f"its Python has no {package}: pip install '{name}' there."


def _fault(said: str) -> str:
    """Return the cause of a check that failed, in one sentence."""
    if missing := re.search(r"No module named '([\w.]+)'", said):
        return _lacks(missing[1])
    last = said.strip().splitlines()[-1].strip()
    return f"its check failed: {last.rstrip('.')}."
