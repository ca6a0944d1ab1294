"""Profiles that a fleet brought home, and the offers that they make."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cluster.fleet.hosts import Host
from cluster.fleet.offers import offers as report
from cluster.fleet.offers import profiles
from cluster.fleet.offers.prices import Prices

RTX = "nvidia-geforce-rtx-4090-24gb-450w"


A100 = "nvidia-a100-sxm4-80gb-400w"


def write(out: Path, host: str, **changes: Any) -> Path:
    speed = changes.pop("expected_sps", 50_000.0)
    document = {
        "schema_version": 1,
        "kind": "fastest",
        "expected_sps": speed,
        "confirmed": True,
        "partial": False,
        "config": {"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4},
        "speed": {"low": speed * 0.99, "high": speed * 1.01},
        "workload": {"factory": "package.module:phase1"},
        "data": {"source": "synthetic", "sha256": "abc"},
        "search": {"objective": "throughput"},
        "machine_class": RTX,
    } | changes
    kept = {name: value for name, value in document.items() if value is not None}
    path = out / host / "search-1" / "profiles" / f"{document['machine_class']}-phase1.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# header\n" + yaml.safe_dump(kept))
    return path


def ranked(out: Path, table: Prices, hosts: Sequence[Host] = ()) -> list[report.ClassOffer]:
    return report.offers(profiles.read_all(out, kind="fastest"), hosts, table)
