"""The connection to a Ray cluster that others started, and what to say when there is none."""

import contextlib
import importlib.util
import logging
import os
import re
import socket
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import ray
import ray.exceptions
import ray.util.client

from cluster.errors import UserError
from cluster.node import ray_env, raylets

_DIAL_S = 5.0
_LEAVE_S = 5.0
_PORT, _CLIENT_PORT = 6379, 10001
_TRIES = 4
_NOT_READY = re.compile("Starting Ray client server failed|Proxy failed to Connect to backend")


@contextlib.contextmanager
def connect(address: str, runtime_env: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Connect to the cluster whose head is at `address`: an IP, `IP:PORT`, Ray's own for jobs, or
    `ray://IP:PORT` for Ray's client, from a host outside of the cluster.

    Raises:
        UserError: if there is no such cluster, this host is not in it, the token or the version
            of Ray differs, or the files of `runtime_env` cannot be sent.
    """
    scheme, _, rest = address.rpartition("://")
    if scheme not in ("", "ray"):
        raise UserError(
            f"--address {address}: give auto, IP:PORT of the head, or ray://HEAD:{_CLIENT_PORT}. A "
            f"job is submitted: ray job submit --address {address} --working-dir . -- python -m ..."
        )
    host, _, port = rest.partition(":")
    if not port and host not in ("auto", "local"):
        port = str(_CLIENT_PORT if scheme else _PORT)
        address = f"{scheme}://{host}:{port}" if scheme else f"{host}:{port}"
    if scheme and importlib.util.find_spec("grpc") is None:
        raise UserError(f"--address {address}: Ray's client needs gRPC: pip install 'ray[client]'.")
    if port:
        _dial(host, port, at_client_server=bool(scheme))
    logging.getLogger("ray.util.client").setLevel(logging.ERROR)  # of a link that comes back
    try:
        _init(address, runtime_env)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(_refusal(address, str(error), sends=runtime_env is not None)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _init(address: str, runtime_env: Mapping[str, Any] | None) -> None:
    """Initialise Ray; again, a few times, where the head did not get its side of a client ready.

    It starts a process for each, which on a busy head takes longer than it waits, or fails.
    """
    for left in reversed(range(_TRIES)):
        try:
            with warnings.catch_warnings(action="ignore"):  # what fails is said by the error
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level="error",
                    runtime_env=None if runtime_env is None else dict(runtime_env),
                )
            return
        except ConnectionError as error:
            if not left or not _NOT_READY.search(str(error)):
                raise


def by_client() -> bool:
    """Return whether this process is connected by Ray's client, from outside of the cluster."""
    return bool(ray.util.client.ray.is_connected())


def leave() -> None:
    """Leave a cluster that Ray's client is connected to: its trials end at once.

    Where the client only vanishes, the head waits for it for half a minute first.
    """
    if by_client():
        leaving = threading.Thread(target=ray.util.client.ray.disconnect, daemon=True)
        leaving.start()
        leaving.join(_LEAVE_S)  # the link may be what was lost


def _refusal(address: str, said: str, *, sends: bool) -> str:
    """Return why there is no connection, in one sentence.

    What `sends` files comes after a connection without them.
    """
    is_client = address.startswith(raylets.CLIENT)
    if sends and not is_client:
        last = said.strip().splitlines()[-1].rstrip(".")
        return f"the cluster at {address} does not take the files of this search: {last}."
    versions = re.findall(r"^\s*(Ray|Python): (\S+)", said, re.MULTILINE)
    if "Version mismatch" in said and len(versions) == 4:
        there, here = (
            " and ".join(" ".join(of) for of in two) for two in (versions[:2], versions[2:])
        )
        return f"the cluster at {address} runs {there}, and here is {here}: install the same."
    if address == "auto":
        return (
            "--address auto: no Ray runs on this host. Start the search on a host of the cluster, "
            "or give the head's IP:PORT."
        )
    # Ray raises the same, after 20 s, for a head that refuses and one that it cannot reach.
    if is_client:
        last = said.strip().splitlines()[-1].rstrip(".")
        if _NOT_READY.search(said):
            return (
                f"the head at {address} did not get its side of Ray's client ready, in {_TRIES} "
                f"tries ({last}). Has it CPUs and memory left? Its logs are in its Ray session."
            )
        return (
            f"cannot use the cluster at {address} ({last}). Is its token another one (here: "
            f"{ray_env.token_path(os.environ)}), or is this not the port of Ray's client server?"
        )
    return (
        f"cannot use the cluster at {address} from here: either this host is not part of it "
        "(python -m cluster.join, or ray start), or its token is another one "
        f"({ray_env.token_path(os.environ)})."
    )


def _dial(host: str, port: str, *, at_client_server: bool) -> None:
    """Open a connection to the head, to fail early.

    Ray would try for half a minute and then fail with a message of its C++ core.

    Raises:
        UserError: if nothing answers.
    """
    try:
        with socket.create_connection((host, int(port)), timeout=_DIAL_S):
            return
    except (OSError, ValueError) as error:
        do = "Start one there: ray start --head, or python -m cluster.join head."
        if at_client_server:
            do = (
                f"Ray's client server is at port {_CLIENT_PORT} of a head with ray[client]; from "
                f"elsewhere forward it: ssh -L {_CLIENT_PORT}:127.0.0.1:{_CLIENT_PORT} HEAD."
            )
        raise UserError(
            f"--address: no head answers at {host} port {port} ({error}). {do}"
        ) from error
