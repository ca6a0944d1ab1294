"""Places for trials side by side on one machine: a GPU each, with CPUs of its own near it. Pure."""

from collections.abc import Sequence

from cluster.node.cores import deal
from tune.preflight.findings import Findings, GpuPlace


def gpu_places(findings: Findings, names: Sequence[str], cap: int) -> tuple[GpuPlace, ...]:
    """Return a place for each of these GPUs, with `cap` CPUs: near ones first, then what is left.

    `names` are of the findings' GPUs. There are CPUs for all.
    """
    near = {one.name: one.near_cpus for one in findings.gpus}
    free = list(findings.cpus.allowed)
    taken: dict[str, tuple[int, ...]] = {}

    def place(wanting: Sequence[str], cpus: Sequence[int]) -> None:
        fitting = wanting[: len(cpus) // cap]
        dealt = deal(cpus, findings.cpus.cores, len(fitting)) if fitting else ()
        for name, own in zip(fitting, dealt, strict=True):
            taken[name] = own[:cap]
            for cpu in taken[name]:
                free.remove(cpu)

    for side in dict.fromkeys(near.get(name, ()) for name in names):
        wanting = [name for name in names if near.get(name, ()) == side]
        place(wanting, [cpu for cpu in free if cpu in side])
    place([name for name in names if name not in taken], free.copy())
    return tuple(GpuPlace(name=name, cpus=tuple(sorted(taken[name]))) for name in names)
