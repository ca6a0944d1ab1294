"""A joined cluster on one machine: a head and hosts of two classes in network namespaces.

What a search does on a cluster however that was started is shown by test_plain_cluster.py.

The hosts have no GPU: they offer one that is not there, and their classes differ in their CPUs.
Trials pretend to train (surface_workload.py); all else is as it will be.
"""

import contextlib
import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from cluster.join.ports import Ports
from cluster.node import ray_env
from netns_hosts import Box, Lab, lab, wait_for
from places import PYTHONPATH
from search_command import table
from subprocesses import ended_with_code, read_until

pytestmark = [pytest.mark.slow, pytest.mark.seconds(290), pytest.mark.timeout(1500)]

needs_dashboard = pytest.mark.skipif(
    bool(ray_env.missing_dashboard_packages()),
    reason="needs ray[default], for the Jobs API: make test-dashboard",
)

WORK = Path("/tmp/work")  # on each host another one
QUICK = {  # a host whose processes are gone is lost within seconds
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
}
IMPATIENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}  # with a head that is gone
SEARCH = (
    *("-m", "tune.jax_phase12", "--workload", "surface_workload:factory"),
    *("--memory-budget", "120MB", "--final-rounds", "1", "--finalists", "1", "--soak-updates", "3"),
    *(
        "--space",
        "num_envs=64:256",
        "num_steps=32",
        "batch_size=512,1024",
        "--profiles",
        "profiles",
    ),
)


