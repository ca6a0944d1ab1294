"""A compiler that knows the bytes without compiling, and the space that it is asked about."""

from collections.abc import Generator, Sequence
from typing import Any

from search_spaces.space import Axis, SearchSpace, doubling
from trainables.measurement import Compiled
from tune.memory import capacity
from tune.memory.compiler import Compiler, CompilingError

SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=doubling(512, 16384)),
        Axis(name="num_steps", values=(64, 128)),
        Axis(name="batch_size", values=doubling(4096, 65536)),
        Axis(name="num_epochs", values=(2, 4)),
    )
)


CONFIGS = capacity.of_sizes(SPACE)

QUIET: dict[str, Any] = {"say": lambda _: None, "on_program": lambda _: None}
"""Callbacks of `plan.make` that print nothing."""


def need(config: dict[str, int]) -> int:
    samples = config["num_envs"] * config["num_steps"]
    return 30_000_000 + 2_000 * samples + 8_000 * config["batch_size"]


class FakeCompiler(Compiler):
    """Knows the bytes without compiling, dies after `lives` programs, remembers what was asked."""

    def __init__(self, *, lives: int = 10**6, target: str | None = "a GPU") -> None:
        object.__setattr__(self, "lives", lives)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "asked", [])

    def compile(
        self, configs: Sequence[dict[str, int]], *, patience_s: float | None = None
    ) -> Generator[Compiled, None, None]:
        for config in configs:
            if len(self.asked) == self.lives:  # type: ignore[attr-defined]
                raise CompilingError("the child was ended by SIGABRT: sm_120 is not supported.")
            self.asked.append(config)  # type: ignore[attr-defined]
            yield Compiled(config=config, device_bytes=need(config), compile_s=2.0)
