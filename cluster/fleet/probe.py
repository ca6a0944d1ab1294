"""Facts of a bare box, as probe.sh prints them, and the verdict on them. Stdlib only, pure."""

import dataclasses

from cluster.errors import FleetError

_MIN_DISK_BYTES = 3 * 2**30  # JAX for the CPU, Ray and the rest: 2 GiB
_MIN_GPU_DISK_BYTES = 12 * 2**30  # CUDA's wheels, packed and unpacked at once
_MIN_SHM_BYTES = 100 * 2**20  # Ray's object store is 80 MiB; below, Ray falls back to /tmp


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BoxFacts:
    """Facts of a box. Each of `pythons` is a version, whether its venv works, and a path.

    `is_installed` says that an earlier `up` has begun an environment: it has its room on the disk.
    """

    pythons: tuple[tuple[str, bool, str], ...]
    tools: frozenset[str]
    is_installed: bool
    disk_bytes: int | None
    shm_bytes: int | None
    gpus: tuple[str, ...]
    driver_error: str | None
    system: str


def parse(text: str) -> BoxFacts:
    """Parse the output of probe.sh.

    Raises:
        FleetError: if the output breaks off.
    """
    lines = text.splitlines()
    pairs = [(name, value) for name, _, value in (line.partition(" ") for line in lines)]
    values = dict(pairs)
    if "end" not in lines:
        raise FleetError(f"the probe broke off after {text[-80:]!r}.")
    pythons = [pair[1].split(" ", 2) for pair in pairs if pair[0] == "python"]
    return BoxFacts(
        pythons=tuple((version, kind == "venv", path) for version, kind, path in pythons),
        tools=frozenset(pair[1] for pair in pairs if pair[0] == "tool"),
        is_installed="environment" in values,
        disk_bytes=_kib(values.get("disk_kb", "")),
        shm_bytes=_kib(values.get("shm_kb", "")),
        gpus=tuple(pair[1] for pair in pairs if pair[0] == "gpu"),
        driver_error=values.get("driver_error"),
        system=f"{values.get('user', 'nobody')} on {values.get('kernel', 'an unknown kernel')}",
    )


def judge(facts: BoxFacts, *, has_environment: bool) -> str | None:
    """Return the reason why this box cannot be set up, with what to do; `None` if it can."""
    if facts.driver_error is not None:
        return (
            f"nvidia-smi is there and fails ({facts.driver_error}): the GPU is not usable; "
            "destroy this box and rent another."
        )
    if "tar" not in facts.tools:
        return "has no tar: install it (Debian: apt-get install tar)."
    if has_environment:
        return None
    if choose_python(facts) == "":
        seen = ", ".join(f"{version} at {path}" for version, _, path in facts.pythons) or "none"
        return (
            f"needs Python 3.11 or newer with venv and ensurepip, has {seen}: apt-get install "
            "python3 python3-venv, rent with a newer image, or name an interpreter that brings "
            "the environment by --python or `python` in the hosts file."
        )
    if "make" not in facts.tools:
        return "has no make: apt-get install make."
    needed = _MIN_GPU_DISK_BYTES if facts.gpus else _MIN_DISK_BYTES
    if not facts.is_installed and facts.disk_bytes is not None and facts.disk_bytes < needed:
        return (
            f"has {facts.disk_bytes / 2**30:.1f} GiB of disk left, the environment needs "
            f"{needed / 2**30:.0f}: rent with a larger disk, or set `folder` to a larger volume."
        )
    return None


def cautions(facts: BoxFacts) -> list[str]:
    """Return remarks that are no reason to refuse the box."""
    notes = []
    if not facts.gpus:
        notes.append("no NVIDIA driver here: the search will train on the CPU.")
    if facts.shm_bytes is not None and facts.shm_bytes < _MIN_SHM_BYTES:
        notes.append(
            f"/dev/shm has {facts.shm_bytes / 2**20:.0f} MiB; Ray wants 100 and will use /tmp."
        )
    return notes


def choose_python(facts: BoxFacts) -> str:
    """Return the path of the first Python that can make the environment; empty if none can."""
    return next((path for _, usable, path in facts.pythons if usable), "")


def describe(facts: BoxFacts) -> str:
    """Return the box in one line."""
    disk = "unknown" if facts.disk_bytes is None else f"{facts.disk_bytes / 2**30:.0f} GiB"
    return f"{facts.system}; {', '.join(facts.gpus) or 'no GPU'}; {disk} of disk free"


def _kib(text: str) -> int | None:
    return int(text) * 1024 if text.isdecimal() else None
