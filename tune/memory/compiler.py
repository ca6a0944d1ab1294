"""Programs compiled in a child process, and never run, for the device memory that they need."""

import contextlib
import dataclasses
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.node.thread_env import ThreadEnv
from cluster.node.xla_flags import with_xla_flag
from cluster.pages import units
from search_spaces.config import Config
from trainables.measurement import Compiled, CompileRequest, Outcome, OutcomeKind
from trainables.process import run_child

_UNOPTIMISED = "--xla_backend_optimization_level=0"


class CompilingError(Exception):
    """The child died, or its workload cannot be compiled alone; the message has the evidence."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """A child that only compiles, with all that it needs except the configurations.

    `workload` is the factory's name, `options` are the factory's. `environment` is the child's
    whole environment, `target` as in `CompileRequest`; `timeout_s` is for each configuration.
    """

    workload: str
    options: Mapping[str, Any]
    caps: ThreadEnv
    environment: Mapping[str, str]
    log: Path
    timeout_s: float
    target: str | None = None

    def compile(
        self, configs: Sequence[Config], *, patience_s: float | None = None
    ) -> Generator[Compiled, None, None]:
        """Yield the compiler's answer to each configuration; closing the iterator ends the child.

        `patience_s` is the time for all of them together.

        Raises:
            CompilingError: if it ended before all was compiled.
        """
        request = CompileRequest(
            workload=self.workload,
            configs=tuple(configs),
            options=dict(self.options),
            cpus=self.caps.cpus,
            target=self.target,
        )
        messages = run_child(
            request,
            environment=self.environment if self.target else unoptimised(self.environment),
            log_path=self.log,
            thread_cap=self.caps.cap,
            timeout_s=self.timeout_s * len(configs) if patience_s is None else patience_s,
        )
        with contextlib.closing(messages):  # which ends the child
            for message in messages:
                if isinstance(message, Outcome):
                    if message.kind is OutcomeKind.TIMEOUT and patience_s is not None:
                        given = units.duration(patience_s)
                        raise CompilingError(f"Compiling was given {given}, and takes longer here.")
                    if message.kind is not OutcomeKind.COMPLETED:
                        raise CompilingError(message.message)
                elif message.compiled is not None:
                    yield message.compiled


def unoptimised(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment of a child whose programs never run, so that LLVM need not optimise.

    That is for a CPU: XLA has laid out all buffers when LLVM begins, so the bytes are the same
    after two thirds of the time (benchmarks/look_ahead.py). A GPU's compiler is left as it is,
    because it runs what it generates to choose the fastest.
    """
    if environment.get("JAX_PLATFORMS") != "cpu":
        return environment
    flags = with_xla_flag(environment.get("XLA_FLAGS", "").strip(), _UNOPTIMISED)
    return {**environment, "XLA_FLAGS": flags}
