"""A laptop outside of a Ray cluster searches it through Ray's client: `--address ray://HEAD`."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.node import ray_env
from netns_hosts import Box, wait_for
from places import ROOT, SUPPORT
from plain_cluster import WORK, PlainCluster, plain_cluster
from search_command import table
from subprocesses import ended_with_code, read_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.seconds(150),
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        bool(ray_env.missing_dashboard_packages()),
        reason="needs ray[default], which has the client: make test-dashboard",
    ),
]

TOKEN = "7" * 64
GRACE_S = 30.0
"""A head waits so long for a client that vanished."""
PATCHES = {
    "old": "import ray\nray.__version__ = '2.50.0'\n",
    "bare": "import sys\nsys.modules['grpc'] = None\n",
}
SEARCH = (
    *("-m", "tune.jax_phase12", "--workload", "loop.py:factory", "--memory-budget", "120MB"),
    *("--space", "num_envs=64:256", "num_steps=32", "batch_size=512,1024"),
    *("--finalists", "1", "--final-rounds", "1", "--soak-updates", "3", "--max-runs", "2"),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainCluster]:
    """A head without a place for trials, and a host with two CPUs; they want a token."""
    folder = tmp_path_factory.mktemp("client")
    with plain_cluster(folder, "--include-dashboard=false", token=TOKEN) as built:
        built.add("a", cpus="0,1")
        built.lab.add_box("laptop")
        yield built


def folder_of(laptop: Box) -> Path:
    """A person's folder on the laptop, as this machine sees it, with a loop of theirs."""
    folder = laptop.folder / WORK.relative_to("/")
    if not folder.exists():
        folder.mkdir()
        shutil.copy(SUPPORT / "surface_workload.py", folder / "loop.py")
    return folder


def processes(box: Box) -> Iterator[tuple[str, str]]:
    """The processes of a box, by id, with their command lines."""
    listing = subprocess.run(
        box.enter(["ps", "-ww", "-eo", "pid,args"]), capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines()[1:]:
        pid, _, words = line.strip().partition(" ")
        yield pid, words


def search(cluster: PlainCluster, *words: str, **variables: str) -> "subprocess.Popen[str]":
    """Search from the laptop, which knows the token and has no Ray of its own."""
    laptop = cluster.lab.boxes["laptop"]
    folder_of(laptop)
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    environ = {"HOME": "/mnt", "PYTHONPATH": str(ROOT), **token, **variables}
    address = ("--address", f"ray://{cluster.head.address}")
    return subprocess.Popen(
        laptop.command_in(WORK, sys.executable, *SEARCH, *address, *words, **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def into(name: str) -> tuple[str, ...]:
    """The options by which a search writes into folders of its own."""
    return ("--out", name, "--profiles", f"{name}-profiles")


def test_search_runs_there_and_all_that_it_says_and_writes_is_here(cluster: PlainCluster) -> None:
    said = ended_with_code(search(cluster, *into("whole")), 0)
    assert f"1 at once on {cluster.lab.boxes['a'].address}" in said
    noise = [line for line in said.splitlines() if re.search(r"SIGTERM|fork|gRPC|WARNING", line)]
    assert noise == []
    folder = folder_of(cluster.lab.boxes["laptop"])
    rows = table(folder / "whole")
    assert rows[-1]["stage"] == "soak"
    assert all((folder / "whole" / "trials" / Path(row["log"]).name).exists() for row in rows)
    [profile] = (folder / "whole-profiles").glob("*-2cpu-*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is False


def test_what_keeps_the_client_out_is_one_sentence(cluster: PlainCluster) -> None:
    folder = folder_of(cluster.lab.boxes["laptop"])
    for name, patch in PATCHES.items():
        (folder / name).mkdir()
        (folder / name / "sitecustomize.py").write_text(patch)
    closed = ("--address", f"ray://{cluster.head.address}:7777")
    cases: list[tuple[tuple[str, ...], dict[str, str], str]] = [
        (
            (),
            {"PYTHONPATH": f"{WORK}/old:{ROOT}"},
            r"runs Ray .* here is Ray 2\.50\.0",
        ),
        ((), {"PYTHONPATH": f"{WORK}/bare:{ROOT}"}, r"needs gRPC: pip install 'ray\[client\]'"),
        ((), {"RAY_AUTH_TOKEN": "8" * 64}, "Is its token another one .*RAY_AUTH_TOKEN"),
        (closed, {}, r"port 7777 .*client server is at port 10001 of a head with ray\[client\]"),
    ]
    for words, variables, message in cases:
        said = ended_with_code(search(cluster, *words, **variables), 2)
        [line] = said.splitlines()
        assert re.match(f"error: .*{message}", line), line


def test_ctrl_c_keeps_what_there_is_and_frees_the_cluster_at_once(cluster: PlainCluster) -> None:
    process = search(cluster, *into("interrupted"), "--json", "--option", "build_s=5")
    read_until(process, '"number": 1, "phase": "build"')
    host = cluster.lab.boxes["a"]
    assert host.processes("ray::001_")
    [first, *_] = (
        pid for pid, line in processes(cluster.lab.boxes["laptop"]) if "tune.jax_phase12" in line
    )
    subprocess.run(cluster.lab.boxes["laptop"].enter(["kill", "-INT", first]), check=True)
    ended_with_code(process, 130)
    interrupted_at = time.monotonic()
    wait_for(lambda: not host.processes("ray::001_"), "the end of the trial")
    assert time.monotonic() - interrupted_at < GRACE_S
    folder = folder_of(cluster.lab.boxes["laptop"])
    [profile] = (folder / "interrupted-profiles").glob("*-2cpu-*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is True
    again = search(cluster, *into("interrupted"), "--resume", "--option", "build_s=5")
    said = ended_with_code(again, 0)
    assert "trial 1 (" not in said


def test_lost_link_ends_the_search_with_what_it_has(cluster: PlainCluster) -> None:
    """It comes last: the laptop stays cut."""
    process = search(cluster, *into("cut"), "--json", "--option", "build_s=5")
    read_until(process, '"number": 1, "phase": "build"')
    cluster.lab.boxes["laptop"].cut()
    said = ended_with_code(process, 2)
    assert "Traceback" not in said
    assert "the link to the cluster was lost for longer than Ray's client waits" in said
    folder = folder_of(cluster.lab.boxes["laptop"])
    [profile] = (folder / "cut-profiles").glob("*-2cpu-*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is True
