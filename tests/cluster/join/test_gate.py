"""The gate: a proof that ports are open between hosts; both hosts are loopback's."""

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from cluster.errors import JoinError
from cluster.join import gate, reach
from cluster.join.gate import Gate, Member
from loopback import HEAD, PORTS, THIRD, WORKER


def member(address: str, **changes: Any) -> Member:
    fields: dict[str, Any] = {
        "address": address,
        "is_head": address == HEAD,
        "ports": PORTS,
        "versions": {"Ray": "2.60.0", "Python": "3.11"},
        "token": "a" * 64,
    }
    return Member(**(fields | changes))


def with_head(question: "Coroutine[Any, Any, Any]", head: Member | None = None) -> None:
    """Answer the question while a head has its gate open."""

    async def run() -> None:
        async with await Gate(head or member(HEAD)).open():
            await question

    asyncio.run(run())


def test_hosts_that_reach_each_other_are_told_so_by_silence() -> None:
    with_head(gate.prove(member(WORKER), HEAD))


def test_proven_ports_are_free_for_ray_at_once() -> None:
    with_head(gate.prove(member(WORKER), HEAD))
    for address in (HEAD, WORKER):
        for port in set(PORTS.of(is_head=address == HEAD)) - {PORTS.gate}:
            with socket.socket() as listener:  # no SO_REUSEADDR, as Ray binds
                listener.bind((address, port))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token": "b" * 64}, "its token is another one. Bring the head's token here"),
        ({"versions": {"Ray": "2.50.0", "Python": "3.11"}}, "Ray 2.60.0 there and 2.50.0 here"),
        ({"versions": {"Ray": "2.60.0", "Python": "3.13"}}, "Python 3.11 there and 3.13 here"),
    ],
)
def test_host_that_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(JoinError, match=message):
        with_head(gate.prove(member(WORKER, **changes), HEAD))


def test_head_that_is_not_there_is_named_with_its_port() -> None:
    with pytest.raises(JoinError, match=f"does not reach {HEAD} on port 26380 .*refused"):
        asyncio.run(gate.prove(member(WORKER), HEAD))


def test_port_in_use_here_is_named() -> None:
    with (
        socket.create_server((WORKER, PORTS.first + 3)),
        pytest.raises(JoinError, match=f"ports 26403 of {WORKER} are in use by another"),
    ):
        with_head(gate.prove(member(WORKER), HEAD))


def test_address_of_another_host_is_refused() -> None:
    with pytest.raises(JoinError, match="is no address of this host"):
        asyncio.run(gate.prove(member("192.0.2.7"), HEAD))


def test_ports_that_the_heads_ray_holds_need_no_secret() -> None:
    with socket.create_server((HEAD, PORTS.head)):
        with_head(gate.prove(member(WORKER), HEAD))


def test_translated_address_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def prove(self: Gate, asked: Any, seen_as: str) -> dict[str, Any]:
        return await original(self, asked, "198.51.100.9")

    original = Gate._prove
    monkeypatch.setattr(Gate, "_prove", prove)
    with pytest.raises(JoinError, match=r"sees this host as 198.51.100.9, .* \(NAT\) lies between"):
        with_head(gate.prove(member(WORKER), HEAD))


def test_gate_tells_a_stranger_nothing_and_dials_nobody_for_him() -> None:
    async def run() -> list[bytes]:
        heard = []
        for line in (b"GET / HTTP/1.1\r\n", b'{"body": "{}", "mac": "0"}\n', b"\xff\n", b""):
            reader, writer = await asyncio.open_connection(HEAD, PORTS.gate)
            await reader.readline()
            writer.write(line)
            writer.write_eof()
            heard.append(await reader.read())
            writer.close()
        return heard

    async def both() -> None:
        async with await Gate(member(HEAD)).open():
            answers = await run()
            assert set(answers) <= {b'{"refused": "the token is another one"}\n', b""}
            await gate.prove(member(WORKER), HEAD)  # and goes on

    asyncio.run(both())


def test_line_that_was_signed_once_is_worth_nothing_twice() -> None:
    line = gate._sign("t" * 64, "nonce", {"ports": [1]})
    assert gate._verify("t" * 64, "nonce", line) == {"ports": [1]}
    assert gate._verify("t" * 64, "another nonce", line) is None
    assert b"t" * 64 not in line


def test_second_worker_is_proven_with_the_first_too() -> None:
    async def run() -> None:
        async with await Gate(member(HEAD)).open():
            await gate.prove(member(WORKER), HEAD)
            with pytest.raises(JoinError, match="another one"):
                async with await Gate(member(WORKER, token="c" * 64)).open():
                    await gate.prove(member(THIRD), HEAD)
            await gate.prove(member(THIRD), HEAD)  # the first is gone, and is not missed

    asyncio.run(run())


def test_worker_whose_ray_starts_meanwhile_is_not_forgotten() -> None:
    async def run() -> None:
        async with await Gate(member(HEAD)).open():
            await gate.prove(member(WORKER), HEAD)
            await gate.prove(member(THIRD), HEAD)  # the first one's gate is not open yet
            async with await Gate(member(WORKER, token="c" * 64)).open():
                with pytest.raises(JoinError, match=f"{WORKER} refused this host"):
                    await gate.prove(member(THIRD), HEAD)

    asyncio.run(run())


def test_worker_that_is_gone_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_STARTING_S", 0.0)

    async def run() -> None:
        async with await Gate(member(HEAD)).open():
            await gate.prove(member(WORKER), HEAD)
            await gate.prove(member(THIRD), HEAD)
            async with await Gate(member(WORKER, token="c" * 64)).open():
                await gate.prove(member(THIRD), HEAD)

    asyncio.run(run())


def test_workers_that_ask_at_the_same_time_do_not_close_each_others_ports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = reach.dial

    async def run() -> None:
        second_asks, first_has_joined = asyncio.Event(), asyncio.Event()

        async def dial(address: str, *rest: Any, source: str, **named: Any) -> dict[int, str]:
            if (source, address) == (WORKER, HEAD):
                await second_asks.wait()
            if (source, address) == (THIRD, HEAD):
                second_asks.set()
                await first_has_joined.wait()
            return await original(address, *rest, source=source, **named)

        async def join_first() -> None:
            await gate.prove(member(WORKER), HEAD)
            await asyncio.sleep(0.2)  # the head's end of it, too
            first_has_joined.set()

        monkeypatch.setattr(reach, "dial", dial)
        async with await Gate(member(HEAD)).open():
            await asyncio.gather(join_first(), gate.prove(member(THIRD), HEAD))

    asyncio.run(run())
