"""Boxes that are set up."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.box import jobs
from cluster.box.folder import BoxFolder
from cluster.node import processes
from cluster.node.atomic import write_json
from local_box import LocalBox
from places import ROOT


@pytest.fixture
def box(tmp_path: Path) -> Iterator[BoxFolder]:
    """A box that is set up, whose code is this repository's."""
    made = BoxFolder(tmp_path / "fleet")
    made.jobs.mkdir(parents=True)
    made.code.mkdir()
    for name in ("cluster", "tests"):
        (made.code / name).symlink_to(ROOT / name)
    write_json(made.ready, {"python": sys.executable, "machine_class": "fake"})
    yield made
    jobs.stop(made, reason="stopped", grace_s=0.0)
    processes.kill(made.deadman.process)


@pytest.fixture
def local_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalBox]:
    """A bare box that the laptop reaches by ssh."""
    made = LocalBox(tmp_path, monkeypatch)
    yield made
    made.end()
