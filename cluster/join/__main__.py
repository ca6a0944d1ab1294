"""Make one Ray cluster of hosts: python -m cluster.join head|worker|token|class|disarm"""

import asyncio
import dataclasses
import importlib.metadata
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro

from cluster import cli
from cluster.errors import JoinError
from cluster.join import gate, lease, ray_node
from cluster.join.gate import Gate, Member
from cluster.join.offer import HostOffer, check_room, choose_offer, own_machine_class
from cluster.join.ports import Ports
from cluster.join.ray_node import RayNode
from cluster.node import ray_env

_JOB_URL = "http://127.0.0.1:8265"


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
    """What it runs then, such as the provider's stop; the last option, all behind it is its own."""

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
        _say(lease.describe(private))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head(_Host):
    """Start a cluster. Stays in the foreground; Ctrl-C ends the cluster."""

    address: str
    """This host's address on the network that all hosts share."""

    def run(self) -> int:
        """Be the head until interrupted."""
        _check_address("--address", self.address)
        return _stay(self, address=self.address, head_address=None)


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
        return _stay(self, address=address, head_address=self.head)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Token:
    """Write the cluster's token, read from stdin, to Ray's token file (mode 0600)."""

    def run(self) -> int:
        """Read and write the token; it is never shown."""
        token = sys.stdin.read().strip()
        try:
            path = ray_env.write_token(_environ(), token)
        except (OSError, ValueError) as error:
            raise JoinError(str(error)) from error
        print(f"the token is in {path}")
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disarm:
    """Disarm this host's dead-man: from then on nothing ends its rent but you."""

    def run(self) -> int:
        """Disarm it, and say so."""
        private = _prepare()
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
    at = given.index("--stop-command") if "--stop-command" in given else len(given)
    options = tyro.extras.subcommand_cli_from_dict(
        _COMMANDS,
        args=given[:at],
        prog="python -m cluster.join",
        description=__doc__,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    if isinstance(options, _Host):
        options = dataclasses.replace(options, stop_command=tuple(given[at + 1 :]))
    return int(options.run())


def _stay(options: _Host, *, address: str, head_address: str | None) -> int:
    """Check this host, then be part of the cluster until it ends; return the exit code."""
    is_head = head_address is None
    offer = choose_offer(num_gpus=options.num_gpus, on_cpu=options.cpu, is_head=is_head)
    dashboard = is_head and not ray_env.missing_dashboard_packages()
    check_room(offer, dashboard=dashboard)
    private = _prepare()
    options.arm(private)
    lease.record_keeper(private)
    member = Member(
        address=address,
        is_head=is_head,
        ports=options.ports,
        versions=_versions(),
        token=ray_env.read_token(_environ()),
    )
    temp_dir = Path(tempfile.mkdtemp(dir=private))
    try:
        return asyncio.run(
            _live(
                member,
                ray_node.command(
                    address=address,
                    head_address=head_address,
                    ports=member.ports,
                    offer=offer,
                    dashboard=dashboard,
                    temp_dir=temp_dir,
                ),
                head_address=head_address,
                log=private / "join.log",
                ready=lambda: _tell(member, offer, dashboard=dashboard),
            )
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        _say(f"ended here. {lease.describe(private)}")
        return 0
    finally:
        shutil.rmtree(temp_dir, ignore_errors=True)


async def _live(
    member: Member,
    command: list[str],
    *,
    head_address: str | None,
    log: Path,
    ready: Callable[[], None],
) -> int:
    """Prove the ports, start Ray, answer newcomers; return only by an error or an interrupt."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if head_address is not None:
        await gate.prove(member, head_address)
        _say(f"{head_address} and {member.address} reach each other on all ports.")
    environment = ray_node.environment(os.environ, member.ports, is_head=member.is_head)
    node = await RayNode.start(command, environment, log)
    try:
        unexpected = node.unexpected_listeners(member.ports, is_head=member.is_head)
        if unexpected:
            raise JoinError(
                f"Ray opened a socket outside of its ports and was stopped: {unexpected[0]}. "
                "Unset RAY_* variables of your own and start again."
            )
        async with await Gate(member).open():
            ready()
            said = await node.wait()
        raise JoinError(f"Ray ended on this host: {said} ({log}). Is the head gone? Join again.")
    finally:
        await node.end()


def _tell(member: Member, offer: HostOffer, *, dashboard: bool) -> None:
    count = f"{offer.num_gpus} GPUs" if offer.num_gpus else "the CPU"
    _say(
        f"offers {count} of class {offer.machine_class}."
        if offer.num_trials
        else "offers nothing itself (no GPU, no --cpu)."
    )
    if not member.is_head:
        _say("joined. Ctrl-C leaves.")
        return
    path = ray_env.token_path(_environ())
    _say(f"token: {path}, mode 0600. It belongs on every host, and on no command line:")
    bring = "'cd FOLDER && python -m cluster.join token'"
    _say(f"  ssh {member.address} cat {path} | ssh WORKER {bring}")
    _say(f"join: python -m cluster.join worker --head {member.address}")
    _say("search: python -m tune.jax_phase12 --address " + member.address)
    if dashboard:
        _say(f"jobs and dashboard: {_JOB_URL} on this host alone; elsewhere through ssh -L.")
    else:
        _say("no dashboard and no jobs: pip install 'ray[default]' brings them.")
    _say("ready. Ctrl-C ends the cluster.")


def _prepare() -> Path:
    try:
        return ray_env.prepare(_environ())
    except OSError as error:
        raise JoinError(f"Ray has no folder to work in: {error}") from error


def _environ() -> dict[str, str]:
    return {**os.environ, **ray_env.environment(os.environ)}


def _versions() -> dict[str, str]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"Ray": importlib.metadata.version("ray"), "Python": python}


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


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
