"""Kernel launches and bytes of one update, ours and the reference's, counted without a card.

    pip install -e .[cuda13,test]
    python -m benchmarks.launches [--gpu "RTX 4000 Ada" ...] [--num-envs 256] [--num-steps 128]

XLA compiles for each card of gpus.toml, or for those that are named, and the launches are read off
the program after all its passes: what a loop runs counts by the loop's trips. At 2 to 4 us each
they bound a rollout of a few thousand environments. The CUDA plugin compiles without a driver.
"""

import argparse
import collections
import dataclasses
from collections.abc import Iterator

from benchmarks.modelled import hlo


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Launches:
    """Launches of one program by kind of instruction.

    `unknown_loops` is the number of loops whose trips the compiler does not tell; each counts as
    one trip.
    """

    by_kind: dict[str, int]
    unknown_loops: int

    @property
    def total(self) -> int:
        """All launches."""
        return sum(self.by_kind.values())


def count(text: str) -> Launches:
    """Return the launches of a program from its text after optimisation. Pure."""
    read = hlo.program(text)
    by_kind: collections.Counter[str] = collections.Counter()
    for kernel in read.kernels:
        by_kind[kernel.opcode] += kernel.times
    return Launches(by_kind=dict(by_kind), unknown_loops=read.unknown_loops)


def main() -> None:
    """Print one row per card and environment."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpu", nargs="*", help="cards by name; all of gpus.toml if left out")
    parser.add_argument("--num-envs", type=int, default=256)
    parser.add_argument("--num-steps", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8192)
    arguments = parser.parse_args()
    sizes = (arguments.num_envs, arguments.num_steps, arguments.batch_size)
    print("| card | | ours | reference | ratio | ours, bytes | reference, bytes |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for line in rows(arguments.gpu, sizes):
        print(line, flush=True)


def rows(names: list[str] | None, sizes: tuple[int, int, int]) -> Iterator[str]:
    """Yield one row of the table per card and environment; `sizes` are envs, steps and batch."""
    # Lazy: counting a text needs no JAX.
    from benchmarks.ppo import both_workloads, environments
    from cluster.pages import units
    from trainables.jax_phase12.config import PpoConfig
    from tune.plan import gpus

    cards = [gpus.find(name) for name in names] if names else list(gpus.known())
    config = PpoConfig(num_envs=sizes[0], num_steps=sizes[1], batch_size=sizes[2])
    for gpu in cards:
        for name, env in environments():
            pair = [one.compiled_for(gpu.target()) for one in both_workloads(env, config)]
            launches = [count(one.text).total for one in pair]
            needs = " | ".join(units.size(one.program.device_bytes) for one in pair)
            yield (
                f"| {gpu.name} | {name} | {launches[0]:,} | {launches[1]:,} "
                f"| {launches[0] / launches[1]:.2f} | {needs} |"
            )


if __name__ == "__main__":
    main()
