"""Make one Ray cluster of hosts: python -m cluster.join head|worker|token|class|disarm"""

import dataclasses
import ipaddress
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro

from cluster import cli
from cluster.errors import JoinError
from cluster.join import lease, membership
from cluster.join.offer import check_room, choose_offer, own_machine_class
from cluster.join.ports import Ports
from cluster.node import ray_env


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Host:
    cpu: bool = False
    """Let trials run on this host's CPU, one at a time; for hosts without a GPU."""
    num_gpus: int | None = None
    """GPUs to offer, one trial each; all that NVML and CUDA_VISIBLE_DEVICES show if left out."""
    port: int = 6379
    """Port of Ray's control store on the head; the same on all hosts, as the next two."""
    gate_port: int = 6380
    """Port where hosts that want to join ask."""
    first_port: int = 10000
    """First of 60 ports for all else that Ray listens on."""
    max_hours: float | None = None
    """After so many hours a dead-man, a process apart, ends Ray on this host."""
    stop_command: tuple[str, ...] = ()
    """The command that ends the rent then. The last option: it takes the rest of the line."""

    @property
    def ports(self) -> Ports:
        """Ports that the options name."""
        return Ports(head=self.port, gate=self.gate_port, first=self.first_port)

    def arm(self, private: Path) -> None:
        """Arm the dead-man if --max-hours is given, and say which one is armed."""
        if self.max_hours is not None:
            lease.arm(private, hours=self.max_hours, stop_command=self.stop_command)
        elif self.stop_command:
            raise JoinError(
                "--stop-command needs --max-hours in front of it: all behind it is the command."
            )
        membership.say(lease.describe(private))

    def stay(self, *, address: str, head_address: str | None) -> int:
        """Check this host, then be part of the cluster until it ends; return the exit code."""
        is_head, ports = head_address is None, self.ports  # refused before anything is armed
        offer = choose_offer(num_gpus=self.num_gpus, on_cpu=self.cpu, is_head=is_head)
        dashboard = is_head and not ray_env.missing_dashboard_packages()
        check_room(offer, dashboard=dashboard)
        private = membership.prepare()
        self.arm(private)
        return membership.stay(
            private,
            offer,
            ports,
            address=address,
            head_address=head_address,
            dashboard=dashboard,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head(_Host):
    """Start a cluster. Stays in the foreground; Ctrl-C ends the cluster."""

    address: str
    """This host's address on the network that all hosts share."""

    def run(self) -> int:
        """Be the head until interrupted."""
        _check_address("--address", self.address)
        return self.stay(address=self.address, head_address=None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Worker(_Host):
    """Join a cluster, or say which port is closed in which direction. Stays in the foreground."""

    head: str
    """The head's address."""
    address: str | None = None
    """This host's address on that network; found by the route to the head if left out."""

    def run(self) -> int:
        """Be a worker until interrupted, or until the head is gone."""
        _check_address("--head", self.head)
        address = self.address or _route_to(self.head)
        _check_address("--address", address)
        if address == self.head:
            raise JoinError(f"{address} is the head's own address; a worker is another host.")
        return self.stay(address=address, head_address=self.head)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """Write the cluster's token, read from stdin, to Ray's token file (mode 0600)."""

    def run(self) -> int:
        """Read and write the token; it is never shown."""
        token = sys.stdin.read().strip()
        try:
            path = ray_env.write_token(membership.environ(), token)
        except (OSError, ValueError) as error:
            raise JoinError(str(error)) from error
        print(f"the token is in {path}")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disarm:
    """Disarm this host's dead-man: from then on nothing ends its rent but you."""

    def run(self) -> int:
        """Disarm it, and say so."""
        private = membership.prepare()
        lease.disarm(private)
        print(lease.describe(private))
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Class:
    """Print this host's class of hardware, for clusters that are started otherwise (KubeRay)."""

    def run(self) -> int:
        """Print the class."""
        print(own_machine_class())
        return 0


_COMMANDS: dict[str, Callable[..., Any]] = {
    "head": Head,
    "worker": Worker,
    "token": Token,
    "disarm": Disarm,
    "class": Class,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return cli.run(lambda: _run(given))


def _run(given: Sequence[str]) -> int:
    given, stop_command = _without_stop_command(given)
    options = tyro.extras.subcommand_cli_from_dict(
        _COMMANDS,
        args=given,
        prog="python -m cluster.join",
        description=__doc__,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    if isinstance(options, _Host):
        options = dataclasses.replace(options, stop_command=stop_command)
    elif stop_command:
        raise JoinError("--stop-command is for head and worker: leave it out here.")
    return int(options.run())


def _without_stop_command(given: Sequence[str]) -> tuple[Sequence[str], tuple[str, ...]]:
    """Return the words before --stop-command, as people spell it, and the command behind it.

    The command's own options are not ours to parse.

    Raises:
        JoinError: if nothing stands behind it: a dead-man that ends no rent was not asked for.
    """
    for place, word in enumerate(given):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == "--stop-command":
            command = ([value] if equals else []) + list(given[place + 1 :])
            if not command:
                raise JoinError("--stop-command needs the command behind it, word by word.")
            return given[:place], tuple(command)
    return given, ()


def _check_address(option: str, text: str) -> None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise JoinError(f"{option} is an IP address like 10.0.0.1, got {text!r}.") from None
    if address.is_unspecified or address.is_loopback:
        raise JoinError(
            f"{option} must be an address that other hosts reach, got {text}: see `ip addr`."
        )


def _route_to(head: str) -> str:
    """Return this host's address on the route to the head; a UDP socket finds it, unsent."""
    family = socket.AF_INET6 if ":" in head else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((head, 9))
        except OSError as error:
            raise JoinError(f"this host has no route to {head} ({error.strerror}).") from error
        return str(probe.getsockname()[0])


if __name__ == "__main__":
    sys.exit(main())
