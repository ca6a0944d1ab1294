"""Joining without Ray: ports, the proof that they are open, the token; hosts are loopback's."""

import asyncio
import dataclasses
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import JoinError
from cluster.join import gate, lease, ray_node, reach
from cluster.join.gate import Gate, Member
from cluster.join.offer import HostOffer, choose_offer
from cluster.join.ports import NUM_WORKER_PORTS, Ports, ranges
from cluster.node import hardware, processes, ray_env
from places import ROOT

# Linux answers on all of 127.0.0.0/8, so these are two hosts as far as TCP goes.
HEAD, WORKER = "127.77.0.1", "127.77.0.2"
PORTS = Ports(head=26379, gate=26380, first=26400)


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


def test_other_host_behind_the_same_address_is_no_proof() -> None:
    async def run() -> dict[int, str]:
        listening = await reach.listen(WORKER, [PORTS.first], "theirs")
        try:
            return await reach.dial(WORKER, [PORTS.first], source=HEAD, secret="ours")
        finally:
            listening.close()

    assert asyncio.run(run()) == {PORTS.first: "another program or host answers"}


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
    third = "127.77.0.3"

    async def run() -> None:
        async with await Gate(member(HEAD)).open():
            await gate.prove(member(WORKER), HEAD)
            with pytest.raises(JoinError, match="another one"):
                async with await Gate(member(WORKER, token="c" * 64)).open():
                    await gate.prove(member(third), HEAD)
            await gate.prove(member(third), HEAD)  # the first is gone, and is not missed

    asyncio.run(run())


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ([], ""),
        ([7], "7"),
        ([3, 1, 2], "1-3"),
        ([9, 4, 5], "4-5, 9"),
    ],
)
def test_ports_read_as_ranges(ports: list[int], text: str) -> None:
    assert ranges(ports) == text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"first": 80}, "--first-port must be from 1024 to 65476"),
        ({"first": 65500}, "--first-port must be from 1024 to 65476"),
        ({"head": 10005}, r"--port must .* not within the range of --first-port \(10000-10059\)"),
        ({"gate": 6379}, "--port and --gate-port must differ"),
    ],
)
def test_ports_that_cannot_be_are_refused(fields: dict[str, int], message: str) -> None:
    with pytest.raises(JoinError, match=message):
        Ports(**fields)


@pytest.mark.parametrize("has_client", [True, False])
@pytest.mark.parametrize("is_head", [True, False])
def test_ray_is_told_no_port_that_is_not_proven(is_head: bool, has_client: bool) -> None:
    ports = Ports()
    words = ports.ray_arguments(is_head=is_head, has_client=has_client)
    told = [word.partition("=") for word in words if "port=" in word]
    numbers = {int(value) for name, _, value in told if name != "--dashboard-port"}
    assert numbers <= set(ports.of(is_head=is_head))
    # A Ray without its client refuses to be told of the port.
    assert any("client" in word for word in words) is has_client
    assert len(ports.of(is_head=False)) == 1 + 10 + NUM_WORKER_PORTS


def test_dashboard_is_on_loopback_and_the_token_is_no_argument(short_dir: Path) -> None:
    environ = {"TMPDIR": str(short_dir)}
    environ |= ray_env.environment(environ)
    ray_env.prepare(environ)
    token = ray_env.read_token(environ)
    words = ray_node.command(
        address="10.0.0.1",
        head_address=None,
        ports=Ports(),
        offer=HostOffer(machine_class="rtx-4090-24gb-450w", num_gpus=2, on_cpu=False),
        dashboard=True,
        temp_dir=short_dir,
    )
    assert "--dashboard-host=127.0.0.1" in words
    assert '--resources={"class:rtx-4090-24gb-450w": 2}' in words
    assert token not in " ".join(words)
    variables = ray_node.environment(environ, Ports(), is_head=True)
    assert token not in variables.values()
    assert variables["RAY_AUTH_MODE"] == "token"
    assert variables["RAY_num_grpc_internal_threads"] == "1"


def test_own_health_check_is_kept() -> None:
    given = {"RAY_health_check_period_ms": "77"}
    variables = ray_node.environment(given, Ports(), is_head=False)
    assert variables["RAY_health_check_period_ms"] == "77"
    assert variables["RAY_health_check_timeout_ms"] == "10000"


def test_host_that_offers_nothing_publishes_no_class() -> None:
    offer = HostOffer(machine_class="x", num_gpus=0, on_cpu=False)
    assert "--resources={}" in offer.ray_arguments()
    assert HostOffer(machine_class="x", num_gpus=0, on_cpu=True).num_trials == 1


