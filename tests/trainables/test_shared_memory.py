"""Shared memory that a killed trial leaves, and that of others."""

import contextlib
import os
import sys
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from places import PYTHONPATH, SUPPORT
from trainables import shared_memory
from trainables.measurement import Outcome, OutcomeKind, TrialRequest
from trainables.process import run_child

CHILDREN = SUPPORT / "fake_children" / "children.py"
REQUEST = TrialRequest(workload="a:b", config={}, options={}, platform="cpu", cpus=(0,))


@pytest.fixture
def others() -> Iterator[Path]:
    """A segment that was there before the trial."""
    segment = SharedMemory(create=True, size=4096)
    yield shared_memory.SHM / segment.name
    segment.close()
    with contextlib.suppress(FileNotFoundError):
        segment.unlink()


@pytest.fixture
def kept() -> Iterator[Path]:
    """A file that a person's training keeps in shared memory for the next one."""
    path = shared_memory.SHM / f"rl-tuner-test-{os.getpid()}"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("end", "kind"), [("report", OutcomeKind.COMPLETED), ("hang", OutcomeKind.TIMEOUT)]
)
def test_what_a_trial_made_goes_with_it_and_nothing_else(
    tmp_path: Path, others: Path, kept: Path, end: str, kind: OutcomeKind
) -> None:
    *_, outcome = run_child(
        REQUEST,
        environment={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH},
        log_path=tmp_path / "log",
        thread_cap=1,
        timeout_s=60.0 if kind is OutcomeKind.COMPLETED else 2.0,
        command=[sys.executable, str(CHILDREN), "share_memory", others.name, str(kept), end],
    )
    assert isinstance(outcome, Outcome)
    assert outcome.kind is kind, outcome.message
    made = shared_memory.SHM / (tmp_path / "log").read_text().splitlines()[0]
    assert made.name.startswith("psm_")
    assert (made.exists(), others.exists(), kept.exists()) == (False, True, True)


def test_what_another_process_still_maps_stays() -> None:
    seen = shared_memory.SharedFiles()
    segment = SharedMemory(create=True, size=4096)
    path = shared_memory.SHM / segment.name
    seen.see(shared_memory.maps_of(os.getpid()))
    seen.remove()
    assert path.exists()
    segment.close()
    seen.remove()
    assert not path.exists()
    with contextlib.suppress(FileNotFoundError):
        segment.unlink()
