"""A cluster that cannot be used: one sentence each."""

import importlib.machinery
import sys
import types

import pytest
import ray

from cluster.errors import UserError
from tune.driver.hosts import connection
from tune.driver.hosts.connection import connect


def test_files_that_are_not_taken_are_said() -> None:
    said = connection._refusal("10.0.0.1:6379", "Package is\ntoo large.\n", sends=True)
    assert said == "the cluster at 10.0.0.1:6379 does not take the files of this search: too large."


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.77.0.9:1", r"--address: no head answers at 127\.77\.0\.9 port 1 \(.*\)\. Start one"),
        ("127.77.0.9:x", r"--address: no head answers at 127\.77\.0\.9 port x \(.*\)\. Start one"),
        ("http://10.0.0.1:8265", r"give auto, IP:PORT of the head, or ray://HEAD:10001\. A job is"),
    ],
)
def test_cluster_that_cannot_be_used_is_one_sentence(address: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence), connect(address):
        pass


def test_rays_client_needs_grpc_and_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    needed = r"ray://127\.77\.0\.9:10001: Ray's client needs gRPC: pip install 'ray\[client\]'"
    with pytest.raises(UserError, match=needed), connect("ray://127.77.0.9"):
        pass
    grpc = types.ModuleType("grpc")
    grpc.__spec__ = importlib.machinery.ModuleSpec("grpc", None)
    monkeypatch.setitem(sys.modules, "grpc", grpc)
    closed = (
        r"port 1 \(.*\)\. Ray's client server is at port 10001 of a head with ray\[client\]; from"
    )
    with pytest.raises(UserError, match=closed), connect("ray://127.77.0.9:1"):
        pass


NOT_STARTED = "Initialization failure from server:\nStarting Ray client server failed. See a.err"
TOO_LATE = "Initialization failure from server:\nProxy failed to Connect to backend! Check b.err"
BAD_FILES = "Initialization failure from server:\nno such package"


@pytest.mark.parametrize(
    ("errors", "num_calls", "sentence"),
    [
        ([NOT_STARTED], 2, None),
        ([NOT_STARTED, TOO_LATE, NOT_STARTED], 4, None),
        ([TOO_LATE] * 4, 4, r"in 4 tries \(Proxy failed .*\)\. Has it CPUs and memory left"),
        ([BAD_FILES], 1, r"\(no such package\)\. Is its token"),
        (["ray client connection timeout"], 1, r"\(ray client connection timeout\)\. Is its token"),
    ],
)
def test_client_whose_head_was_not_ready_tries_again(
    monkeypatch: pytest.MonkeyPatch, errors: list[str], num_calls: int, sentence: str | None
) -> None:
    calls = 0

    def init(**_: object) -> None:
        nonlocal calls
        calls += 1
        if calls <= len(errors):
            raise ConnectionAbortedError(errors[calls - 1])

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(connection, "_dial", lambda *_, **__: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    if sentence is None:
        with connect("ray://10.0.0.1"):
            pass
    else:
        with pytest.raises(UserError, match=sentence), connect("ray://10.0.0.1"):
            pass
    assert calls == num_calls
