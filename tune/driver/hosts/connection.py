"""The connection to a Ray cluster that others started, and what to say when there is none."""

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import ray
import ray.exceptions

from cluster.errors import UserError
from cluster.node import ray_env

_DIAL_S = 5.0
_PORT = 6379


@contextlib.contextmanager
def connect(address: str, runtime_env: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Connect to the cluster whose head is at `address`: an IP, `IP:PORT`, or Ray's own for jobs.

    Raises:
        UserError: if there is no such cluster, this host is not in it, the token or the version
            of Ray differs, or the files of `runtime_env` cannot be sent.
    """
    if "://" in address:
        raise UserError(
            f"--address {address}: Ray's client would run the search on the head, without your "
            "files and your screen. Give IP:PORT on a host of the cluster, or submit the search "
            "as a job: ray job submit --address http://HEAD:8265 --working-dir . -- python -m ..."
        )
    host, _, port = address.partition(":")
    if not port and host not in ("auto", "local"):
        port, address = str(_PORT), f"{host}:{_PORT}"
    if port:
        _dial(host, port)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="warning",
            runtime_env=None if runtime_env is None else dict(runtime_env),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(_refusal(address, str(error), sends=runtime_env is not None)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _refusal(address: str, said: str, *, sends: bool) -> str:
    """Return why there is no connection, in one sentence.

    What `sends` files comes after a connection without them.
    """
    if sends:
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
    return (
        f"cannot use the cluster at {address} from here: either this host is not part of it "
        "(python -m cluster.join, or ray start), or its token is another one "
        f"({ray_env.token_path(os.environ)})."
    )


def _dial(host: str, port: str) -> None:
    """Open a connection to the head, to fail early.

    Ray would try for half a minute and then fail with a message of its C++ core.

    Raises:
        UserError: if nothing answers.
    """
    try:
        with socket.create_connection((host, int(port)), timeout=_DIAL_S):
            return
    except (OSError, ValueError) as error:
        raise UserError(
            f"--address: no head answers at {host} port {port} ({error}). Start one there: "
            "ray start --head, or python -m cluster.join head."
        ) from error
