"""The limits of this machine, and the verdict on them: python -m tune.preflight"""

import dataclasses
import importlib.util
import sys
from collections.abc import Sequence

import tyro

from cluster import cli
from cluster.node.thread_env import Framework
from tune.parse import parse_bytes
from tune.preflight import view
from tune.preflight.findings import Device, PreflightRequest
from tune.preflight.judge import check


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreflightOptions:
    """Show what this machine allows, and why. Exit code 0: a search can run; 1: it cannot."""

    device: Device = "auto"
    """Where trials train; auto takes the GPU if there is one."""
    thread_cap: int | None = None
    """CPUs, and so threads, of one trial; chosen from the room that is left unless set."""
    memory_budget: str | None = None
    """Device memory of one trial, as 8GiB; a share of what is free unless set."""
    json: bool = False
    """Print JSON."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return cli.run(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = tyro.cli(
        PreflightOptions,
        args=arguments,
        prog="python -m tune.preflight",
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    budget = options.memory_budget
    preflight = check(
        PreflightRequest(
            device=options.device,
            framework=_framework(),
            thread_cap=options.thread_cap,
            max_gpus=None,
            memory_budget_bytes=None if budget is None else parse_bytes("--memory-budget", budget),
        )
    )
    view.show(preflight, as_json=options.json)
    return 0 if preflight.fit else cli.NOTHING_FOUND


def _framework() -> Framework:
    """Return the framework to judge by: JAX, unless PyTorch alone is installed."""
    jax, torch = (importlib.util.find_spec(name) for name in ("jaxlib", "torch"))
    return "torch" if jax is None and torch is not None else "jax"


if __name__ == "__main__":
    sys.exit(main())
