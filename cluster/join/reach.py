"""Proof that TCP passes: listeners that say a secret, and callers that must hear it.

An answer alone proves little: a router may answer, or another host behind the same address. So a
caller must hear the secret of the host that it means.
"""

import asyncio
import contextlib
import dataclasses
import errno
import os
import secrets
from collections.abc import AsyncIterator, Iterable

DIAL_S = 3.0
_SECRET_BYTES = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Open listeners, and the ports that another program holds already."""

    servers: tuple[asyncio.Server, ...]
    taken: tuple[int, ...]

    def close(self) -> None:
        """Close all listeners."""
        for server in self.servers:
            server.close()


async def listen(address: str, ports: Iterable[int], secret: str) -> Listening:
    """Open listeners on all ports of `address` that are free; each says the secret."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):  # who has hung up need not hear it
            async with asyncio.timeout(DIAL_S):
                writer.write(secret.encode() + b"\n")
                # The caller hangs up first. Who does holds its port for a minute (TIME_WAIT), and
                # this one must be free for Ray at once.
                await reader.read()
        writer.close()

    servers, taken = [], []
    for port in ports:
        try:
            servers.append(await asyncio.start_server(say, address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                for server in servers:
                    server.close()
                raise
            taken.append(port)
    return Listening(servers=tuple(servers), taken=tuple(taken))


class SharedListeners:
    """Listeners on ports of `address`, with one secret for all who need them at the same time.

    Each one's own would take the ports from the next one's, and close while that one still calls.
    """

    def __init__(self, address: str, ports: Iterable[int]) -> None:
        self._address, self._ports = address, tuple(ports)
        self._opening = asyncio.Lock()
        self._num_users = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Listening, str]]:
        """Yield open listeners and their secret; the last who needs them closes them."""
        async with self._opening:
            if not self._num_users:
                self._secret = secrets.token_hex(16)
                self._listening = await listen(self._address, self._ports, self._secret)
            self._num_users += 1
        try:
            yield self._listening, self._secret
        finally:
            self._num_users -= 1
            if not self._num_users:
                self._listening.close()


async def dial(
    address: str, ports: Iterable[int], *, source: str, secret: str, taken: Iterable[int] = ()
) -> dict[int, str]:
    """Call all ports of `address` from `source` at once; return why each failed that did.

    On ports that are `taken`, by Ray, a connection is proof enough: no secret comes there.
    """
    taken, ports = set(taken), list(ports)
    problems = await asyncio.gather(
        *(_dial(address, port, source, None if port in taken else secret) for port in ports)
    )
    return {port: problem for port, problem in zip(ports, problems, strict=True) if problem}


async def _dial(address: str, port: int, source: str, secret: str | None) -> str | None:
    try:
        async with asyncio.timeout(DIAL_S):
            reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0))
            try:
                heard = None if secret is None else await reader.read(_SECRET_BYTES)
            finally:
                writer.close()
    except OSError as error:
        return why(error)
    if heard is not None and heard.strip() != str(secret).encode():
        return "another program or host answers"
    return None


def why(error: OSError) -> str:
    """Return a failure to connect in few words; asyncio's own are a sentence with the address."""
    if isinstance(error, TimeoutError) or not error.errno:
        return "timed out"
    return os.strerror(error.errno).lower()
