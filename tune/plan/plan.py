"""The configurations that would fit on a GPU before it is rented: --plan "RTX 4090"

JAX's CUDA plugin compiles for a GPU that is not here, without a driver, and gives that GPU's memory
analysis. It cannot tell how fast a program is: that takes the card.
"""

import dataclasses
from collections.abc import Callable

from cluster.errors import UserError
from search_spaces.config import Config, ConfigKey, config_key
from trainables.measurement import Compiled
from tune.memory import capacity
from tune.memory.capacity import Capacity
from tune.memory.compiler import Compiler, CompilingError
from tune.plan.gpus import KnownGpu

MOST_COMPILES = 24
"""As many as a person waits for, at 8 s each; what is in doubt then stays so."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The capacity of `gpu`. `ahead` says that its own programs were compiled, not the CPU's.

    `note` is a sentence about the figures, or empty.
    """

    gpu: KnownGpu
    capacity: Capacity
    ahead: bool
    note: str


def make(
    gpu: KnownGpu,
    configs: list[Config],
    budget_bytes: int,
    compilers: tuple[Compiler | str, Compiler],
    *,
    say: Callable[[str], None],
    on_program: Callable[[Compiled], None],
) -> Plan:
    """Compile for the GPU; if that cannot be done, for the CPU, with the reason in `note`.

    `compilers` are the GPU's, or the reason why there is none, and this CPU's. `say` is given
    sentences, `on_program` every program as it is compiled.

    Raises:
        UserError: if the CPU's programs do not compile either.
    """
    ahead, on_cpu = compilers
    if isinstance(ahead, str):
        reason = ahead
    else:
        try:
            found = explore(ahead, configs, budget_bytes, on_program)
            return Plan(gpu=gpu, capacity=found, ahead=True, note="")
        except CompilingError as error:
            reason = f"Compiling for {gpu.name} failed: {error}"
    say(reason)
    say("Compiling for this CPU instead.")
    try:
        found = explore(on_cpu, configs, budget_bytes, on_program)
    except CompilingError as error:
        raise UserError(f"--plan cannot compile: {error}") from error
    note = (
        f"These are the bytes of programs compiled for the CPU, not for {gpu.name}: the GPU's "
        f"compiler fuses and lays out otherwise. {reason}"
    )
    return Plan(gpu=gpu, capacity=found, ahead=False, note=note)


def explore(
    compiler: Compiler,
    configs: list[Config],
    budget_bytes: int,
    on_program: Callable[[Compiled], None],
) -> Capacity:
    """Compile the corners of the space and then what is in doubt; judge all configurations.

    Raises:
        CompilingError: if the child died.
    """
    compiled: dict[ConfigKey, int] = {}
    tried: set[ConfigKey] = set()
    wanted = capacity.corners(configs)
    while wanted:
        for program in compiler.compile(wanted):
            tried.add(config_key(program.config))
            on_program(program)
            if program.device_bytes is not None:
                compiled[config_key(program.config)] = program.device_bytes
        found = capacity.assess(configs, compiled, budget_bytes, on_gpu=True)
        # Half of what is in doubt at a time: the model learns from them and may decide the others.
        doubtful = [
            config for config in capacity.in_doubt(found) if config_key(config) not in tried
        ]
        wanted = doubtful[: min(MOST_COMPILES - len(tried), -(-len(doubtful) // 2))]
    return found
