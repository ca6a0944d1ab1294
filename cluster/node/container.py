"""The container around this process, if there is one: its signs, and its provider. Stdlib only."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

from cluster.node import cgroups
from cluster.node.cgroups import read_text


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The signs of a container, the provider that rents it out, and whether gVisor runs it."""

    evidence: tuple[str, ...]
    provider: str | None
    gvisor: bool


def container(*, root: Path = Path("/"), environ: Mapping[str, str]) -> Container | None:
    """Return the signs of a container, `None` on a workstation or a plain VM."""
    proc = root / "proc"
    evidence = [
        f"/{name}" for name in (".dockerenv", "run/.containerenv") if (root / name).exists()
    ]
    evidence += [
        path
        for path in cgroups.paths(proc=proc)
        if re.search(r"docker|kubepods|containerd|libpod|lxc", path)
    ]
    hints = {"RUNPOD_POD_ID": "RunPod", "VAST_CONTAINERLABEL": "Vast"}
    providers = [(name, provider) for name, provider in hints.items() if name in environ]
    evidence += [name for name, _ in providers]
    # gVisor's kernel is a program that claims to be one fixed old Linux.
    version = read_text(proc / "version") or ""
    gvisor = "gVisor" in version or "Sun Jan 10 15:06:54 PST 2016" in version
    if not evidence and not gvisor:
        return None
    return Container(
        evidence=tuple(dict.fromkeys(evidence)) or ("gVisor's kernel",),
        provider=providers[0][1] if providers else None,
        gvisor=gvisor,
    )
