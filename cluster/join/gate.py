"""The gate of a joined host: newcomers ask here, and both sides prove their ports.

One connection, one JSON line each way. Both lines are signed with the cluster's token over the
other side's nonce (HMAC-SHA256): the token itself never travels, and a recorded line cannot be used
again. A caller without the token is refused and never called back; one with the token is called
back only at the address that it comes from.
"""

import asyncio
import contextlib
import dataclasses
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from cluster.errors import JoinError
from cluster.join import reach
from cluster.join.ports import Ports, ranges

_PATIENCE_S = 20.0
_LONGEST_LINE = 2**16
_STARTING_S = 200.0  # a worker's gate opens once its Ray runs, of which it tries two starts


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One host of the cluster, or a newcomer. `versions` must agree on all hosts."""

    address: str
    is_head: bool
    ports: Ports
    versions: Mapping[str, str]
    token: str = dataclasses.field(repr=False)

    @property
    def name(self) -> str:
        """Name of the host in errors."""
        return f"the {'head' if self.is_head else 'worker'} {self.address}"


class Gate:
    """The listener that answers newcomers while this host is part of the cluster."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._ports = member.ports.of(is_head=member.is_head)
        self._listeners = reach.SharedListeners(member.address, self._ports)
        self._peers: dict[str, int] = {}
        self._joined_at: dict[str, float] = {}

    async def open(self) -> asyncio.Server:
        """Start to listen, on the host's own address.

        Raises:
            JoinError: if the port is taken.
        """
        member = self._member
        try:
            return await asyncio.start_server(
                self._answer, member.address, member.ports.gate, limit=_LONGEST_LINE
            )
        except OSError as error:
            raise JoinError(
                f"cannot listen on {member.address} port {member.ports.gate} ({error.strerror}); "
                "choose another with --gate-port, the same on all hosts."
            ) from error

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                nonce = secrets.token_hex(16)
                writer.write(nonce.encode() + b"\n")
                asked, their_nonce = await self._read_question(reader, nonce)
                if asked is None:
                    writer.write(b'{"refused": "the token is another one"}\n')
                    return
                async with self._listeners.open() as (listening, secret):
                    answer = await self._prove(asked, writer.get_extra_info("peername")[0])
                    answer |= {"ports": self._ports, "taken": listening.taken, "secret": secret}
                    writer.write(_sign(self._member.token, their_nonce, answer))
                    # It dials now, and hangs up when it has; "joined" says that all went well.
                    if await reader.readline() == b"joined\n":
                        self._peers[answer["seen_as"]] = asked["gate"]
                        self._joined_at[answer["seen_as"]] = time.monotonic()
        except (OSError, ValueError, KeyError, TypeError):
            return  # a port scanner, or a newcomer that has given up
        finally:
            writer.close()

    async def _read_question(
        self, reader: asyncio.StreamReader, nonce: str
    ) -> tuple[dict[str, Any] | None, str]:
        """Return the newcomer's question and nonce; `None` and no nonce if its token differs."""
        line = await reader.readline()
        asked = _verify(self._member.token, nonce, line)
        return asked, "" if asked is None else str(asked["nonce"])

    async def _prove(self, asked: Mapping[str, Any], seen_as: str) -> dict[str, Any]:
        """Call the newcomer's ports at the address it comes from; return the answer for it."""
        source = self._member.address
        failures = {}
        if seen_as == asked["address"]:
            failures = await reach.dial(
                seen_as, map(int, asked["ports"]), source=source, secret=str(asked["secret"])
            )
        return {
            "seen_as": seen_as,
            "failures": failures,
            "versions": dict(self._member.versions),
            "is_head": self._member.is_head,
            "peers": await self._living_peers(besides=seen_as),
        }

    async def _living_peers(self, *, besides: str) -> dict[str, int]:
        """Return the joined workers that answer now, with their gates' ports.

        Others are dropped, unless they may still be starting.
        """
        source, known = self._member.address, list(self._peers.items())
        dials = (reach.dial(a, [gate], source=source, secret="", taken=[gate]) for a, gate in known)
        living = {}
        for (address, gate), failures in zip(known, await asyncio.gather(*dials), strict=True):
            if not failures:
                living[address] = gate
            elif time.monotonic() - self._joined_at[address] > _STARTING_S:
                self._peers.pop(address, None)  # two newcomers may ask at once
        living.pop(besides, None)
        return living


async def prove(newcomer: Member, head_address: str) -> None:
    """Prove TCP in both directions with the head and with every worker that has joined.

    Raises:
        JoinError: naming the direction and the ports that fail, or another obstacle.
    """
    secret = secrets.token_hex(16)
    ports = newcomer.ports.of(is_head=False)
    try:
        listening = await reach.listen(newcomer.address, ports, secret)
    except OSError as error:
        raise JoinError(
            f"{newcomer.address} is no address of this host ({error.strerror}); see `ip addr` and "
            "name it with --address."
        ) from error
    try:
        if listening.taken:
            raise JoinError(
                f"ports {ranges(listening.taken)} of {newcomer.address} are in use by another "
                "program of this host: end it (an older Ray?), or choose --first-port anew on all "
                "hosts."
            )
        peers = await _prove_with(newcomer, head_address, newcomer.ports.gate, secret)
        for address, gate in peers.items():
            await _prove_with(newcomer, address, gate, secret)
    finally:
        listening.close()


