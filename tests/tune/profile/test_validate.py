"""A validation measures under the profile's own caps and says whether its promise holds."""

import dataclasses
import itertools
from pathlib import Path

import pytest

import factories
from places import SUPPORT
from profiles import rewritten, written
from trainables.command.readings import Reading, ReadingKind
from trainables.machine_speed import MachineSpeed, SpeedLevel
from trainables.measurement import Outcome, OutcomeKind
from trainables.workload_source import source_of
from tune.profile import __main__ as profile
from tune.profile import file as profile_file
from tune.profile import validate as validation
from tune.search.result import Kind

LINE = Reading(kind=ReadingKind.LINE, pattern="^x", steps="1")


def speeds(*values: float) -> list[Outcome]:
    return [
        factories.outcome(
            measurement=factories.measurement(
                steps_per_second=value, low=0.99 * value, high=1.01 * value
            )
        )
        for value in values
    ]


def disturbed(*values: float, **changes: int) -> list[Outcome]:
    """The same, in processes that a neighbour disturbed."""
    found = []
    for outcome in speeds(*values):
        assert outcome.measurement is not None
        measured = dataclasses.replace(
            outcome.measurement,
            disturbed=True,
            others_cpus=1.04,
            **changes,  # type: ignore[arg-type]
        )
        found.append(dataclasses.replace(outcome, measurement=measured))
    return found


@pytest.mark.parametrize(
    ("outcomes", "exit_code", "sentence"),
    [
        (speeds(61_000.0), 0, "gets 0.98 x of what the profile promises: it holds."),
        (speeds(55_900.0), 0, "gets 0.90 x of what the profile promises: it holds."),
        (speeds(68_100.0), 0, "gets 1.10 x of what the profile promises: it holds."),
        (speeds(40_000.0, 61_000.0, 62_000.0), 0, "median of 3 fresh processes"),
        (speeds(54_000.0, 53_000.0, 55_000.0), 1, "promises: more than 10% slower."),
        # of 62.0 K, a hair more than a tenth slower
        (speeds(55_600.0, 55_600.0, 55_600.0), 1, "0.897 x of what the profile promises: more"),
        (speeds(54_000.0, 53_000.0, 55_000.0), 1, "54.0 K env steps/s (52.5 K to 55.5 K), median"),
        (speeds(54_000.0, 53_000.0, 55_000.0), 1, "something else uses this machine"),
        (speeds(54_000.0, 55_000.0, 62_000.0), 1, "The intervals overlap, so noise could explain"),
        (speeds(80_000.0, 80_000.0, 80_000.0), 0, "faster than the profile knows"),
        (
            [factories.failed(OutcomeKind.DEVICE_MEMORY, "21 GiB of 9.")],
            1,
            "needs more device memory than the budget. 21 GiB of 9.",
        ),
        ([factories.outcome(kind=OutcomeKind.UNSTABLE, message="NaN.")], 1, "NaN."),  # at any speed
        ([factories.failed(OutcomeKind.ERROR, "no jax.")], 2, "no jax."),
        ([factories.failed(OutcomeKind.TIMEOUT, "600 s.")], 2, "Give it more by --timeout, or"),
    ],
)
def test_validation_is_exit_0_unless_training_is_a_tenth_slower(
    tmp_path: Path, outcomes: list[Outcome], exit_code: int, sentence: str
) -> None:
    profile = profile_file.read(written(tmp_path))
    said: list[str] = []
    waiting = iter(outcomes)
    assert validation.validate(profile, lambda: next(waiting), said.append) == exit_code
    assert sentence in "\n".join(said)
    assert next(waiting, None) is None
    if exit_code == 1 and len(outcomes) > 1:
        assert "two more fresh processes rule out noise" in "\n".join(said)


