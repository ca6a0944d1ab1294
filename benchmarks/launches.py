"""Kernel launches and bytes of one update, ours and the reference's, counted without a card.

    pip install -e .[cuda13,test]
    python -m benchmarks.launches [--gpu "RTX 4000 Ada" ...] [--num-envs 256] [--num-steps 128]

XLA compiles for each card of gpus.toml, or for those that are named, and the launches are read off
the program after all its passes: what a loop runs counts by the loop's trips. At 2 to 4 us each
they bound a rollout of a few thousand environments. The CUDA plugin compiles without a driver.
"""

import argparse
import dataclasses
import re
from collections.abc import Iterator, Mapping

_FREE = frozenset(
    {
        "add-dependency",
        "after-all",
        "bitcast",
        "constant",
        "domain",
        "get-tuple-element",
        "opt-barrier",
        "parameter",
        "partition-id",
        "replica-id",
        "tuple",
    }
)
"""Instructions that run nothing on the device."""
_FREE_TARGETS = frozenset({"AllocateBuffer", "Sharding", "annotate_device_placement"})
_HEAD = re.compile(r"^(ENTRY )?%?([\w.-]+) .*\{$")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_TARGET = re.compile(r'custom_call_target="([^"]+)"')
_CALLED = re.compile(r"\b(?:to_apply|calls)=%?([\w.-]+)")
_BODY = re.compile(r"\bbody=%?([\w.-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_EITHER = re.compile(r"\b(?:true|false)_computation=%?([\w.-]+)")


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


def count(hlo: str) -> Launches:
    """Return the launches of a program from its text after optimisation. Pure."""
    computations, entry = _computations(hlo)
    by_kind: dict[str, int] = {}
    unknown = 0

    def walk(name: str, times: int) -> None:
        nonlocal unknown
        for opcode, line in computations[name]:
            if opcode == "while":
                trips, body = _TRIPS.search(line), _BODY.search(line)
                assert body is not None
                unknown += trips is None
                walk(body[1], times * (int(trips[1]) if trips else 1))
            elif opcode == "conditional":
                walk(_costliest(computations, line), times)
            elif opcode in {"call", "async-start"} and (called := _CALLED.search(line)):
                walk(called[1], times)
            elif not _is_free(opcode, line):
                by_kind[opcode] = by_kind.get(opcode, 0) + times

    walk(entry, 1)
    return Launches(by_kind=by_kind, unknown_loops=unknown)


def _computations(hlo: str) -> tuple[dict[str, list[tuple[str, str]]], str]:
    """Return each computation's instructions as (opcode, line), and the name of the entry."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    entry = ""
    for line in hlo.splitlines():
        if not line.startswith((" ", "}")) and (head := _HEAD.match(line)):
            current = found.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith(" ") and (opcode := _opcode(line)):
            current.append((opcode, line))
    if not entry:
        raise ValueError("not the text of a compiled program: it has no ENTRY.")
    return found, entry


def _opcode(line: str) -> str | None:
    """Return the opcode of `%name = type opcode(...)`; a tuple's type is in brackets."""
    _, equals, rest = line.partition(" = ")
    if not equals:
        return None
    if rest.startswith("("):
        depth = 0
        for place, character in enumerate(rest):
            depth += (character == "(") - (character == ")")
            if depth == 0:
                rest = rest[place + 1 :]
                break
    else:
        rest = rest.partition(" ")[2]
    return rest.strip().partition("(")[0] or None


def _is_free(opcode: str, line: str) -> bool:
    """Return whether nothing is launched: the end of what `-start` launched is a wait."""
    if opcode in _FREE or opcode.endswith("-done"):
        return True
    target = _TARGET.search(line) if opcode == "custom-call" else None
    return target is not None and target[1] in _FREE_TARGETS


def _costliest(computations: Mapping[str, list[tuple[str, str]]], line: str) -> str:
    listed = _BRANCHES.search(line)
    names: list[str] = re.findall(r"[\w.-]+", listed[1]) if listed else _EITHER.findall(line)
    return max(names, key=lambda name: len(computations[name]))


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
