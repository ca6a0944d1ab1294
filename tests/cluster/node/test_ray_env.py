"""Ray's environment and arguments, without Ray. test_caps.py starts the real one."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.node import listeners, ray_env
from places import ROOT


def test_ray_starts_thrifty_private_and_quiet() -> None:
    variables = ray_env.environment({})
    assert variables["RAY_num_grpc_internal_threads"] == "1"
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert variables["RAY_memory_monitor_refresh_ms"] == "0"
    assert variables["OPENBLAS_NUM_THREADS"] == "1"


def test_the_persons_environment_is_found_again() -> None:
    given = {"OMP_NUM_THREADS": "64", "HOME": "/home/me", "RAY_AUTH_MODE": "disabled"}
    environ = given | ray_env.environment(given)
    assert environ["OMP_NUM_THREADS"] == "1"
    assert ray_env.as_given(environ) == given


def test_an_environment_that_was_never_changed_is_as_given() -> None:
    assert ray_env.as_given({"A": "1"}) == {"A": "1"}


def test_the_environment_of_its_own_result_is_the_same() -> None:
    given = {"OMP_NUM_THREADS": "64", "TMPDIR": "/scratch"}
    variables = ray_env.environment(given)
    assert ray_env.environment(given | variables) == variables


OF_IMAGES = {
    "RAY_REDIS_ADDRESS": "10.0.0.1:6379",
    "RAY_USE_TLS": "1",
    "RAY_RUNTIME_ENV_HOOK": "image.hook",
    "RAY_num_heartbeats_timeout": "3",
    "TUNE_RESULT_DIR": "/tmp/x",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0",
}


def test_a_private_ray_takes_none_of_the_images_variables(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os\nfrom cluster.node import ray_env\n"
        "ray_env.exec_into(ray_env.environment(os.environ, private=True))\n"
        "print(json.dumps([dict(os.environ), ray_env.as_given(os.environ)]))\n"
    )
    token = {"RAY_AUTH_TOKEN": "t" * 64}
    done = run_program(str(program), PYTHONPATH=str(ROOT), **OF_IMAGES, **token)
    environ, given = json.loads(done.stdout)
    ours = ray_env.environment({}, private=True)
    assert {n: v for n, v in environ.items() if n in OF_IMAGES and n not in ours} == {}
    assert environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] == "1"
    assert environ["RAY_AUTH_TOKEN"] == token["RAY_AUTH_TOKEN"], "a token is the person's own"
    assert {n: given[n] for n in OF_IMAGES} == OF_IMAGES, "and found again"


def test_a_driver_in_a_cluster_keeps_the_clusters_variables() -> None:
    assert "RAY_REDIS_ADDRESS" not in ray_env.environment(OF_IMAGES)["RL_TUNER_REPLACED_ENV"]


def test_workers_are_not_started_by_uv_nor_through_a_shell() -> None:
    variables = ray_env.environment({"UV": "/usr/bin/uv"}, private=True)
    assert variables["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
    assert variables["__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR"] == "tune.prepare_worker"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, f"/tmp/rl-tuner-{os.getuid()}/ray_token"),
        ({"TMPDIR": "/scratch"}, f"/scratch/rl-tuner-{os.getuid()}/ray_token"),
        (
            {"TMPDIR": "/a/very/long/folder/name/indeed/it/is"},
            f"/tmp/rl-tuner-{os.getuid()}/ray_token",
        ),
        ({"RAY_AUTH_TOKEN_PATH": "/home/me/token"}, "/home/me/token"),
        ({"RAY_AUTH_TOKEN": "secret"}, None),
    ],
)
def test_the_token_is_the_persons_own_or_in_a_private_folder(
    given: dict[str, str], path: str | None
) -> None:
    assert ray_env.environment(given).get("RAY_AUTH_TOKEN_PATH") == path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def environ_in(folder: Path, **given: str) -> dict[str, str]:
    environ = {"TMPDIR": str(folder)} | given
    return environ | ray_env.environment(environ)


def test_the_token_is_readable_by_its_owner_only(short_dir: Path) -> None:
    folder = ray_env.prepare(environ_in(short_dir))
    token = folder / "ray_token"
    assert folder.parent == short_dir
    assert (mode(folder), mode(token), len(token.read_text())) == (0o700, 0o600, 64)
    assert list(folder.iterdir()) == [token]


def test_a_token_that_is_there_is_kept(short_dir: Path) -> None:
    token = ray_env.prepare(environ_in(short_dir)) / "ray_token"
    before = token.read_text()
    ray_env.prepare(environ_in(short_dir))
    assert token.read_text() == before


@pytest.mark.parametrize(
    "given", [{"RAY_AUTH_TOKEN_PATH": "/home/me/token"}, {"RAY_AUTH_TOKEN": "secret"}]
)
def test_the_persons_own_token_is_left_alone(short_dir: Path, given: dict[str, str]) -> None:
    folder = ray_env.prepare(environ_in(short_dir, **given))
    assert list(folder.iterdir()) == []


def test_a_folder_open_to_others_is_refused(short_dir: Path) -> None:
    ray_env.private_dir({"TMPDIR": str(short_dir)}).mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="must belong to you alone"):
        ray_env.prepare(environ_in(short_dir))


def test_ray_is_local_and_counts_trials_not_cores() -> None:
    arguments = ray_env.init_arguments(num_cpus=1, num_gpus=2, temp_dir=Path("/tmp/r"))
    assert arguments["address"] == "local"
    assert (arguments["num_cpus"], arguments["num_gpus"]) == (1, 2)
    assert arguments["_node_ip_address"] == arguments["dashboard_host"] == "127.0.0.1"
    assert arguments["include_dashboard"] is False


def test_a_folder_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 43 bytes long"):
        ray_env.init_arguments(num_cpus=1, num_gpus=0, temp_dir=Path("/" + "x" * 43))


@pytest.mark.parametrize(
    ("num_cpus", "dashboard", "measured"),
    [(1, False, 212), (2, False, 206), (4, False, 285), (1, True, 544)],
)
def test_expected_threads_are_at_least_those_measured(
    num_cpus: int, dashboard: bool, measured: int
) -> None:
    assert measured <= ray_env.expected_threads(num_cpus, dashboard) <= measured + 40


@pytest.mark.parametrize(
    ("family", "address", "is_exposed"),
    [
        (socket.AF_INET, "127.0.0.1", False),
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET6, "::ffff:127.0.0.1", False),
    ],
)
def test_a_listener_off_loopback_is_exposed(
    family: socket.AddressFamily, address: str, is_exposed: bool
) -> None:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        ports = [found.port for found in listeners.exposed_listeners()]
    assert (port in ports) is is_exposed


def test_a_udp_socket_counts_as_a_listener() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 0))
        found = listeners.exposed_listeners()
    assert [str(one).endswith(f"on 0.0.0.0 port {one.port}") for one in found] == [True]


PROGRAM = """
import os, sys
from cluster.node import ray_env
print(os.getpid(), sys.argv[1:], ray_env.as_given(os.environ).get("OMP_NUM_THREADS"), flush=True)
ray_env.exec_into(ray_env.environment(os.environ))
print("running", os.environ["OMP_NUM_THREADS"])
"""


def run_program(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_program_starts_over_once_with_the_environment(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = run_program(str(program), "--flag", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="64")
    first, second, running = done.stdout.splitlines()
    assert first == second, "the same process, arguments and given environment"
    assert first.endswith("['--flag'] 64")
    assert running == "running 1"


def test_an_environment_that_does_not_hold_is_an_error_and_no_loop(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['OMP_NUM_THREADS'] = '64'")
    path = f"{tmp_path}:{ROOT}"
    done = run_program("-c", PROGRAM, PYTHONPATH=path)
    assert "RuntimeError: the environment does not keep OMP_NUM_THREADS" in done.stderr


def test_ray_is_not_imported() -> None:
    code = "import cluster.node.ray_env, sys; raise SystemExit('ray' in sys.modules)"
    assert run_program("-c", code).returncode == 0


def test_token_that_is_brought_is_written_for_its_owner_alone(short_dir: Path) -> None:
    environ = {"TMPDIR": str(short_dir)}
    environ |= ray_env.environment(environ)
    for token in ("x" * 64, "y" * 64):
        path = ray_env.write_token(environ, token)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert ray_env.read_token(environ) == token
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="others may read the token: chmod 600"):
        ray_env.read_token(environ)
