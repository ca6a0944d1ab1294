"""Programs that one process compiled and the next one reads: the same ones, and said to be read."""

import dataclasses
import os
from pathlib import Path

import pytest

from tests import factories
from trainables import compile_cache
from trainables.measurement import Measurement, Outcome, OutcomeKind, Sampling, TrialRequest
from trainables.process import run_child
from tune import export
from tune.result import Stage


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


@pytest.mark.slow
def test_a_second_process_reads_the_program_and_measures_the_same_training(tmp_path: Path) -> None:
    cpu = min(os.sched_getaffinity(0))
    request = TrialRequest(
        workload="trainables.jax_phase12.workload:phase1",
        config={"num_envs": 16, "num_steps": 16, "num_epochs": 1, "batch_size": 64},
        options={"synthetic_days": 2},
        platform="cpu",
        cpus=(cpu,),
        sampling=Sampling(max_measure_s=60.0),
        num_updates=3,
    )
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parent.parent)}
    caps = {"OPENBLAS_NUM_THREADS": "1", "PJRT_NPROC": "1", "JAX_PLATFORMS": "cpu"}

    def measure() -> Measurement:
        *_, outcome = run_child(
            request,
            environment=base | caps | compile_cache.variables(tmp_path / "programs", base),
            log_path=tmp_path / "trial.log",
            thread_cap=1,
        )
        assert isinstance(outcome, Outcome)
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        assert outcome.measurement is not None
        return outcome.measurement

    first, second = measure(), measure()
    assert (first.compiled_from_cache, second.compiled_from_cache) == (False, True)
    for name in ("predicted_device_bytes", "num_compilations", "flops_per_update"):
        assert getattr(first, name) == getattr(second, name) is not None
    # The same training, bit for bit, as far as both went.
    if first.num_updates == second.num_updates:
        assert first.health == second.health
    assert second.compile_s < first.compile_s
