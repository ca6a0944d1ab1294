"""The hosts of a cluster that a search chooses."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster_nodes import Asked, Nodes, install, node
from factories import task
from machines import cpu_host, verdict
from tune.driver.hosts import choice, joined
from tune.preflight.findings import PreflightRequest
from tune.spec import SearchSpec


def test_files_that_travelled_are_left_nowhere_while_the_search_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An interrupt ends the process from a thread, and nothing is removed then."""
    sent: list[Path] = []
    open_now: list[str] = []

    @contextlib.contextmanager
    def connect(address: str, runtime_env: Mapping[str, Any] | None = None) -> Iterator[None]:
        if runtime_env is not None:
            sent.append(Path(runtime_env["working_dir"]))
            assert (sent[-1] / "tune").is_dir(), "Ray sends it now"
        open_now.append(address)
        yield
        open_now.remove(address)

    install(monkeypatch, Nodes([node("a")], {"a": verdict(cpu_host())}))
    monkeypatch.setattr(choice, "connect", connect)
    monkeypatch.setattr(choice, "HostCheck", Asked)
    monkeypatch.setattr(joined, "is_joined", lambda: False)
    with choice.chosen(
        "auto", SearchSpec(), task(), PreflightRequest(), note=lambda _: None
    ) as found:
        assert isinstance(found, choice.ChosenClass)
        assert len(sent) == 1
        assert not sent[0].exists()
        assert open_now == ["auto"]
    assert open_now == []
