"""The ready-made documents: read as far as can be without a cloud, a Kubernetes or an engine."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import tyro
import yaml

from own_make import own_make_environ
from places import ROOT
from tune.jax_phase12 import JaxSpec

DEPLOY = ROOT / "cluster" / "deploy"
SKY_PYTHON = Path(os.environ.get("SKY_PYTHON", ROOT / ".venv-sky/bin/python"))


def spec_of(command: str) -> JaxSpec:
    """The options of a search, as a shell would hand them over."""
    words = shlex.split(command.replace("\\\n", " "))
    at = words.index("tune.jax_phase12")
    assert words[at - 1] == "-m"
    return tyro.cli(JaxSpec, args=words[at + 1 :])


def rayjob() -> Any:
    return yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())


def test_sky_task_runs_a_search_that_ends_by_itself() -> None:
    task = yaml.safe_load((DEPLOY / "sky.yaml").read_text())
    # It takes the only copy of the results with it: long enough to fetch them.
    assert task["resources"]["autostop"] == {"idle_minutes": 60, "down": True}
    assert task["setup"].strip() == "make setup"
    assert spec_of(task["run"]).max_time_s == 7200


def test_sky_reads_its_task() -> None:
    if not SKY_PYTHON.exists():
        pytest.skip(
            "needs SkyPilot in an environment of its own: python3 -m venv .venv-sky && "
            ".venv-sky/bin/pip install skypilot (or SKY_PYTHON)"
        )
    code = (
        "import json, sky\n"
        "task = sky.Task.from_yaml('cluster/deploy/sky.yaml')\n"
        "[one] = task.resources\n"
        "print(json.dumps([task.name, task.num_nodes, one.accelerators, task.run]))\n"
    )
    done = subprocess.run(
        [SKY_PYTHON, "-c", code],
        cwd=ROOT,
        env=os.environ | {"SKYPILOT_DISABLE_USAGE_COLLECTION": "1"},
        capture_output=True,
        text=True,
        timeout=700,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name, num_nodes, accelerators, run = json.loads(done.stdout.splitlines()[-1])
    assert (name, num_nodes, accelerators) == ("rl-tuner", 1, {"RTX4090": 1})
    assert spec_of(run).max_runs == 40


def test_rayjob_has_a_token_a_deadline_and_an_end() -> None:
    spec = rayjob()["spec"]
    assert rayjob()["apiVersion"] == "ray.io/v1"
    assert rayjob()["kind"] == "RayJob"
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert spec["shutdownAfterJobFinishes"] is True
    assert 0 < spec["activeDeadlineSeconds"] <= 24 * 3600
    assert not re.search(r"token:|RAY_AUTH_TOKEN:", (DEPLOY / "rayjob.yaml").read_text())


def test_rayjob_searches_and_leaves_its_results_on_a_volume() -> None:
    spec = spec_of(rayjob()["spec"]["entrypoint"])
    head = rayjob()["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [container] = head["containers"]
    [mount] = container["volumeMounts"]
    assert mount["name"] in {volume["name"] for volume in head["volumes"]}
    assert spec.out is not None
    for path in (spec.out, spec.profiles):
        assert path.is_relative_to(mount["mountPath"])


def test_workers_have_gpus_that_ray_counts_and_the_head_gives_nothing() -> None:
    cluster = rayjob()["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in cluster["workerGroupSpecs"]:
        parameters = group["rayStartParams"]
        # What it is told overrules what Ray and the search find out.
        assert not {"num-gpus", "num-cpus", "resources"} & parameters.keys()
        [container] = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_launcher_reads_its_document_and_the_search_in_it() -> None:
    text = (DEPLOY / "ray-up.yaml").read_text()
    document = yaml.safe_load(text)
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(document, schema)
    types = document["available_node_types"]
    assert types[document["head_node_type"]]["resources"] == {"CPU": 0}
    workers = [one for name, one in types.items() if name != document["head_node_type"]]
    assert sum(one["max_workers"] for one in workers) <= document["max_workers"]
    assert [one["min_workers"] for one in workers] == [0]  # others are never given back
    command = re.search(r'ray exec \S+ "(.*?)"', text.replace("\\\n#", ""), re.DOTALL)
    assert command is not None
    spec = spec_of(command[1])
    # Without a GPU in the cluster it must ask for one, and not search the CPU of a head.
    assert (spec.address, spec.device, spec.class_timeout_s) == ("auto", "gpu", 900)


def test_all_containers_have_the_same_image_and_the_same_thrift() -> None:
    cluster = rayjob()["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [group["template"]["spec"]["containers"][0] for group in groups]
    assert len({container["image"] for container in containers}) == 1
    for container in containers:
        env = {variable["name"]: variable["value"] for variable in container["env"]}
        assert env["RAY_memory_monitor_refresh_ms"] == "0"
        assert not any("TOKEN" in name for name in env)


def image(cuda: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions, as a build with `--build-arg CUDA=...` reads them."""
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    declared = [name for name, _ in steps].index("ARG")
    assert not any("CUDA}" in rest for _, rest in steps[:declared])  # it would be empty there
    return [(name, rest.replace("${CUDA}", cuda)) for name, rest in steps]