@dataclasses.dataclass
class Cluster:
    """A head that offers nothing, and the processes that keep hosts joined."""

    lab: Lab
    head: Box
    cpus: dict[str, str] = dataclasses.field(default_factory=lambda: {"h": "0,1"})
    joined: dict[str, "subprocess.Popen[str]"] = dataclasses.field(default_factory=dict)

    def add(self, name: str, *, cpus: str) -> Box:
        """Rent a host, bring it the token."""
        box = self.lab.add_box(name, cpus=cpus)
        self.cpus[name] = cpus
        self.folder(box).mkdir(parents=True)
        done = subprocess.run(
            self.python(box, "-m", "cluster.join", "token"),
            input=self.token,
            capture_output=True,
            text=True,
            check=True,
        )
        assert self.token not in done.stdout + done.stderr
        return box

    def join(self, box: Box, *, until: str = "joined", **variables: str) -> str:
        """Join the cluster, and return what was said until it had."""
        words = ("worker", "--head", self.head.address, "--num-gpus", "1")
        return self.start(box, *words, until=until, **variables)

    def start(self, box: Box, *words: str, until: str, **variables: str) -> str:
        """Start `python -m cluster.join` on a host, which goes on; return its lines so far."""
        process = subprocess.Popen(
            self.python(box, "-m", "cluster.join", *words, **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.joined[box.name] = process
        return read_until(process, until)

    def refused(self, box: Box, *words: str) -> str:
        """Try to join, and return the one sentence why not."""
        done = subprocess.run(
            self.python(box, "-m", "cluster.join", *words),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert box.processes("raylet") == []
        return done.stderr

    def search(self, *words: str) -> "subprocess.Popen[str]":
        """Start a search on the head."""
        return subprocess.Popen(
            self.python(self.head, *SEARCH, "--address", self.head.address, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def python(self, box: Box, *words: str, **variables: str) -> list[str]:
        """The command line that runs Python on a host, in its own folder."""
        variables |= {"HOME": "/mnt", "PYTHONPATH": PYTHONPATH, **QUICK}
        bind = ("taskset", "-c", self.cpus[box.name])
        return box.command_in(WORK, *bind, sys.executable, *words, **variables)

    def folder(self, box: Box) -> Path:
        """The host's folder, as this machine sees it."""
        return box.folder / WORK.relative_to("/")

    @property
    def token(self) -> str:
        """The cluster's token, from its file on the head."""
        return (self.head.folder / "tmp/rl-tuner-0/ray_token").read_text()

    def lose(self, box: Box) -> None:
        """Lose a host with all that runs on it."""
        box.lose()
        self.joined.pop(box.name).communicate(timeout=20)

    def close(self) -> None:
        """End all hosts, the head last."""
        for process in self.joined.values():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                self.lab.kill(process)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head, `a` of the class of one CPU and `b` of the class of two."""
    if shutil.which("nft") is None:
        pytest.skip("needs nftables, to close ports")
    with lab(tmp_path_factory.mktemp("join")) as built:
        built_cluster = Cluster(lab=built, head=built.add_box("h"))
        built_cluster.folder(built_cluster.head).mkdir(parents=True)
        try:
            head = built_cluster.head
            said = built_cluster.start(head, "head", "--address", head.address, until="ready.")
            assert built_cluster.token not in said
            built_cluster.join(built_cluster.add("a", cpus="0"))
            built_cluster.join(built_cluster.add("b", cpus="0,1"), **IMPATIENT)
            yield built_cluster
        finally:
            built_cluster.close()


def classes_of(cluster: Cluster) -> list[str]:
    """The classes, as a search names them that asks for one that is not there."""
    search = cluster.search("--machine-class", "h100", "--class-timeout", "1s")
    said = ended_with_code(search, 2)
    found = re.search(r"no host of class h100 is in the cluster \(it has: (.*)\), for 1 s", said)
    assert found, said
    return found[1].split(", ")


@pytest.fixture(scope="module")
def classes(cluster: Cluster) -> dict[int, str]:
    """The names of the two classes by their CPUs: each costs no search of its own."""
    names = classes_of(cluster)
    return {number: next(n for n in names if n.endswith(f"-{number}cpu")) for number in (1, 2)}


def test_each_class_is_searched_at_once_under_its_own_hosts_limits(cluster: Cluster) -> None:
    search = cluster.search("--json", "--max-runs", "1", "--out", "both")
    said = ended_with_code(search, 0)
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    names = {event["machine_class"] for event in events if "machine_class" in event}
    assert {name[-4:] for name in names} == {"1cpu", "2cpu"}
    starts = [n for n, event in enumerate(events) if event["event"] == "trial_started"]
    ends = [n for n, event in enumerate(events) if event["event"] == "finished"]
    assert {events[n]["machine_class"] for n in starts if n < ends[0]} == names
    work = cluster.folder(cluster.head)
    for name in names:
        rows = table(work / "both" / name)
        assert {row["kind"] for row in rows} <= {"completed", "slow"}
        assert {row["thread_cap"] for row in rows} == {name[-4]}
        assert rows[-1]["stage"] == "soak"
        logs = [work / "both" / name / "trials" / Path(row["log"]).name for row in rows]
        assert all(log.exists() for log in logs)
        [profile] = (work / "profiles").glob(f"{name}-*-fastest.yaml")
        assert yaml.safe_load(profile.read_text())["machine"]["num_cpus"] == int(name[-4])


@needs_dashboard
def test_job_runs_as_rays_documentation_says(cluster: Cluster, classes: dict[int, str]) -> None:
    ray = Path(sys.executable).parent / "ray"
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/tmp/rl-tuner-0/ray_token"}
    submit = ("job", "submit", "--address", "http://127.0.0.1:8265", "--", "python", *SEARCH)
    where = ("--max-runs", "1", "--out", f"{WORK}/job", "--profiles", f"{WORK}/job")
    one = classes[2]
    done = subprocess.run(
        cluster.head.command_in(
            WORK, str(ray), *submit, *where, "--machine-class", one, HOME="/mnt", **token
        ),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Job '\w+' succeeded", done.stdout)
    assert list((cluster.folder(cluster.head) / "job").glob(f"{one}-*-fastest.yaml"))


@needs_dashboard
def test_jobs_and_dashboard_want_the_token_and_are_on_the_heads_loopback(cluster: Cluster) -> None:
    code = (
        "import sys, urllib.error, urllib.request as r\n"
        "q = r.Request(sys.argv[1], headers={'Authorization': 'Bearer ' + sys.argv[2]})\n"
        "try: print(r.urlopen(q, timeout=10).status)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
        "except OSError: print('unreachable')\n"
    )

    def get(box: Box, host: str, token: str) -> str:
        url = f"http://{host}:8265/api/jobs/"
        asked = cluster.python(box, "-c", code, url, token)
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    assert get(cluster.head, "127.0.0.1", cluster.token) == "200"
    assert get(cluster.head, "127.0.0.1", "0" * 64) in {"401", "403"}
    assert get(cluster.lab.boxes["b"], cluster.head.address, cluster.token) == "unreachable"


def test_ray_listens_on_its_ports_alone(cluster: Cluster) -> None:
    for box in (cluster.head, cluster.lab.boxes["a"]):
        listing = subprocess.run(
            box.enter(["ss", "-Hltn"]), capture_output=True, text=True, check=True
        ).stdout
        local = [line.split()[3] for line in listing.splitlines()]
        exposed = {int(end.rpartition(":")[2]) for end in local if "127.0.0.1]:" not in end}
        exposed -= {int(end.rpartition(":")[2]) for end in local if end.startswith("127.0.0.1:")}
        assert exposed - {22} <= set(Ports().of(is_head=box is cluster.head)), listing


def test_search_with_another_token_is_told_so(cluster: Cluster) -> None:
    box = cluster.head
    other = cluster.folder(box) / "other_token"
    other.write_text("1" * 64)
    other.chmod(0o600)
    words = cluster.python(box, *SEARCH, "--address", box.address)
    at = words.index("HOME=/mnt")
    done = subprocess.run(
        [*words[:at], f"RAY_AUTH_TOKEN_PATH={WORK}/other_token", *words[at:]],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"or its token is another one ({WORK}/other_token)." in done.stderr


def test_token_is_in_no_command_line_log_or_profile(cluster: Cluster) -> None:
    token = cluster.token
    for box in (cluster.head, *cluster.lab.boxes.values()):
        assert box.processes(token) == []
        for folder in (box.folder / "tmp", box.home):
            found = subprocess.run(
                ["grep", "-rlF", "--", token, str(folder)],
                capture_output=True,
                text=True,
                check=False,
            )
            paths = [Path(line) for line in found.stdout.splitlines()]
            assert [path.name for path in paths] == ["ray_token"] * len(paths)
            assert all(path.stat().st_mode & 0o077 == 0 for path in paths)


def test_worker_that_cannot_be_reached_is_refused_before_ray_starts(cluster: Cluster) -> None:
    box = cluster.add("c", cpus="0,1")
    worker = ("worker", "--head", cluster.head.address, "--num-gpus", "1")
    box.drop_new("tcp dport 10000-10059")
    assert re.search(
        rf"{cluster.head.address} does not reach the worker {box.address} on ports 10000-10059 "
        r"\(timed out\): Ray was not started",
        cluster.refused(box, *worker),
    )
    box.drop_nothing()
    cluster.head.drop_new(f"ip saddr {box.address} tcp dport 10001")
    assert (
        f"the worker {box.address} does not reach {cluster.head.address} on port 10001 (timed out)"
    ) in cluster.refused(box, *worker)
    cluster.head.drop_nothing()
    a = cluster.lab.boxes["a"]
    a.drop_new(f"ip saddr {box.address}")
    refusal = cluster.refused(box, *worker)
    assert f"the worker {box.address} does not reach {a.address} on port 6380" in refusal
    a.drop_nothing()
    token = box.folder / "tmp/rl-tuner-0/ray_token"
    token.write_text("2" * 64)
    assert "its token is another one" in cluster.refused(box, *worker)
    token.write_text(cluster.token)
    assert "reach each other on all ports" in cluster.join(box)


def test_link_cut_for_20_s_in_the_middle_of_a_trial_costs_nothing(
    cluster: Cluster, classes: dict[int, str]
) -> None:
    one = classes[1]
    where = ("--out", "cut", "--profiles", "cut")
    search = cluster.search("--json", "--machine-class", one, "--max-runs", "3", *where)
    said = read_until(search, '"number": 1, "phase": "measure"')
    host = cluster.lab.boxes["a"]  # the only one of its class
    host.cut()
    time.sleep(20)
    host.mend()
    said += ended_with_code(search, 0)
    rows = table(cluster.folder(cluster.head) / "cut")
    assert {row["kind"] for row in rows} <= {"completed", "slow"}, said
    assert [row["number"] for row in rows] == [str(number) for number in range(len(rows))]
    assert rows[-1]["stage"] == "soak"
    [profile] = (cluster.folder(cluster.head) / "cut").glob(f"{one}-*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is False
    assert cluster.joined["a"].poll() is None


def test_dead_man_ends_a_hosts_ray_and_its_rent_and_the_cluster_goes_on(cluster: Cluster) -> None:
    box = cluster.add("d", cpus="0")
    stop = ("--stop-command", "sh", "-c", "echo $CONTAINER_ID > /mnt/stopped")
    lease_s = 54  # enough to join in
    hours = ("--max-hours", str(lease_s / 3600))
    worker = ("worker", "--head", cluster.head.address, "--num-gpus", "1", *hours)
    began = time.monotonic()
    said = cluster.start(box, *worker, *stop, until="joined")
    spent_s = time.monotonic() - began
    armed = re.search(r"Dead-man armed: ends Ray here in (\d+) s, then runs sh -c echo", said)
    assert armed, said
    assert lease_s - spent_s - 1 < int(armed[1]) <= lease_s
    wait_for((box.home / "stopped").exists, "the stop command", timeout_s=lease_s + 60)
    assert (box.home / "stopped").read_text() == "4711\n"
    assert box.processes("raylet") == []
    said = ended_with_code(cluster.joined.pop("d"), 0)
    assert "ended here." in said
    assert len(classes_of(cluster)) == 2


def test_host_that_joins_a_search_takes_part_if_it_has_what_the_others_have(
    cluster: Cluster, classes: dict[int, str]
) -> None:
    one = classes[2]
    there = [cluster.lab.boxes[name] for name in cluster.joined]
    num_alike = len(there) - 2  # the head takes no trials, and a has one CPU
    with_bars = [cluster.add("e", cpus="0,1"), cluster.head, *there]
    for box in with_bars:
        (cluster.folder(box) / "bars.csv").write_text("bars")
    options = ("--option", f"data={WORK / 'bars.csv'}", "build_s=6")
    where = ("--machine-class", one, "--out", "joining", "--profiles", "joining")
    search = cluster.search("--max-runs", "6", *where, *options)
    said = read_until(search, "trial 0 ")
    without, having = cluster.add("f", cpus="0,1"), with_bars[0]
    cluster.join(without)
    cluster.join(having)
    said += read_until(
        search,
        f"{without.address} joined the cluster and is left out: it has no {WORK / 'bars.csv'}",
        f"{having.address} joined the cluster: {num_alike + 1} trials at once now.",
    )
    said += ended_with_code(search, 0)
    rows = table(cluster.folder(cluster.head) / "joining")
    assert {row["kind"] for row in rows} <= {"completed", "slow"}, said
    for box in (without, having):
        cluster.lose(box)


def test_last_host_of_a_class_that_is_lost_ends_the_search_with_its_name(
    cluster: Cluster, classes: dict[int, str]
) -> None:
    one = classes[1]
    where = ("--out", "last", "--profiles", "last")
    search = cluster.search("--machine-class", one, *where, "--class-timeout", "5s")
    said = read_until(search, "trial 1 ")
    cluster.lose(cluster.lab.boxes["a"])
    since = time.monotonic()
    said += ended_with_code(search, 2)
    assert f"error: no host of class {one} was left for 5 s" in said
    assert time.monotonic() - since < 60
    [profile] = (cluster.folder(cluster.head) / "last").glob(f"{one}-*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is True


def test_worker_whose_head_is_gone_says_so(cluster: Cluster) -> None:
    worker = cluster.joined["b"]
    cluster.lose(cluster.head)
    said = ended_with_code(worker, 2)
    assert "Is the head gone? Join again." in said
    wait: Callable[[], bool] = lambda: cluster.lab.boxes["b"].processes("raylet") == []  # noqa: E731
    wait_for(wait, "the end of its Ray")
