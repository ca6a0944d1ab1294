"""Programs that one process compiled and the next one reads: the same ones, and said to be read."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import factories
from places import ROOT
from trainables import compile_cache
from tune.profile import export
from tune.search.trial import Stage


def test_a_persons_own_cache_goes_first() -> None:
    assert compile_cache.variables("/ours", {"JAX_COMPILATION_CACHE_DIR": "/theirs"}) == {}
    ours = compile_cache.variables("/ours", {})
    assert ours["JAX_COMPILATION_CACHE_DIR"] == "/ours"
    least = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "5"}
    assert compile_cache.variables("/ours", least) == ours | least


def test_each_search_has_a_folder_of_its_own_which_a_resumed_one_finds_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = compile_cache.folder_for(tmp_path / "runs" / "a", tmp_path)
    assert folder.is_relative_to(tmp_path)
    assert folder == compile_cache.folder_for(Path("runs/a"), tmp_path)
    assert folder != compile_cache.folder_for(Path("runs/b"), tmp_path)


def test_a_profile_says_what_compiling_took_and_not_reading() -> None:
    candidate = factories.candidate()

    def seconds(*trials: tuple[float, bool]) -> float | None:
        measured = [
            factories.measurement(compile_s=compile_s, compiled_from_cache=cached)
            for compile_s, cached in trials
        ]
        outcomes = [factories.outcome(measurement=measurement) for measurement in measured]
        result = factories.result(
            trials=tuple(
                factories.trial(
                    number=n, stage=Stage.FINAL, config=candidate.config, outcome=outcome
                )
                for n, outcome in enumerate(outcomes)
            )
        )
        return export._compile_s(
            dataclasses.replace(candidate, representative=outcomes[-1]), result
        )

    assert seconds((2.0, False), (0.3, True)) == 2.0
    assert seconds((0.3, True), (0.2, True)) is None


TRAIN_TWICE = """
import json, sys
from trainables.jax_phase12.workload import phase1
config = {"num_envs": 8, "num_steps": 8, "num_epochs": 1, "batch_size": 32}
workload = phase1(config, {"synthetic_days": 2})
program = workload.compile()
workload.run(2)
compilations = workload.device_usage().num_compilations
print(json.dumps([program.from_cache, [program.device_bytes, compilations, workload.health()]]))
"""


@pytest.mark.slow
def test_a_second_process_reads_the_program_and_trains_the_same_bit_for_bit(tmp_path: Path) -> None:
    base = os.environ | {"JAX_PLATFORMS": "cpu", "OPENBLAS_NUM_THREADS": "1"}

    def train() -> list[Any]:
        done = subprocess.run(
            [sys.executable, "-c", TRAIN_TWICE],
            env=base | compile_cache.variables(tmp_path / "programs", base),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=280,
            check=True,
        )
        assert done.stderr == ""
        printed: list[Any] = json.loads(done.stdout)
        return printed

    (first_read, first), (second_read, second) = train(), train()
    assert (first_read, second_read) == (False, True)
    assert first == second
    assert first[0] > 0
