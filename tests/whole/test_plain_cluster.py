"""A cluster that nobody prepared: `ray start` on a head and hosts of two classes."""

import contextlib
import functools
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster.node import ray_env
from dashboard_pages import workers_shown
from places import ROOT, SUPPORT
from plain_cluster import RAY, WORK, PlainCluster, plain_cluster
from search_command import read_until_two_run, table
from subprocesses import ended_with_code, read_until
from tune.driver import metrics

pytestmark = [pytest.mark.slow, pytest.mark.seconds(320), pytest.mark.timeout(900)]

METRICS_PORT = 8090

needs_dashboard = pytest.mark.skipif(
    bool(ray_env.missing_dashboard_packages()),
    reason="needs ray[default], for the Jobs API: make test-dashboard",
)

SEARCH = (
    *("-m", "tune.jax_phase12", "--workload", "loop.py:factory", "--memory-budget", "120MB"),
    *("--final-rounds", "1", "--finalists", "1", "--soak-updates", "3"),
    *("--space", "num_envs=64:256", "num_steps=32", "batch_size=512,1024"),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainCluster]:
    """A head, `a` with one CPU, `b` with two."""
    with plain_cluster(tmp_path_factory.mktemp("plain"), "--include-dashboard=false") as built:
        built.add("a", cpus="0")
        built.add("b", cpus="0,1")
        yield built