async def _prove_with(newcomer: Member, address: str, gate: int, secret: str) -> Mapping[str, int]:
    """Prove both directions with one host; return the workers that it knows."""
    try:
        async with asyncio.timeout(reach.DIAL_S):
            reader, writer = await asyncio.open_connection(
                address, gate, local_addr=(newcomer.address, 0), limit=_LONGEST_LINE
            )
    except OSError as error:
        raise JoinError(
            f"{newcomer.name} does not reach {address} on port {gate} ({reach.why(error)}). Is "
            f"python -m cluster.join running there, and are TCP ports {_all_ports(newcomer)} open "
            "from here?"
        ) from error
    try:
        async with asyncio.timeout(_PATIENCE_S):
            answer = await _ask(newcomer, reader, writer, address, secret)
            _judge(newcomer, address, answer)
            failures = await reach.dial(
                address,
                map(int, answer["ports"]),
                source=newcomer.address,
                secret=answer["secret"],
                taken=map(int, answer["taken"]),
            )
            if failures:
                raise _unreachable(newcomer.name, address, failures)
            writer.write(b"joined\n")
            await writer.drain()
    except OSError as error:
        raise JoinError(f"the gate of {address} port {gate} broke off; try again.") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    peers: Mapping[str, int] = answer["peers"]
    return peers


async def _ask(
    newcomer: Member,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    address: str,
    secret: str,
) -> dict[str, Any]:
    their_nonce = (await reader.readline()).decode(errors="replace").strip()
    nonce = secrets.token_hex(16)
    question = {
        "nonce": nonce,
        "address": newcomer.address,
        "gate": newcomer.ports.gate,
        "ports": newcomer.ports.of(is_head=False),
        "secret": secret,
    }
    writer.write(_sign(newcomer.token, their_nonce, question))
    line = await reader.readline()
    if not line:
        raise ConnectionError("it hung up")
    answer = _verify(newcomer.token, nonce, line)
    if answer is None:
        raise JoinError(
            f"{address} refused this host: its token is another one. Bring the head's token here "
            "with `python -m cluster.join token` (cluster/README.md)."
        )
    return answer


def _judge(newcomer: Member, address: str, answer: Mapping[str, Any]) -> None:
    """Check the other side's findings.

    Raises:
        JoinError: for an address translation, other versions, or ports that it cannot reach.
    """
    if answer["seen_as"] != newcomer.address:
        raise JoinError(
            f"{address} sees this host as {answer['seen_as']}, not as {newcomer.address}: an "
            "address translation (NAT) lies between them, and Ray does not pass it. Use the fleet "
            "mode, or hosts on one network."
        )
    theirs = {name: answer["versions"].get(name) for name in newcomer.versions}
    if theirs != newcomer.versions:
        told = ", ".join(
            f"{name} {theirs[name] or 'absent'} there and {version} here"
            for name, version in newcomer.versions.items()
            if theirs[name] != version
        )
        raise JoinError(f"this host and {address} do not fit together: {told}; install the same.")
    failures = {int(port): why for port, why in answer["failures"].items()}
    if failures:
        raise _unreachable(address, newcomer.name, failures)


def _unreachable(caller: str, called: str, failures: Mapping[int, str]) -> JoinError:
    reasons = ", ".join(sorted(set(failures.values())))
    ports = "port" if len(failures) == 1 else "ports"
    return JoinError(
        f"{caller} does not reach {called} on {ports} {ranges(failures)} ({reasons}): Ray was not "
        f"started. Open these TCP ports inbound on {called}."
    )


def _all_ports(newcomer: Member) -> str:
    return ranges(newcomer.ports.of(is_head=True))


def _sign(token: str, nonce: str, body: Mapping[str, Any]) -> bytes:
    text = json.dumps(body)
    return json.dumps({"body": text, "mac": _mac(token, nonce, text)}).encode() + b"\n"


def _verify(token: str, nonce: str, line: bytes) -> dict[str, Any] | None:
    """Return the body of a line, `None` unless it is signed with this token for this nonce."""
    try:
        message = json.loads(line)
        text, mac = str(message["body"]), str(message["mac"])
    except (ValueError, KeyError, TypeError):
        return None
    if not hmac.compare_digest(mac.encode(), _mac(token, nonce, text).encode()):
        return None
    body: dict[str, Any] = json.loads(text)
    return body


def _mac(token: str, nonce: str, text: str) -> str:
    return hmac.new(token.encode(), f"{nonce}\n{text}".encode(), hashlib.sha256).hexdigest()
