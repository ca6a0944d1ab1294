"""One host's time in the cluster: its ports proven, Ray started, newcomers answered."""

import asyncio
import importlib.metadata
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cluster.errors import JoinError
from cluster.join import gate, lease, ray_node
from cluster.join.gate import Gate, Member
from cluster.join.offer import HostOffer
from cluster.join.ports import Ports
from cluster.join.ray_node import RayNode
from cluster.node import ray_env
from cluster.node.stdout import lasting

BRING_TOKEN = "cd FOLDER && .venv/bin/python -m cluster.join token"
"""Command that takes the token on another host: a shell of ssh's has activated no environment."""
_JOB_URL = "http://127.0.0.1:8265"


def stay(
    private: Path,
    offer: HostOffer,
    ports: Ports,
    *,
    address: str,
    head_address: str | None,
    dashboard: bool,
) -> int:
    """Be part of the cluster until it ends, or until an interrupt; return the exit code.

    `private` is Ray's folder; `head_address` is `None` on the head.

    Raises:
        JoinError: if the ports are not proven, or Ray does not start, or ends.
    """
    lease.record_keeper(private)
    member = Member(
        address=address,
        is_head=head_address is None,
        ports=ports,
        versions=_versions(),
        token=ray_env.read_token(environ()),
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
        say(f"ended here. {lease.describe(private)}")
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
    ignore_signals = _leave_at_signals()
    if head_address is not None:
        await gate.prove(member, head_address)
        say(f"{head_address} and {member.address} reach each other on all ports.")
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
        ignore_signals()
        await node.end()


def _leave_at_signals() -> Callable[[], None]:
    """Let SIGTERM and a lost terminal cancel this task, once; under nohup SIGHUP is nothing.

    A lost terminal sends SIGHUP twice, and a cancel would cut off the end of Ray: return what makes
    them nothing.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    signals = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signals.append(signal.SIGHUP)

    def ignore() -> None:
        for signum in signals:
            loop.add_signal_handler(signum, lambda: None)

    def leave() -> None:
        ignore()
        task.cancel()

    for signum in signals:
        loop.add_signal_handler(signum, leave)
    return ignore


def _tell(member: Member, offer: HostOffer, *, dashboard: bool) -> None:
    count = f"{offer.num_gpus} GPUs" if offer.num_gpus else "the CPU"
    say(
        f"offers {count} of class {offer.machine_class}."
        if offer.num_trials
        else "offers nothing itself (no GPU, no --cpu)."
    )
    if not member.is_head:
        say("joined. Ctrl-C leaves.")
        return
    path = ray_env.token_path(environ())
    say(f"token: {path}, mode 0600. It belongs on every host, and on no command line:")
    say(f"  ssh {member.address} cat {path} | ssh WORKER '{BRING_TOKEN}'")
    say(f"join: python -m cluster.join worker --head {member.address}")
    say("search: python -m tune.jax_phase12 --address " + member.address)
    if dashboard:
        say(f"jobs and dashboard: {_JOB_URL} on this host alone; elsewhere through ssh -L.")
    else:
        say("no dashboard and no jobs: pip install 'ray[default]' brings them.")
    say("ready. Ctrl-C ends the cluster.")


def _versions() -> dict[str, str]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"Ray": importlib.metadata.version("ray"), "Python": python}


def prepare() -> Path:
    """Return Ray's private folder, made if it is not there.

    Raises:
        JoinError: if it cannot be made or is not this user's alone.
    """
    try:
        return ray_env.prepare(environ())
    except OSError as error:
        raise JoinError(f"Ray has no folder to work in: {error}") from error


def environ() -> dict[str, str]:
    """Return this process's environment with Ray's variables."""
    return {**os.environ, **ray_env.environment(os.environ)}


def say(text: str) -> None:
    """Print a line at once; to nobody, if the terminal was lost."""
    print(text, file=lasting(sys.stdout), flush=True)