def search(cluster: PlainCluster, *words: str, **variables: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        cluster.command(*SEARCH, *words, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def classes(cluster: PlainCluster) -> dict[int, str]:
    """The names of the classes by their CPUs, as a search names those that there are."""
    said = ended_with_code(search(cluster, "--address", "auto", "--machine-class", "h100"), 2)
    found = re.search(r"no host of class h100 is in the cluster \(it has: (.*)\)\.", said)
    assert found, said
    names = found[1].split(", ")
    return {number: next(n for n in names if n.endswith(f"-{number}cpu")) for number in (1, 2)}


def test_code_travels_to_the_hosts_of_a_class_that_have_the_framework(
    cluster: PlainCluster, classes: dict[int, str]
) -> None:
    bare = cluster.lab.add_box("e", cpus="0,1")
    (bare.home / "sitecustomize.py").write_text("import sys\nsys.modules['jax'] = None\n")
    head = f"--address={cluster.head.address}:6379"
    cluster.start(bare, head, "--num-cpus=2", PYTHONPATH="/mnt")
    name = classes[2]
    words = ("--address", "auto", "--machine-class", name, "--max-runs", "1", "--out", "one")
    said = ended_with_code(search(cluster, *words), 0)
    assert f"{bare.address} is left out: its Python has no jax: pip install" in said
    assert f"1 at once on {cluster.lab.boxes['b'].address}" in said
    cluster.lose(bare)
    folder = cluster.folder / "one"
    rows = table(folder)
    assert {row["kind"] for row in rows} <= {"completed", "slow"}, said
    assert {row["health/niceness"] for row in rows if row["kind"] == "completed"} == {"0.0"}
    assert all((folder / "trials" / Path(row["log"]).name).exists() for row in rows)
    [profile] = (cluster.folder / "profiles").glob(f"{name}-*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is False


def test_each_class_is_searched_with_a_script_that_travels_with_its_modules_and_data(
    cluster: PlainCluster,
) -> None:
    """One of its modules has the name of a package of ours."""
    frames = (SUPPORT / "frames.py").read_text()
    read = "import sys\nimport cluster\ncluster.check(sys.argv.pop())\n"
    (cluster.folder / "script.py").write_text(f"{read}{frames}")
    check = 'def check(path):\n    assert open(path).read() == "bars"\n'
    (cluster.folder / "cluster.py").write_text(check)
    bars = cluster.head.folder / "tmp" / "bars.csv"  # elsewhere on the head, and nowhere else
    bars.write_text("bars")
    few = ("--space", "num_envs=4:8", "--max-runs", "2", "--finalists", "1", "--soak-updates", "0")
    reading = ("--line", "^frames", "--steps", "num_envs", "--unit", "frame")
    where = ("--address", "auto", "--out", "cmd", "--profiles", "cmd")
    words = ("-m", "tune.command", *where, *reading, *few)
    command = ("--", "python", "script.py", "{num_envs}", "/tmp/bars.csv")
    done = subprocess.run(
        cluster.command(*words, *command), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    profiles = list((cluster.folder / "cmd").glob("*-script-fastest.yaml"))
    names = [path.name.partition("-script")[0] for path in profiles]
    assert sorted(name[-5:] for name in names) == ["-1cpu", "-2cpu"]
    for name, path in zip(names, profiles, strict=True):
        profile = yaml.safe_load(path.read_text())
        assert profile["config"] == {"num_envs": 8}
        assert profile["machine"]["num_cpus"] == int(name[-4])
        assert {row["thread_cap"] for row in table(cluster.folder / "cmd" / name)} == {name[-4]}


def test_host_that_joins_takes_part_and_the_trial_of_one_that_is_lost_is_run_again(
    cluster: PlainCluster, classes: dict[int, str]
) -> None:
    name = classes[1]
    where = ("--address", "auto", "--machine-class", name, "--out", "join", "--profiles", "join")
    long = ("--option", "build_s=10")
    process = search(cluster, "--json", "--max-runs", "6", *where, *long)
    said = read_until(process, '"number": 0, "phase": "measure"')
    assert not list((cluster.head.folder / "tmp").glob("rl-tuner-working-dir-*")), "they travelled"
    d = cluster.add("d", cpus="0")
    said += read_until(process, f"{d.address} joined the cluster: 2 trials at once now.")
    said = read_until_two_run(process, said)  # one of them on a
    cluster.lose(cluster.lab.boxes["a"])
    said += ended_with_code(process, 0)
    assert f"{cluster.lab.boxes['a'].address} left the cluster." in said
    rows = table(cluster.folder / "join")
    lost = [row for row in rows if row["kind"] == "node_lost"]
    assert lost, said
    assert {row["kind"] for row in rows} <= {"completed", "slow", "node_lost"}
    sizes = ("num_envs", "num_steps", "batch_size")
    again = [row for row in rows if all(row[size] == lost[0][size] for size in sizes)]
    assert {row["kind"] for row in again} & {"completed", "slow"}, said
    journal = (cluster.folder / "join" / "journal.log").read_text()
    told = [json.loads(line) for line in journal.splitlines()]
    states = [
        one["state"]
        for one in told
        if one.get("trial_id") == int(lost[0]["number"]) and "state" in one
    ]
    assert states[-1] == 3, "FAIL, which no sampler reads; PRUNED would say infeasible"
    assert rows[-1]["stage"] == "soak"
    [profile] = (cluster.folder / "join").glob(f"{name}-*-fastest.yaml")
    assert yaml.safe_load(profile.read_text())["partial"] is False


def test_host_with_another_ray_is_kept_out_by_ray_itself(cluster: PlainCluster) -> None:
    old = cluster.lab.add_box("v", cpus="0,1")
    (old.home / "sitecustomize.py").write_text("import ray\nray.__version__ = '2.50.0'\n")
    head = f"--address={cluster.head.address}:6379"
    with pytest.raises(AssertionError, match=r"Version mismatch: .*[\s\S]*Ray: 2\.50\.0"):
        cluster.start(old, head, "--num-cpus=2", PYTHONPATH="/mnt")
    cluster.lose(old)


def test_what_others_use_is_waited_for_and_then_said(
    cluster: PlainCluster, classes: dict[int, str]
) -> None:
    hog = (
        "import ray, time\n"
        "ray.init('auto', log_to_driver=False)\n"
        "@ray.remote(num_cpus=1)\n"
        "def f(): time.sleep(600)\n"
        "print([f.remote() for _ in range(3)], flush=True)\n"
        "time.sleep(600)\n"
    )
    others = subprocess.Popen(
        cluster.command("-c", hog), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    read_until(others, "ObjectRef")
    words = ("--address", "auto", "--machine-class", classes[2])
    said = ended_with_code(search(cluster, *words, "--class-timeout", "8s", "--out", "busy"), 2)
    assert "Waiting: no host of" in said
    assert "had 2 CPU free for 8 s: others use them (see `ray status`)." in said
    cluster.lab.kill(others)


def test_driver_with_another_ray_is_told_both_versions(cluster: PlainCluster) -> None:
    folder = cluster.folder / "other"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import ray\nray.__version__ = '2.50.0'\n")
    path = f"{WORK}/other:{ROOT}"
    said = ended_with_code(search(cluster, "--address", "auto", PYTHONPATH=path), 2)
    assert re.search(
        r"error: the cluster at \S+ runs Ray [\d.]+ and Python [\d.]+, and here is Ray 2.50.0 and "
        r"Python [\d.]+: install the same\.",
        said,
    )


def test_search_from_a_host_outside_is_told_so(cluster: PlainCluster) -> None:
    outside = cluster.lab.add_box("o")
    work = outside.folder / WORK.relative_to("/")
    work.mkdir()
    shutil.copy(SUPPORT / "surface_workload.py", work / "loop.py")
    words = (*SEARCH, "--address", cluster.head.address)
    environ = {"HOME": "/mnt", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        outside.command_in(WORK, sys.executable, *words, **environ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert (
        "either this host is not part of it (python -m cluster.join, or ray start)" in done.stderr
    )
    cluster.lab.boxes["o"].lose()


def got(cluster: PlainCluster, url: str) -> str:
    """What a URL answers at the head."""
    headers = {"Authorization": f"Bearer {cluster.token}"}
    read = (
        "import urllib.request as u; "
        f"print(u.urlopen(u.Request({url!r}, headers={headers!r})).read().decode())"
    )
    return subprocess.run(
        cluster.command("-c", read), capture_output=True, text=True, timeout=60, check=True
    ).stdout


def scraped(cluster: PlainCluster) -> str:
    """What Prometheus would find at the head, where the driver runs."""
    return got(cluster, f"http://{cluster.head.address}:{METRICS_PORT}/metrics")


@needs_dashboard
def test_job_with_a_working_directory_searches_a_cluster_that_wants_a_token(
    tmp_path: Path,
) -> None:
    """The cluster exports the metrics of the search, and its dashboard shows the trials."""
    started = ("--include-dashboard=true", f"--metrics-export-port={METRICS_PORT}")
    with plain_cluster(tmp_path, *started, token="7" * 64) as cluster:
        cluster.add("a", cpus="0,1")
        project = cluster.folder / "project"  # a person's checkout, with a loop of theirs
        shutil.copytree(cluster.lab.checkout, project)
        shutil.copy(SUPPORT / "surface_workload.py", project / "loop.py")
        submit = ("job", "submit", "--address", "http://127.0.0.1:8265", "--working-dir", ".")
        where = ("--max-runs", "1", "--out", f"{WORK}/job", "--profiles", f"{WORK}/job")
        long = ("--option", "build_s=15")  # time to be seen
        environ = {"HOME": "/mnt", "RAY_AUTH_MODE": "token"}
        words = (*RAY, *submit, "--", "python", *SEARCH, *where, *long)
        job = subprocess.Popen(
            cluster.head.command_in(WORK / "project", *words, **environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found, names = "", set()
        while job.poll() is None and (metrics.EXPORTED[0] not in found or not names):
            with contextlib.suppress(subprocess.CalledProcessError):  # it does not answer yet
                found = scraped(cluster)
                shown = workers_shown("http://127.0.0.1:8265", functools.partial(got, cluster))
                names |= {name for name in shown if name.startswith("ray::000_")}
        said = ended_with_code(job, 0)
        assert re.search(r"Job '\w+' succeeded", said)
        assert re.search(
            rf'^{metrics.EXPORTED[0]}{{.*machine_class="[^"]*-2cpu".*}}', found, re.M
        ), found
        assert names == {"ray::000_baseline_num_envs=64_num_steps=32_batch_size=512"}
        assert metrics.EXPORTED[1] in found
        assert metrics.EXPORTED[2] not in found
        assert list((cluster.folder / "job").glob("*-2cpu-*-fastest.yaml"))


def test_token_is_taken_from_where_ray_takes_it_and_an_autoscalers_node_is_waited_for(
    tmp_path: Path,
) -> None:
    """Ray's own fake of a provider starts a raylet more on the head's host."""
    nothing = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    two_cpus = {"resources": {"CPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 1}
    config = {"max_workers": 1, "available_node_types": {"head": nothing, "cpu": two_cpus}}
    alone = "--include-dashboard=false"
    with plain_cluster(tmp_path, alone, token="7" * 64, autoscaler=config) as cluster:
        where = ("--address", cluster.head.address, "--class-timeout", "120s")
        words = (*where, "--max-runs", "1", "--out", "as")
        said = ended_with_code(search(cluster, *words), 0)
        assert "Waiting: no node of the cluster has a CPU to give; Ray is asked for one." in said
        assert table(cluster.folder / "as")[-1]["stage"] == "soak"
        other = cluster.folder / "other"
        other.write_text("8" * 64)
        other.chmod(0o600)
        wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{WORK}/other"}
        said = ended_with_code(search(cluster, *words, **wrong), 2)
        assert f"or its token is another one ({WORK}/other)." in said