def test_class_is_read_back_from_its_resource() -> None:
    assert hardware.class_of_resource(hardware.class_resource("h100-80gb-700w")) == "h100-80gb-700w"
    assert hardware.class_of_resource("GPU") is None


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A folder short enough for Ray's sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_token_that_is_brought_is_written_for_its_owner_alone(short_dir: Path) -> None:
    environ = {"TMPDIR": str(short_dir)}
    environ |= ray_env.environment(environ)
    for token in ("x" * 64, "y" * 64):
        path = ray_env.write_token(environ, token)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert ray_env.read_token(environ) == token
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="others may read the token: chmod 600"):
        ray_env.read_token(environ)


HERE = ("head", "--address", "192.0.2.1")


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (("head", "--address", "0.0.0.0"), "", "must be an address that other hosts reach"),
        (("head", "--address", "127.0.0.1"), "", "must be an address that other hosts reach"),
        (("head", "--address", "me"), "", "--address is an IP address like 10.0.0.1, got 'me'"),
        (("worker", "--head", "nobody"), "", "--head is an IP address"),
        (("token",), "too short", "stdin holds no token"),
        ((*HERE, "--num-gpus", "-1"), "", "--num-gpus must be at least"),
        ((*HERE, "--max-hours", "0"), "", "--max-hours must be above 0 and at most 720, got 0.0"),
        ((*HERE, "--stop-command", "sh", "--max-hours", "1"), "", "needs --max-hours in front of"),
        (
            (*HERE, "--max-hours", "1", "--stop-command", "no-such", "-x"),
            "",
            "no program 'no-such'",
        ),
    ],
)
def test_mistake_is_one_sentence(
    words: tuple[str, ...], stdin: str, message: str, short_dir: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cluster.join", *words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(short_dir)},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_offer_of_gpus_that_differ_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = tuple(
        hardware.Gpu(name=name, memory_bytes=24 * 2**30, power_limit_w=450.0)
        for name in ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 3090")
    )
    machine = dataclasses.replace(hardware.probe(), gpus=gpus)
    monkeypatch.setattr(hardware, "probe", lambda: machine)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(JoinError, match="the GPUs of this host differ"):
        choose_offer(num_gpus=None, on_cpu=False, is_head=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    offer = choose_offer(num_gpus=None, on_cpu=False, is_head=False)
    assert (offer.machine_class, offer.num_gpus) == ("rtx-3090-24gb-450w", 1)


KEEPER = """
import os, pathlib, subprocess, sys, time
from cluster.join import lease
private = pathlib.Path(sys.argv[1])
lease.record_keeper(private)
lost = ["sleep", "97"]  # a daemon of Ray's, that nobody ends in order
marked = {**os.environ, **lease.marking_variables(private)}
subprocess.Popen(lost, env=marked, start_new_session=True)
print("ready", flush=True)
time.sleep(99)
"""


def test_hour_that_has_come_ends_all_of_ray_here_and_then_the_rent(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short_dir))
    private = ray_env.prepare({"TMPDIR": str(short_dir)})
    words = [sys.executable, "-c", KEEPER, str(private)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "ready\n"
        stopped = short_dir / "stopped"
        lease.arm(private, hours=1.0, stop_command=["false"])  # the next takes its place
        lease.arm(private, hours=0.0003, stop_command=["sh", "-c", f"echo $0 > {stopped}", "-x"])
        assert "Dead-man armed: ends Ray here in 1 s, then runs sh -c " in lease.describe(private)
        assert keeper.wait(timeout=30) == -signal.SIGTERM
    deadline = time.monotonic() + 30
    while "No dead-man is armed" not in lease.describe(private):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stopped.read_text() == "-x\n"
    assert processes.of_job(str(private), private / "none") == set()


def test_dead_man_that_was_disarmed_is_gone(
    short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short_dir))
    private = ray_env.prepare({"TMPDIR": str(short_dir)})
    lease.arm(private, hours=1.0, stop_command=[])
    assert "then the rent goes on: no --stop-command" in lease.describe(private)
    lease.disarm(private)
    assert "No dead-man is armed" in lease.describe(private)
    alive = private / "join" / "deadman_process.json"
    while processes.is_alive(alive):
        time.sleep(0.05)


def test_help_does_not_import_ray() -> None:
    code = "import cluster.join.__main__, sys; raise SystemExit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
