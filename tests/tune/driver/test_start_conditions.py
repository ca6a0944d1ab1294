"""What keeps Ray from starting, told before it is waited for, and not blamed on load."""

import os
import socket
from pathlib import Path

import pytest

from tune.driver import start_conditions


def test_this_machine_has_what_ray_needs(tmp_path: Path) -> None:
    assert start_conditions.missing_condition(shared_memory=tmp_path) is None


def test_shared_memory_that_is_missing_is_named(tmp_path: Path) -> None:
    missing = start_conditions.missing_condition(shared_memory=tmp_path / "shm")
    assert missing is not None
    assert "is missing: mount one (docker run --shm-size=1g)" in missing


def test_a_loopback_that_is_down_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(address: object, timeout: float) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", fail)
    missing = start_conditions.missing_condition(shared_memory=tmp_path)
    assert (
        missing
        == "the loopback interface does not work (Network is unreachable): ip link set lo up"
    )


@pytest.mark.parametrize(
    ("load", "said"), [(1e6, "too busy to be measured"), (0.0, "It says: no space left on device")]
)
def test_load_is_blamed_only_where_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: float, said: str
) -> None:
    (tmp_path / "raylet.err").write_text("starting\nno space left on device\n")
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert said in start_conditions.late_reason(tmp_path)
