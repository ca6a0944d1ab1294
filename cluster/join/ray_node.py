"""Ray on one host, under `ray start --block`: its command, environment, start and end."""

import asyncio
import contextlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from cluster.errors import JoinError
from cluster.join import lease
from cluster.join.offer import HostOffer
from cluster.join.ports import Ports
from cluster.node import listeners, ray_env
from cluster.node.listeners import Listener

_START_S = 90.0
_END_S = 20.0
_POLL_S = 0.25
_STARTED = "Ray runtime started."
_TIMED_OUT = "timed out during startup"


def command(
    *,
    address: str,
    head_address: str | None,
    ports: Ports,
    offer: HostOffer,
    dashboard: bool,
    temp_dir: Path,
) -> list[str]:
    """Return the `ray start` of this host; `head_address` is `None` on the head."""
    is_head = head_address is None
    where = ["--head", f"--include-dashboard={str(dashboard).lower()}", "--no-monitor"]
    if not is_head:
        where = [f"--address={head_address}:{ports.head}"]
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
        *where,
        f"--node-ip-address={address}",
        *ports.ray_arguments(is_head=is_head, has_client=_has_ray_client()),
        *offer.ray_arguments(is_head=is_head),
        f"--object-store-memory={ray_env.OBJECT_STORE_BYTES}",
        f"--temp-dir={temp_dir}",
        "--disable-usage-stats",
    ]


class RayNode:
    """Ray's processes on this host."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls, command: list[str], environment: Mapping[str, str], log: Path
    ) -> "RayNode":
        """Start Ray and wait until it says that it runs; its output goes to `log`.

        Ray gives its own start 30 s and no more, which a busy host may need twice.

        Raises:
            JoinError: if Ray does not start, with its last line.
        """
        try:
            return await cls._start(command, environment, log)
        except JoinError:
            if _TIMED_OUT not in log.read_text(errors="replace"):
                raise
        return await cls._start(command, environment, log)

    @classmethod
    async def _start(
        cls, command: list[str], environment: Mapping[str, str], log: Path
    ) -> "RayNode":
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is ours: Ray is ended in order
            )
        node = cls(process, log)
        try:
            await node._wait_started()
        except BaseException:
            await node.end()
            raise
        return node

    async def _wait_started(self) -> None:
        try:
            async with asyncio.timeout(_START_S):
                while _STARTED not in self._log.read_text(errors="replace"):
                    if self._process.returncode is not None:
                        raise JoinError(f"Ray did not start: {self._last_line()} ({self._log}).")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise JoinError(
                f"Ray did not start within {_START_S:.0f} s: {self._last_line()} ({self._log})."
            ) from error

    def unexpected_listeners(self, ports: Ports, *, is_head: bool) -> list[Listener]:
        """Return sockets that other hosts can reach, on ports that are not among `ports`."""
        known = ports.of(is_head=is_head)
        exposed = listeners.exposed_listeners(self._process.pid)
        return [listener for listener in exposed if listener.port not in known]

    async def wait(self) -> str:
        """Wait until Ray ends by itself, and return its last line."""
        await self._process.wait()
        return self._last_line()

    async def end(self) -> None:
        """End Ray in order, then kill what is left of its processes."""
        tree = self._tree()
        if self._process.returncode is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await self._process.wait()
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process.returncode is None:
            await self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._process.pid)
            return [*root.children(recursive=True), root]
        return []

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"


def _has_ray_client() -> bool:
    return importlib.util.find_spec("grpc") is not None


def environment(base: Mapping[str, str], ports: Ports, *, is_head: bool) -> dict[str, str]:
    """Return the environment of this host's Ray: `base`, the thrifty settings, the token.

    A person's own health check settings are kept.
    """
    given = ray_env.as_given(base)
    path = f"{Path(sys.executable).parent}{os.pathsep}{given.get('PATH', os.defpath)}"
    return {
        **HEALTH_CHECK,
        **given,
        **ray_env.environment(base),
        **lease.marking_variables(ray_env.private_dir(given)),
        # A job's `python` is the one in front here.
        "PATH": path,
        # Said of other systems, it forbids `ray start` to join.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0" if is_head else "1",
        # An actor without a GPU must see which GPUs this host has: it does their preflight.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "DASHBOARD_METRIC_PORT": str(ports.metrics),
        "RAY_COLOR_PREFIX": "0",
    }


HEALTH_CHECK = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "3000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "3",
}
"""A silent host counts as lost after about 40 s (by Ray's own settings: 63 s). A link that is cut
for 20 s costs nothing: `ray_env` keeps connections for longer."""