def of(steps: list[tuple[str, str]], instruction: str, word: str = "") -> str:
    [found] = [rest for name, rest in steps if name == instruction and word in rest]
    return found


@pytest.mark.parametrize("cuda", ["12", "13"])
def test_image_is_made_of_what_is_there(cuda: str) -> None:
    steps = image(cuda)
    copied = [source for name, rest in steps if name == "COPY" for source in rest.split()[:-1]]
    assert all((ROOT / source).exists() for source in copied)
    packages = {"tune", "trainables", "search_spaces", "cluster", "benchmarks"}
    assert packages <= {source.rstrip("/") for source in copied}
    dry = subprocess.run(
        ["make", "-n", *shlex.split(of(steps, "RUN", "make install"))[1:], "VENV=/nowhere"],
        cwd=ROOT,
        env=own_make_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert dry.returncode == 0, dry.stderr
    assert f".[cuda{cuda},dashboard]" in dry.stdout


@pytest.mark.parametrize(("cuda", "driver"), [("12", 525), ("13", 580)])
def test_image_extra_and_driver_are_of_one_cuda(cuda: str, driver: int) -> None:
    steps, project = image(cuda), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    [jax] = project["optional-dependencies"][f"cuda{cuda}"]
    assert jax.startswith(f"jax[cuda{cuda}]>=")
    environment = dict(word.split("=", 1) for word in shlex.split(of(steps, "ENV", "NVIDIA")))
    assert environment["NVIDIA_REQUIRE_CUDA"] == f"cuda>={cuda}.0"  # the first of this driver
    assert environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    base = re.fullmatch(r"python:3\.(\d+)-slim-bookworm", of(steps, "FROM"))
    assert base is not None, "an image with CUDA of its own would bring a second one"
    assert int(base[1]) >= int(project["requires-python"].removeprefix(">=3."))
    build = "docker build -f cluster/deploy/Dockerfile --build-arg "
    build += f"CUDA={cuda} -t rl-tuner:cuda{cuda} ."
    assert f"{build}  # driver {driver} or newer" in (DEPLOY / "README.md").read_text()
    assert build in (DEPLOY / "Dockerfile").read_text()


@pytest.mark.parametrize(("cuda", "code"), [("12", 0), ("13", 0), ("11", 2), ("1", 2), ("", 2)])
def test_image_of_a_cuda_that_jax_has_no_extra_for_is_not_built(cuda: str, code: int) -> None:
    guard = of(image(cuda), "RUN", "grep")
    done = subprocess.run(
        ["sh", "-c", guard], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert ("CUDA is 12 or 13, got" in done.stderr) is (code == 2)


def test_image_has_what_kuberay_and_the_launcher_run_in_it() -> None:
    steps = image("13")
    installed = set(of(steps, "RUN", "apt-get").split())
    assert {"wget", "rsync", "openssh-server", "make", "tar"} <= installed
    assert "/etc/ssh/ssh_host_*" in installed  # made by the package, and anybody's
    assert of(steps, "RUN", "boto3").startswith(".venv/bin/python -m pip install")
    [path] = shlex.split(of(steps, "ENV", "/opt"))
    [echo, line, _, profile] = shlex.split(of(steps, "RUN", "/etc/profile.d"))
    assert (echo, profile) == ("echo", "/etc/profile.d/rl-tuner.sh")
    assert shlex.split(line) == [path]


ENTRY = DEPLOY / "box.sh"


def entry(folder: Path, variables: dict[str, str]) -> list[str]:
    """What the image's entry runs, with stand-ins for all that it calls."""
    (folder / "bin").mkdir()
    for name in ("python", "ssh-keygen", "service", "sleep"):
        stand_in = folder / "bin" / name
        stand_in.write_text(f'#!/bin/sh\necho "{name} $*" >> "$HOME/called"\n')
        stand_in.chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    subprocess.run([ENTRY], env={"HOME": str(folder), "PATH": path, **variables}, check=True)
    return (folder / "called").read_text().splitlines()


def test_image_is_a_box_that_ssh_reaches_where_it_is_given_a_key(tmp_path: Path) -> None:
    assert json.loads(of(image("13"), "CMD")) == [f"/opt/rl-tuner/{ENTRY.relative_to(ROOT)}"]
    called = entry(tmp_path, {"PUBLIC_KEY": "ssh-ed25519 AAAA me"})
    assert called == ["ssh-keygen -A", "service ssh start", "sleep infinity"]
    keys = tmp_path / ".ssh" / "authorized_keys"
    assert keys.read_text() == "ssh-ed25519 AAAA me\n"
    assert keys.stat().st_mode & 0o777 == 0o600
    assert keys.parent.stat().st_mode & 0o777 == 0o700


def test_image_without_a_key_shows_the_preflight(tmp_path: Path) -> None:
    assert entry(tmp_path, {}) == ["python -m tune.preflight"]
