"""The listening sockets of a process and all below it: those that other hosts can reach."""

import dataclasses
import ipaddress
from collections.abc import Iterator

import psutil


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening TCP or UDP socket of a process."""

    process: str
    pid: int
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.process} (process {self.pid}) listens on {self.address} port {self.port}"


def exposed_listeners(pid: int | None = None) -> list[Listener]:
    """Return the listening sockets in the tree of `pid` (this process) that are not on loopback."""
    return [
        listener
        for process in _tree(pid)
        for listener in _listeners(process)
        if not _is_loopback(listener.address)
    ]


def _is_loopback(address: str) -> bool:
    """Return whether an address is on loopback, as ::ffff:127.0.0.1 (IPv4 in IPv6) is."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return (mapped or parsed).is_loopback


def _tree(pid: int | None) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _listeners(process: psutil.Process) -> Iterator[Listener]:
    try:
        name = process.name()
        connections = process.net_connections(kind="inet")
    except psutil.NoSuchProcess:
        return
    for connection in connections:
        if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE) and connection.laddr:
            yield Listener(
                process=name,
                pid=process.pid,
                address=connection.laddr.ip,
                port=connection.laddr.port,
            )
