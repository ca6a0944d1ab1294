"""The --plan command: compile for a GPU that is not here, and say what fits."""

import dataclasses
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cluster.errors import UserError
from cluster.node import limits, ray_env, thread_env
from cluster.node.thread_env import NoRoomError
from cluster.pages import units
from search_spaces.config import Config
from search_spaces.space import SearchSpace
from tune.memory import capacity
from tune.memory.compiler import Compiler
from tune.plan import gpus, view
from tune.plan.gpus import KnownGpu
from tune.plan.plan import MOST_COMPILES, make
from tune.preflight import device
from tune.spec import SearchSpec, Task

_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")

_INSTALL = "pip install -e '.[cuda13]' (3 GB, no driver needed)"


def run(name: str, spec: SearchSpec, task: Task, space: SearchSpace) -> int:
    """Compile, say what fits, return 0 if anything does, else 1.

    Raises:
        UserError: if the GPU is not known, or there is nothing here to compile with.
    """
    gpu = gpus.find(name)
    configs = _configurations(space)
    budget_bytes = _budget_bytes(spec, gpu)
    say: Callable[[str], None] = (lambda _: None) if spec.json else _say
    for text in task.notes:
        say(text)
    say(f"{task.name} on {gpu.name}, {units.plural(len(configs), 'configuration')}:")
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        log = Path(folder) / "compile.log"
        plan = make(
            gpu,
            configs,
            budget_bytes,
            _compilers(spec, task, gpu, log),
            say=say,
            on_program=lambda program: say(view.compiled_line(program)),
        )
    print(view.to_json(plan) if spec.json else view.render(plan))
    return 0 if any(entry.fit is capacity.Fit.FITS for entry in plan.capacity.entries) else 1


def _configurations(space: SearchSpace) -> list[Config]:
    configs = capacity.of_sizes(space)
    if not capacity.are_alike(configs) and len(configs) > MOST_COMPILES:
        raise UserError(
            "--plan predicts by num_envs, num_steps and batch_size or num_minibatches; if others "
            f"differ it compiles every configuration, at most {MOST_COMPILES}, got {len(configs)}: "
            "narrow --space."
        )
    return configs


def _budget_bytes(spec: SearchSpec, gpu: KnownGpu) -> int:
    return spec.memory_budget_bytes or device.pool_bytes(gpu.memory_bytes, os.environ)


def _compilers(
    spec: SearchSpec, task: Task, gpu: KnownGpu, log: Path
) -> tuple[Compiler | str, Compiler]:
    base = ray_env.for_child(os.environ)
    cpus = limits.cpus()
    try:
        cap = thread_env.choose_cap(
            limits=limits.threads(),
            cpus=cpus,
            platform="cuda",  # whose compiler takes more threads than the CPU's
            ray_threads=0,
            requested=spec.thread_cap,
        )
    except NoRoomError as error:
        raise UserError(f"--plan: {error}") from error
    caps = thread_env.build(cap, "cpu", cpus.allowed, base)
    on_cpu = Compiler(
        workload=task.workload,
        options=task.options,
        caps=caps,
        environment=base | caps.variables,
        log=log,
        timeout_s=spec.trial_timeout_s,
    )
    if not any(importlib.util.find_spec(plugin) for plugin in _PLUGINS):
        return f"JAX's CUDA plugin is not installed here. For the GPU's own: {_INSTALL}.", on_cpu
    # The plugin compiles from a description: it must not look for a card, nor for its driver.
    variables = thread_env.build(cap, "cuda", cpus.allowed, base).variables | caps.variables
    environment = base | variables | {"JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"}
    return dataclasses.replace(on_cpu, environment=environment, target=gpu.target()), on_cpu


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)
