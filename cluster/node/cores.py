"""CPUs as threads of cores, and how trials side by side divide them. Pure."""

import itertools
from collections.abc import Iterable, Sequence

Cores = Sequence[Sequence[int]]
"""The CPUs of each core; one that is in none is a core by itself."""


def cores_first(cpus: Iterable[int], cores: Cores) -> tuple[int, ...]:
    """Put one CPU of each core first: on many hosts CPUs 0 and 1 are two threads of one core."""
    core_of = _core_of(cores)
    seen: set[tuple[int, ...]] = set()
    firsts: list[int] = []
    siblings: list[int] = []
    for cpu in cpus:
        core = core_of.get(cpu, (cpu,))
        (siblings if core in seen else firsts).append(cpu)
        seen.add(core)
    return (*firsts, *siblings)


def deal(cpus: Iterable[int], cores: Cores, num_places: int) -> tuple[tuple[int, ...], ...]:
    """Return the CPUs of each of so many places: equally many, and whole cores while they last.

    Two trials on the threads of one core would slow each other. Fewer CPUs than places are shared.
    """
    whole = _core_by_core(cpus, cores)
    size = max(1, len(whole) // num_places)
    starts = (size * place % len(whole) for place in range(num_places))
    return tuple(cores_first(whole[start : start + size], cores) for start in starts)


def own_first(
    cpus: Sequence[int], cores: Cores, places: Sequence[int], num_places: int
) -> tuple[int, ...]:
    """Return all CPUs in the order in which a trial takes them that has these places of all.

    Its own come first, in turns of its places; others follow for a cap beyond them.
    """
    dealt = deal(cpus, cores, num_places)
    own = itertools.chain.from_iterable(zip(*(dealt[place] for place in places), strict=True))
    return tuple(dict.fromkeys((*own, *cores_first(cpus, cores))))


def _core_by_core(cpus: Iterable[int], cores: Cores) -> tuple[int, ...]:
    core_of = _core_of(cores)
    return tuple(sorted(cpus, key=lambda cpu: (min(core_of.get(cpu, (cpu,))), cpu)))


def _core_of(cores: Cores) -> dict[int, tuple[int, ...]]:
    return {cpu: tuple(core) for core in cores for cpu in core}
