"""The TCP ports of a joined host, all fixed, so that a firewall can be set up. Pure."""

import dataclasses
from collections.abc import Iterable

from cluster.errors import JoinError

NUM_WORKER_PORTS = 50
_FIRST_WORKER = 10  # the ports before it are Ray's daemons'
_DASHBOARD = 8265


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of a host: `head`, `gate`, and 60 more from `first` on.

    `gate` is this tool's: hosts that want to join ask there. `head` is Ray's control store, on the
    head alone.
    """

    head: int = 6379
    gate: int = 6380
    first: int = 10000

    def __post_init__(self) -> None:
        last = self.first + _FIRST_WORKER + NUM_WORKER_PORTS - 1
        if not (self.first >= 1024 and last <= 65535):
            raise JoinError(f"--first-port must be from 1024 to {65535 - last + self.first}.")
        for option, port in (("--port", self.head), ("--gate-port", self.gate)):
            if not 1024 <= port <= 65535 or self.first <= port <= last:
                raise JoinError(
                    f"{option} must be from 1024 to 65535 and not within the range of --first-port "
                    f"({self.first}-{last}), got {port}."
                )
        if self.head == self.gate:
            raise JoinError(f"--port and --gate-port must differ, got {self.gate} for both.")

    @property
    def metrics(self) -> int:
        """Port where the head's dashboard publishes its own metrics."""
        return self.first + 7

    def of(self, *, is_head: bool) -> tuple[int, ...]:
        """Return all ports on which others must reach this host, in ascending order."""
        last = self.first + _FIRST_WORKER + NUM_WORKER_PORTS
        return tuple(sorted({self.gate, *[self.head] * is_head, *range(self.first, last)}))

    def ray_arguments(self, *, is_head: bool, has_client: bool) -> list[str]:
        """Return these ports as arguments of `ray start`; the dashboard is on loopback only.

        `has_client` says that Ray Client is installed, which comes with ray[default]: Ray then
        checks its port, by default 10001, against the others, also on workers that open none;
        without it, Ray knows no such port.
        """
        first_worker = self.first + _FIRST_WORKER
        arguments = [
            f"--node-manager-port={self.first}",
            f"--object-manager-port={self.first + 1}",
            f"--runtime-env-agent-port={self.first + 2}",
            f"--dashboard-agent-grpc-port={self.first + 3}",
            f"--dashboard-agent-listen-port={self.first + 4}",
            f"--metrics-export-port={self.first + 5}",
            f"--min-worker-port={first_worker}",
            f"--max-worker-port={first_worker + NUM_WORKER_PORTS - 1}",
        ]
        if has_client:
            arguments.append(f"--ray-client-server-port={self.first + 6}")
        if is_head:
            arguments += [
                f"--port={self.head}",
                "--dashboard-host=127.0.0.1",
                f"--dashboard-port={_DASHBOARD}",
            ]
        return arguments


def ranges(ports: Iterable[int]) -> str:
    """Return ports as a person writes them: 6379, 10000-10059."""
    runs: list[list[int]] = []
    for port in sorted(ports):
        if runs and port == runs[-1][1] + 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
