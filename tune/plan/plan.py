"""What would fit on a GPU that nobody has rented yet: python -m tune.jax_phase12 --plan "RTX 4090"

JAX's CUDA plugin compiles for a GPU that is not here, without a driver, and gives that GPU's memory
analysis. It cannot say how fast a program is: that takes the card.
"""

import dataclasses
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cluster.node import limits, ray_env, thread_env
from cluster.node.thread_env import NoRoomError
from search_spaces.space import SearchSpace
from tune.memory import capacity
from tune.memory import model as memory_model
from tune.memory.capacity import Capacity
from tune.memory.compiler import Compiler, CompilingError
from tune.plan import gpus
from tune.plan import view as plan_view
from tune.plan.gpus import KnownGpu
from tune.preflight import judge as preflight
from tune.search.finals import Key, key
from tune.spec import SearchSpec, SpecError, Task
from tune.summary import outcomes as words

_MOST_COMPILES = 24
"""At 8 s each, what a person waits for; what is still in doubt then is called so."""

_PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")
_INSTALL = "pip install -e '.[cuda13]' (3 GB, no driver needed)"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What fits on `gpu`. `ahead` says that its own programs were compiled, not the CPU's.

    `note` says in words what is to be known of the figures, or is empty.
    """

    gpu: KnownGpu
    capacity: Capacity
    ahead: bool
    note: str


def run(name: str, spec: SearchSpec, task: Task, space: SearchSpace) -> int:
    """Compile, say what fits, return 0 if anything does, else 1.

    Raises:
        SpecError: if the GPU is not known, or there is nothing here to compile with.
    """
    gpu = gpus.find(name)
    configs = _configurations(space)
    budget_bytes = _budget_bytes(spec, gpu)
    say: Callable[[str], None] = (lambda _: None) if spec.json else _say
    say(f"{task.name} on {gpu.name}, {words.plural(len(configs), 'configuration')}:")
    with tempfile.TemporaryDirectory(prefix="plan-") as folder:
        log = Path(folder) / "compile.log"
        plan = make(gpu, configs, budget_bytes, _compilers(spec, task, gpu, log), say)
    print(plan_view.to_json(plan) if spec.json else plan_view.render(plan))
    return 0 if any(entry.fit is capacity.Fit.FITS for entry in plan.capacity.entries) else 1


def make(
    gpu: KnownGpu,
    configs: list[dict[str, int]],
    budget_bytes: int,
    compilers: tuple[Compiler | str, Compiler],
    say: Callable[[str], None],
) -> Plan:
    """Compile for the GPU; where that cannot be done, for the CPU, with the reason.

    `compilers` are the GPU's, or the reason why there is none, and this CPU's.

    Raises:
        SpecError: if the CPU's programs do not compile either.
    """
    ahead, on_cpu = compilers
    if isinstance(ahead, str):
        reason = ahead
    else:
        try:
            found = explore(ahead, configs, budget_bytes, say)
            return Plan(gpu=gpu, capacity=found, ahead=True, note="")
        except CompilingError as error:
            reason = f"Compiling for {gpu.name} failed: {error}"
    say(reason)
    say("Compiling for this CPU instead.")
    try:
        found = explore(on_cpu, configs, budget_bytes, say)
    except CompilingError as error:
        raise SpecError(f"--plan cannot compile: {error}") from error
    note = (
        f"These are the bytes of programs compiled for the CPU, not for {gpu.name}: the GPU's "
        f"compiler fuses and lays out otherwise. {reason}"
    )
    return Plan(gpu=gpu, capacity=found, ahead=False, note=note)


def explore(
    compiler: Compiler,
    configs: list[dict[str, int]],
    budget_bytes: int,
    say: Callable[[str], None],
) -> Capacity:
    """Compile the corners of the space, then what is in doubt, and judge all.

    Raises:
        CompilingError: if the child died.
    """
    compiled: dict[Key, int] = {}
    tried: set[Key] = set()
    wanted = capacity.corners(configs)
    while wanted:
        for program in compiler.compile(wanted):
            tried.add(key(program.config))
            say(plan_view.compiled_line(program))
            if program.device_bytes is not None:
                compiled[key(program.config)] = program.device_bytes
        found = capacity.assess(configs, compiled, budget_bytes, on_gpu=True)
        # Half of what is in doubt at a time: what they teach the model settles others.
        doubtful = [config for config in capacity.in_doubt(found) if key(config) not in tried]
        wanted = doubtful[: min(_MOST_COMPILES - len(tried), -(-len(doubtful) // 2))]
    return found


def _configurations(space: SearchSpace) -> list[dict[str, int]]:
    configs = capacity.of_sizes(space)
    has_model = all(memory_model.applies_to(config) for config in configs)
    if not has_model and len(configs) > _MOST_COMPILES:
        raise SpecError(
            "--plan predicts by num_envs, num_steps and batch_size; of another space it compiles "
            f"every configuration, at most {_MOST_COMPILES}, got {len(configs)}: narrow --space."
        )
    return configs


def _budget_bytes(spec: SearchSpec, gpu: KnownGpu) -> int:
    try:
        if spec.memory_budget is not None:
            return preflight.parse_bytes(spec.memory_budget)
    except ValueError as error:
        raise SpecError(f"--memory-budget: {error}") from error
    return preflight.pool_bytes(gpu.memory_bytes, os.environ)


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
        raise SpecError(f"--plan: {error}") from error
    caps = thread_env.build(cap, "cpu", cpus.allowed, base)
    on_cpu = Compiler(
        task=task,
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