@pytest.mark.parametrize(
    ("outcomes", "exit_code", "sentence"),
    [
        (disturbed(30_000.0) + speeds(61_000.0), 0, "it holds."),
        (disturbed(30_000.0, 30_000.0) + speeds(61_000.0), 0, "process 3: 61.0 K env steps/s"),
        (disturbed(30_000.0, 30_000.0, 30_000.0), 3, "so nothing can be told now"),
        (disturbed(30_000.0), 3, "disturbed by other programs (1.0 CPUs of the trial's)"),
        (speeds(40_000.0) + disturbed(30_000.0, 30_000.0, 30_000.0), 3, "nothing can be told"),
        (
            disturbed(30_000.0, num_disturbed_blocks=4, num_slowed_blocks=4),
            3,
            "disturbed by CPUs that were slower at times",
        ),
    ],
    ids=["once", "twice", "always", "always: what it says of each", "all but one", "slower CPUs"],
)
def test_a_disturbed_process_tells_nothing(
    tmp_path: Path, outcomes: list[Outcome], exit_code: int, sentence: str
) -> None:
    profile = profile_file.read(written(tmp_path))
    said: list[str] = []
    waiting = itertools.cycle(outcomes)
    assert validation.validate(profile, lambda: next(waiting), said.append) == exit_code
    assert sentence in "\n".join(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ", compiled in 12 s"),
        ({"compiled_from_cache": True}, ", read from the cache in 12 s"),
        ({"compile_s": 0.0}, ", started in 3 s"),
        ({"disturbed": True}, ", disturbed by other programs, compiled"),
        ({"disturbed": True, "num_gpu_shared_blocks": 2}, ", disturbed by other programs on its G"),
    ],
)
def test_each_process_says_how_it_began_and_what_disturbed_it(
    tmp_path: Path, changes: dict[str, float], said: str
) -> None:
    measured = factories.measurement(**{"compile_s": 12.0, "build_s": 3.0, **changes})
    lines: list[str] = []
    found = profile_file.read(written(tmp_path))
    validation.validate(found, lambda: factories.outcome(measurement=measured), lines.append)
    assert said in lines[0]


@pytest.mark.slow
def test_a_real_validation_measures_in_a_fresh_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workload sleeps 20 ms per 100 env steps: 5,000 env steps per second, on any machine."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    speed = {"steps_per_second": 4_950.0, "low": 4_900.0, "high": 5_000.0}
    sleeper = factories.candidate(config={"update_ms": 20, "env_steps": 100}, **speed)
    task = factories.task(workload="fake_workloads:Sleeper", options={})
    path = written(tmp_path, factories.result(chosen={Kind.FASTEST: sleeper}), task=task)
    assert profile.main(["validate", str(path)]) == 0
    assert "process 1: " in capfd.readouterr().out
    fields = {"expected_sps": 8_000.0, "speed__low": 7_900.0, "speed__high": 8_100.0}
    assert profile.main(["validate", str(rewritten(path, **fields))]) == 1
    assert "median of 3 fresh processes" in capfd.readouterr().out
    broken = rewritten(path, workload__factory="fake_workloads:nothing")
    assert profile.main(["validate", str(broken)]) == 2


def test_a_workload_that_was_edited_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    loop = tmp_path / "my_loop_to_edit.py"
    loop.write_text("def make(config, options): ...\n")
    workload = "my_loop_to_edit:make"
    task = factories.task(workload=workload, source=source_of(workload, {}))
    known = profile_file.read(written(tmp_path / "profiles", task=task))
    assert known.workload.source is not None
    assert validation.edited_files(known) == []
    loop.write_text("def make(config, options): return 1\n")
    assert validation.edited_files(known) == ["my_loop_to_edit.py"]
    assert validation.edited_files(profile_file.read(written(tmp_path / "other"))) == []


@pytest.mark.parametrize(
    ("then", "said"),
    [
        (
            {"cpu_flops_per_s": 100e9, "cpu_bytes_per_s": 20e9},
            "A fixed piece of work ran at 0.80 x on these CPUs, and memory was read at 0.50 x, of",
        ),
        (
            {"cpu_flops_per_s": 80e9, "cpu_bytes_per_s": 10e9, "cpu_handoffs_per_s": 80e3},
            "A fixed piece of work ran at 1.00 x on these CPUs, and memory was read at 1.00 x, "
            "and two of them woke each other at 0.50 x, of",
        ),
        ({"cpu_flops_per_s": None}, None),  # a profile from before
    ],
)
def test_a_profile_that_does_not_hold_is_told_beside_the_speed_of_the_cpus(
    tmp_path: Path, then: dict[str, float | None], said: str | None
) -> None:
    level = MachineSpeed(
        compute=SpeedLevel(mean=80e9, error=0.01),
        memory=SpeedLevel(mean=10e9, error=0.01),
        handoff=SpeedLevel(mean=40e3, error=0.01),
    )
    path = written(tmp_path)
    found = profile_file.read(
        rewritten(path, **{f"speed__{name}": value for name, value in then.items()})
    )
    measured = factories.measurement(steps_per_second=40_000.0, machine_speed=level)
    lines = validation.verdict(found, [measured])
    told = [line for line in lines if line.startswith("A fixed piece of work")]
    assert len(told) == (said is not None)
    assert all(line.startswith(said or "") for line in told)
    one_cpu = dataclasses.replace(measured, machine_speed=dataclasses.replace(level, handoff=None))
    assert not any("woke" in line for line in validation.verdict(found, [one_cpu]))
    as_promised = factories.measurement(steps_per_second=found.expected_sps, machine_speed=level)
    assert len(validation.verdict(found, [as_promised])) == 3  # it holds: no more to say
