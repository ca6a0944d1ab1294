"""The recorded blocks of a machine whose speed flips: what the README says of them."""

import json
from pathlib import Path

import pytest

from benchmarks import flips

RECORDED = Path(flips.__file__).with_name("flips-2cpu.json")


def test_two_threads_tell_the_slow_blocks_and_nothing_else_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flips.show(json.loads(RECORDED.read_text("utf-8")))
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "344 blocks, 15 slow, 305 fast, log speeds spread by 7.7%"
    assert "| products | 0.9 | 0 | 0 | 7.7% |" in lines
    assert "| memory | 0.9 | 0 | 1 | 7.7% |" in lines
    assert "| two threads that wake each other | 0.88 | 14 | 3 | 3.5% |" in lines
    assert lines[-1] == "| what a trial does |  | 14 | 3 | 3.5% |"


def test_a_steady_machine_has_nothing_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    looks = [100.0] * 9
    flips.show({"speed": [10.0] * 8, "compute": looks, "memory": looks, "handoff": looks})
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "8 blocks, 0 slow, 8 fast, log speeds spread by 0.0%"
    assert lines[-1] == "| what a trial does |  | 0 | 0 | 0.0% |"
