"""A Ray cluster as others start one, `ray start` alone, on hosts in network namespaces."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netns_hosts import Box, Lab, lab
from places import ROOT, SUPPORT
from subprocesses import read_until

WORK = Path("/tmp/work")
"""A folder on each host, another one for each."""
RAY = (sys.executable, "-m", "ray.scripts.scripts")
_LAUNCHER = {  # all that Ray's launcher would have filled in
    "cluster_name": "fake",
    "provider": {"type": "fake_multinode"},
    "head_node_type": "head",
    "upscaling_speed": 1.0,
    "idle_timeout_minutes": 5,
    **{key: {} for key in ("auth", "docker", "file_mounts")},
    **{
        key: []
        for key in (
            *("initialization_commands", "setup_commands", "head_setup_commands"),
            *("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands"),
            *("cluster_synced_files", "rsync_exclude", "rsync_filter"),
        )
    },
    "file_mounts_sync_continuously": False,
}
_QUICK = {  # a host whose processes are gone is lost within seconds
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
}


@dataclasses.dataclass
class PlainCluster:
    """A head without a place for trials, and hosts that nobody prepared for a search."""

    lab: Lab
    head: Box
    token: str | None
    started: dict[str, "subprocess.Popen[str]"] = dataclasses.field(default_factory=dict)

    def start(self, box: Box, *words: str, cpus: str = "0,1", **variables: str) -> None:
        """Start Ray on a host that sees these CPUs, and wait until it says so."""
        own = ("--node-ip-address", box.address, "--disable-usage-stats", "--block", *words)
        bind = ("taskset", "-c", cpus)
        if self.token is not None:
            (box.home / ".ray").mkdir()
            (box.home / ".ray" / "auth_token").write_text(self.token)
            variables |= {"RAY_AUTH_MODE": "token"}
        activated = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {"HOME": "/mnt", "PATH": activated, **_QUICK, **variables}
        process = subprocess.Popen(
            box.command_in(Path("/mnt"), *bind, *RAY, "start", *own, **environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started[box.name] = process
        read_until(process, "Ray runtime started.")

    def add(self, name: str, *words: str, cpus: str, **variables: str) -> Box:
        """Rent a host that joins by `ray start`, with as many CPUs as it sees."""
        box = self.lab.add_box(name, cpus=cpus)
        num_cpus = f"--num-cpus={cpus.count(',') + 1}"
        head = f"--address={self.head.address}:6379"
        self.start(box, head, num_cpus, *words, cpus=cpus, **variables)
        return box

    def lose(self, box: Box) -> None:
        """Lose a host with all that runs on it."""
        box.lose()
        self.started.pop(box.name).communicate(timeout=20)

    @property
    def folder(self) -> Path:
        """The head's folder, as this machine sees it: a person's, with a loop of their own."""
        return self.head.folder / WORK.relative_to("/")

    def command(self, *words: str, **variables: str) -> list[str]:
        """The command line of a person on the head, who has a checkout of this project."""
        environ = {"HOME": "/mnt", "PYTHONPATH": str(ROOT), **variables}
        return self.head.command_in(WORK, sys.executable, *words, **environ)

    def close(self) -> None:
        """End Ray on all hosts."""
        for process in self.started.values():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                self.lab.kill(process)


@contextlib.contextmanager
def plain_cluster(
    folder: Path, *words: str, token: str | None = None, autoscaler: Mapping[str, Any] | None = None
) -> Iterator[PlainCluster]:
    """Start a head with these words for `ray start`; a token lies where Ray looks last.

    `autoscaler` has the node types of Ray's own, `head` among them, for its fake provider.
    """
    with lab(folder) as built:
        head = built.add_box("h")
        cluster = PlainCluster(lab=built, head=head, token=token)
        cluster.folder.mkdir(parents=True)
        shutil.copy(SUPPORT / "surface_workload.py", cluster.folder / "loop.py")
        try:
            variables = {}
            if autoscaler is not None:
                (cluster.folder / "autoscaler.json").write_text(
                    json.dumps({**_LAUNCHER, **autoscaler})
                )
                words += (f"--autoscaling-config={WORK}/autoscaler.json",)
                variables = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
            cluster.start(head, "--head", "--port=6379", "--num-cpus=0", *words, **variables)
            yield cluster
        finally:
            cluster.close()
