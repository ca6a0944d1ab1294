"""A preflight for a terminal, as plain lines, and as JSON."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from cluster.node.gpus import Gpu
from cluster.node.limits import MemoryLimit, ThreadLimit
from cluster.node.thread_env import ThreadEnv
from cluster.pages import terminal, units
from tune.preflight.findings import Preflight

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES = {"problem": "bold red", "fit": "bold green", "note": "yellow"}


def meaning(preflight: Preflight) -> str:
    """Return the verdict in words."""
    if not preflight.fit:
        return f"Not fit. {preflight.problems[0]}"
    env, binding = preflight.thread_env, preflight.findings.thread_limits.binding
    assert env is not None
    tightest = (
        f"{binding.name} is the tightest limit and has room for {binding.room}"
        if binding
        else "nothing limits threads"
    )
    return (
        f"Fit. Ray takes about {preflight.ray_threads} threads, a trial at most "
        f"{preflight.trial_threads}; {tightest}. Each trial is a process of its own on "
        f"{'CPU' if env.cap == 1 else 'CPUs'} {units.cpu_ranges(env.cpus)}."
    )


def sections(preflight: Preflight) -> dict[str, list[tuple[str, str]]]:
    """Return rows of label and text by heading, for people."""
    findings, env = preflight.findings, preflight.thread_env
    machine, binding = findings.machine, findings.thread_limits.binding
    place = "workstation or virtual machine"
    if findings.container:
        seen = ", ".join(findings.container.evidence)
        place = f"{findings.container.provider or ''} container ({seen})".strip()
    quota = findings.cpus.quota_cores
    sees = f"; the host has {findings.cpus.online}" * (
        findings.cpus.online > len(findings.cpus.allowed)
    )
    rows = {
        "Machine": [
            ("platform", f"{preflight.platform}, in a {place}"),
            ("CPU", machine.cpu_model),
            ("CPUs allowed", f"{len(findings.cpus.allowed)}{sees}"),
            ("CPU quota", "none" if quota is None else f"{quota:g} cores"),
            ("memory", _memory(findings.host_memory)),
            ("GPU", ", ".join(map(_gpu, machine.gpus)) or "none"),
            *[
                (f"place {number}", f"GPU {place.name}, CPUs {units.cpu_ranges(place.cpus)}")
                for number, place in enumerate(preflight.gpus, start=1)
            ],
            ("driver", f"{machine.driver_version or 'none'}"),
        ],
        "Limits on threads": [
            (limit.name, _limit(limit) + " <- binds" * (limit is binding))
            for limit in findings.thread_limits.limits
        ],
        "Budget of a trial": [
            ("device memory", units.size(preflight.device_budget_bytes)),
            ("host memory", units.size(preflight.host_budget_bytes)),
        ],
    }
    if env is not None:
        rows["Budget of a trial"].append(_cap(env))
        rows["Environment of a trial"] = list(env.variables.items())
    if preflight.alone is not None:
        alone = preflight.alone
        rows["A training without a search"] = [_cap(alone), *alone.variables.items()]
    if preflight.warnings:
        rows["To know"] = [("note", warning) for warning in preflight.warnings]
    problems = [("problem", str(problem)) for problem in preflight.problems]
    rows["Verdict"] = problems or [("fit", meaning(preflight))]
    return rows


def render(preflight: Preflight) -> "RenderableType":
    """Return the preflight for a terminal."""
    return terminal.panel(sections(preflight), title="preflight", styles=_STYLES)


def to_dict(preflight: Preflight) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        "fit": preflight.fit,
        "meaning": meaning(preflight),
        **dataclasses.asdict(preflight),
    }


def _cap(env: ThreadEnv) -> tuple[str, str]:
    return "thread cap", f"{env.cap}: CPUs {units.cpu_ranges(env.cpus)}"


def _limit(limit: ThreadLimit) -> str:
    value = "no limit" if limit.limit is None else f"{limit.limit}"
    use = "use unknown" if limit.use is None else f"{limit.use} in use"
    room = f"room for {limit.room} threads, " * (limit.room is not None)
    return f"{value}, {use}, {room}{limit.note}"


def _memory(memory: MemoryLimit) -> str:
    available, total = units.size(memory.available_bytes), units.size(memory.total_bytes)
    return f"{available} of {total} available ({memory.source})"


def _gpu(gpu: Gpu) -> str:
    power = "" if gpu.power_limit_w is None else f", {gpu.power_limit_w:.0f} W"
    return f"{gpu.name} ({units.size(gpu.memory_bytes)}{power})"


def show(preflight: Preflight, *, as_json: bool = False) -> None:
    """Print the preflight: for a terminal, as plain lines where there is none, or as JSON."""
    if as_json:
        print(json.dumps(to_dict(preflight), indent=2))
    else:
        terminal.show(sections(preflight), title="preflight", styles=_STYLES)
