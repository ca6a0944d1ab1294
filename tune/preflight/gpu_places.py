"""Places for trials side by side on one machine: a GPU each, with CPUs of its own near it. Pure."""

from collections.abc import Sequence

from tune.preflight.findings import Findings, GpuPlace


def gpu_places(findings: Findings, names: Sequence[str], cap: int) -> tuple[GpuPlace, ...]:
    """Return a place for each of these GPUs, with `cap` CPUs: near ones first, then what is left.

    `names` are of `findings.gpu_names`. There are CPUs for all.
    """
    near = dict(zip(findings.gpu_names, findings.gpu_cpus, strict=False))
    free = list(findings.cpus.allowed)
    taken: dict[str, list[int]] = {name: [] for name in names}
    for wants_near in (True, False):
        for name, own in taken.items():
            for cpu in list(free):
                if len(own) < cap and (not wants_near or cpu in near.get(name, ())):
                    free.remove(cpu)
                    own.append(cpu)
    return tuple(GpuPlace(name=name, cpus=tuple(sorted(own))) for name, own in taken.items())
