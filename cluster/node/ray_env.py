"""A thrifty, private, local Ray: its environment and its arguments.

Stdlib only: what is set here must be set before Ray is imported. A single node at 128
CPUs takes 1113 threads as it comes, about 200 with the variables here and no dashboard.
"""

import importlib.util
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.node.atomic import write_text

THRIFTY = {
    "RAY_num_server_call_thread": "1",
    "RAY_core_worker_num_server_call_thread": "1",
    "RAY_gcs_server_rpc_server_thread_num": "1",
    "RAY_gcs_server_rpc_client_thread_num": "1",
    "RAY_num_grpc_internal_threads": "1",
    "RAY_worker_num_grpc_internal_threads": "1",
    "RAY_object_manager_rpc_threads_num": "1",
    "RAY_start_python_gc_manager_thread": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
"""Ray sizes these pools by the host's CPUs; affinity does not shrink them (it asks get_nprocs)."""

PRIVATE = {
    "RAY_AUTH_MODE": "token",
    # Named for other systems, it makes every listener take the node's address, here 127.0.0.1.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Under `uv run` Ray would start workers by uv, in another environment, without this one's JAX.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}

WORKERS = {
    # What runtime_env's `worker_process_setup_hook` sets. Any runtime_env starts workers through a
    # shell, unquoted: they hang where the path of Python has a space (ray #5288), and start later.
    "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": "tune.prepare_worker",
}
"""Workers of a private Ray inherit it, and import our packages before a person's of their names."""

BEHAVIOUR = {
    # A kill by Ray's memory monitor aborts the whole search; trials' memory is watched by us.
    "RAY_memory_monitor_refresh_ms": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune would move every trial into a folder of its own, away from the person's modules.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # A Ctrl-C is ours: Tune would first ask Ray, which may be gone, to stop the trial.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune's own tables would be printed through ours, whatever `verbose` says.
    "RAY_AIR_NEW_OUTPUT": "0",
    # Ray nices its workers to 15, and trials with them; training will not run so.
    "RAY_worker_niceness": "0",
    # gRPC would say at each fork of ours that it cannot follow; what we fork does not speak to Ray.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
    # After 20 s without an answer Ray would hang up, and the trial behind that link would be lost;
    # whether a host is lost is for its health checks to say.
    "RAY_grpc_keepalive_timeout_ms": "60000",
}

DRIVER = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
}
"""The driver and every worker import numpy, pandas and pyarrow, and compute nothing with them."""

_OF_IMAGES = ("RAY_", "TUNE_")
_TOKENS = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
_OF_TOKENS = _TOKENS | {"RAY_AUTH_MODE"}
_TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
_REPLACED = "RL_TUNER_REPLACED_ENV"
OBJECT_STORE_BYTES = 80 * 2**20  # Ray's minimum is 75 MiB; nothing large crosses it
_TOKEN_NAME = "ray_token"
_LONGEST_DIR = 43  # a Unix socket's path ends at 107 bytes, and Ray appends up to 64
LONGEST_TMPDIR = _LONGEST_DIR - len("/ray")
"""Bytes of a TMPDIR below which a Ray that is told nothing finds room for its sockets."""

_TEMP_NAME = len("/tmpabcdefgh")  # as tempfile.mkdtemp names one


def environment(
    base: Mapping[str, str],
    *,
    private: bool = False,
    dashboard: bool = False,
    token: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the variables Ray's driver must have from its start, on top of `base`.

    The values they replace ride along, so that `as_given` can show the person's own environment
    again. A `private` Ray takes none of Ray's and Tune's variables that an image or a cluster sets
    (another head's Redis, TLS, hooks, folders), but a token: `exec_into` takes them away. With a
    dashboard it has temporary files of its own, which the dashboard's processes leave behind.
    `token` are the variables of a cluster that others started, empty if it takes none; without them
    our own token is used.
    """
    given = as_given(base)
    variables = THRIFTY | PRIVATE | BEHAVIOUR | DRIVER | (WORKERS if private else {})
    if private and dashboard:
        variables["TMPDIR"] = str(temporary_dir(given))
    if token is not None:
        variables = {n: v for n, v in variables.items() if n not in _OF_TOKENS} | dict(token)
    elif not given.get("RAY_AUTH_TOKEN"):
        default = str(private_dir(given) / _TOKEN_NAME)
        variables[_TOKEN_PATH] = given.get(_TOKEN_PATH) or default
    taken = {name for name in given if name.startswith(_OF_IMAGES)} if private else set()
    replaced = {name: given.get(name) for name in variables.keys() | (taken - _TOKENS)}
    return variables | {_REPLACED: json.dumps(replaced, sort_keys=True)}


def as_given(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as the person gave it, without what `environment` put there."""
    given = {name: value for name, value in environ.items() if name != _REPLACED}
    replaced: dict[str, str | None] = json.loads(environ.get(_REPLACED, "{}"))
    for name, value in replaced.items():
        given.pop(name, None)
        if value is not None:
            given[name] = value
    return given


def for_child(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a trial inherits of the person's environment.

    It needs none of Ray's variables, least of all its token.
    """
    given = as_given(environ)
    return {name: value for name, value in given.items() if not name.startswith("RAY_")}


def exec_into(variables: Mapping[str, str]) -> None:
    """Restart this process with `variables` in its environment, unless it has had them already.

    What they replace and do not set is taken away. Ray's system processes copy the driver's
    environment, its C++ core reads it when imported, as OpenBLAS and OpenMP do, and nothing here
    writes `os.environ`. So the same command line is executed again in this process (same pid, same
    terminal). Call it first in a program's main and never in a library: what was done before is
    done again.

    Raises:
        RuntimeError: if the variables do not survive the start (a sitecustomize changes them, say).
    """
    taken = json.loads(variables.get(_REPLACED, "{}")).keys() - variables.keys()
    changed = [name for name, value in variables.items() if os.environ.get(name) != value]
    if _REPLACED not in os.environ:  # Ray itself sets some when it is imported
        changed += sorted(taken & os.environ.keys())
    if not changed:
        return
    if _REPLACED in os.environ:
        raise RuntimeError(
            f"the environment does not keep {', '.join(changed)}: something that Python runs at "
            "its start (sitecustomize, a .pth file) changes them."
        )
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    kept = {name: value for name, value in os.environ.items() if name not in taken}
    os.execve(sys.executable, command, kept | dict(variables))


def private_dir(base: Mapping[str, str]) -> Path:
    """Return where this user's Ray keeps sockets, logs and the token; short, as sockets need."""
    name = f"rl-tuner-{os.getuid()}"
    wanted = Path(base.get("TMPDIR") or "/tmp", name)
    fits = len(os.fsencode(wanted)) <= _LONGEST_DIR - _TEMP_NAME
    return wanted if fits else Path("/tmp", name)


def temporary_dir(base: Mapping[str, str]) -> Path:
    """Return the folder for temporary files of this process's dashboard and trials."""
    return private_dir(as_given(base)) / f"t{os.getpid()}"  # short, for sockets below it


def token_path(environ: Mapping[str, str]) -> str:
    """Return where the token is that every client of this Ray must show, in words for a person."""
    if environ.get("RAY_AUTH_TOKEN"):
        return "your variable RAY_AUTH_TOKEN"
    return environ.get(_TOKEN_PATH) or "none is known here: see RAY_AUTH_MODE"


def prepare(environ: Mapping[str, str]) -> Path:
    """Create the private folder (0700) and the token in it (0600), and return the folder.

    Ray would write the token itself, readable by everyone. A token that the person's own
    environment names is the person's to create.

    Raises:
        PermissionError: if the folder is another user's or open to others.
    """
    folder = private_dir(as_given(environ))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(
            f"{folder} must belong to you alone (mode 0700): remove it, or set TMPDIR to a folder "
            "of your own."
        )
    own_token = folder / _TOKEN_NAME
    if environ.get(_TOKEN_PATH) == str(own_token) and not own_token.exists():
        write_text(own_token, secrets.token_hex(32), mode=0o600)
    return folder


def read_token(environ: Mapping[str, str]) -> str:
    """Return the token of the environment, to sign with; `prepare` has made it if it is ours.

    Raises:
        PermissionError: if others may read its file.
        OSError: if there is no such file.
    """
    if environ.get("RAY_AUTH_TOKEN"):
        return environ["RAY_AUTH_TOKEN"]
    path = Path(environ[_TOKEN_PATH])
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise PermissionError(f"others may read the token: chmod 600 {path}")
    return path.read_text().strip()


def write_token(environ: Mapping[str, str], token: str) -> Path:
    """Write another host's token to the file where this host's Ray reads it; return the file.

    Raises:
        PermissionError: see `prepare`.
        ValueError: if the text is no token, or the environment carries one itself.
    """
    if not re.fullmatch(r"[\w.-]{32,}", token):
        raise ValueError("stdin holds no token: one has 32 or more letters and digits.")
    if _TOKEN_PATH not in environ:
        raise ValueError("RAY_AUTH_TOKEN is set and would be used instead: unset it.")
    prepare(environ)
    path = Path(environ[_TOKEN_PATH])
    write_text(path, token, mode=0o600)  # at once: a search that starts now reads no half of it
    return path


def init_arguments(
    *,
    num_cpus: int,
    num_gpus: int,
    temp_dir: Path,
    dashboard: bool = False,
) -> dict[str, Any]:
    """Return the arguments of `ray.init` for a cluster of this machine alone, on loopback.

    `num_cpus` counts trials, not cores: left to itself Ray starts a worker per core, and 128 of
    them are about 7,000 threads. `temp_dir` should be a fresh folder in `private_dir`.

    Raises:
        ValueError: if `temp_dir` is too long for the Unix sockets that Ray puts below it.
    """
    if len(os.fsencode(temp_dir)) > _LONGEST_DIR:
        raise ValueError(f"Ray's folder must be at most {_LONGEST_DIR} bytes long, got {temp_dir}.")
    return {
        "address": "local",  # never a cluster that RAY_ADDRESS names
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "include_dashboard": dashboard,
        "dashboard_host": "127.0.0.1",
        "object_store_memory": OBJECT_STORE_BYTES,
        "log_to_driver": False,
        "logging_level": "warning",
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": str(temp_dir),
    }


def expected_threads(num_cpus: int, dashboard: bool = False, *, ray_runs: bool = False) -> int:
    """Return the peak of Ray's whole tree, driver and trials' actors included, rounded up.

    Where `ray_runs` already, as on a host of a cluster, only the actors are still to come.

    Measured, the same at 2 CPUs, 128 and 384: 182, 206 and 252 with 1, 2 and 4 actors; 212 and 285
    with 1 and 4 where the packages of ray[default] are installed. The dashboard: 413 in all at 2
    CPUs, 544 at 128 and 384.
    """
    return (0 if ray_runs else 190 + (335 if dashboard else 0)) + 25 * num_cpus


def missing_dashboard_packages() -> list[str]:
    """Return what Ray's dashboard needs and is not installed; Ray dies at its start without it."""
    needed = ("aiohttp", "aiohttp_cors", "colorful", "grpc", "opencensus", "opentelemetry")
    return [name for name in needed if importlib.util.find_spec(name) is None]
