"""A profile is measured again under its own caps, with the secrets that it does not hold."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import factories
from cluster.node import gpus, hardware, limits, nvml
from cluster.structure import destructure, revive
from fake_nvml import card, fake_nvml
from profiles import rewritten, written
from trainables.command.options import FACTORY, CommandOptions
from trainables.command.readings import Reading, ReadingKind
from trainables.measurement import Outcome
from tune.profile import __main__ as profile_command
from tune.profile import file as profile_file
from tune.profile import measuring, view
from tune.profile.file import ProfileError
from tune.profile.gpus import gpus_for
from tune.profile.schema import Profile

LINE = Reading(kind=ReadingKind.LINE, pattern="^x", steps="1")
FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"


def test_validation_runs_under_the_profiles_own_caps(tmp_path: Path) -> None:
    allowed = sorted(limits.cpus().allowed)
    path = written(tmp_path)
    profile = profile_file.read(path)
    here = measuring.environment(profile, "cpu", {})
    assert here.variables == profile.environment.variables
    assert set(here.cpus) <= set(allowed)
    elsewhere = profile_file.read(rewritten(path, environment__cpus=[4094, 4095]))
    assert set(measuring.environment(elsewhere, "cpu", {}).cpus) <= set(allowed)
    assert measuring.environment(profile, "cuda", {}).variables["JAX_PLATFORMS"] == "cuda,cpu"


def test_a_gpus_profile_needs_a_gpu(tmp_path: Path) -> None:
    profile: Profile = dataclasses.replace(profile_file.read(written(tmp_path)), device="cuda")
    assert measuring.platform_for(profile, "cpu", 0) == "cpu"
    assert measuring.platform_for(profile, "auto", 1) == "cuda"
    with pytest.raises(ProfileError, match="the profile is for a GPU, and NVML"):
        measuring.platform_for(profile, "auto", 0)
    of_cpu = dataclasses.replace(profile, device="cpu")
    with pytest.raises(ProfileError, match=r"--device gpu: .* The profile is for a CPU: leave"):
        measuring.platform_for(of_cpu, "gpu", 0)


IDLE, HELD = {"free_gib": 19}, {"free_gib": 6}


@pytest.mark.parametrize(
    ("cards", "speed", "gpu", "exit_code"),
    [
        ([IDLE, IDLE], 61_000.0, "0", 0),
        ([HELD, IDLE], 61_000.0, "1", 0),
        ([HELD, IDLE], 30_000.0, "1", 1),
        ([HELD, HELD], 61_000.0, "0", 0),
        ([HELD, HELD], 30_000.0, "0", 3),
        ([{"name": "NVIDIA L4"}, HELD, IDLE], 61_000.0, "2", 0),
    ],
)
def test_it_is_measured_on_the_gpu_of_its_kind_that_nobody_holds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cards: list[dict[str, Any]],
    speed: float,
    gpu: str,
    exit_code: int,
) -> None:
    monkeypatch.setattr(nvml, "load", lambda: fake_nvml([card(**one) for one in cards]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    told: list[str] = []

    def child(*of: Any, environment: dict[str, str], **more: Any) -> Iterator[Outcome]:
        told.append(environment["CUDA_VISIBLE_DEVICES"])
        measured = factories.measurement(
            steps_per_second=speed, low=0.99 * speed, high=1.01 * speed
        )
        yield factories.outcome(measurement=measured)

    monkeypatch.setattr(measuring, "run_child", child)
    here = hardware.probe().gpus[-1:]
    path = rewritten(
        written(tmp_path), device="cuda", machine__gpus=[dataclasses.asdict(one) for one in here]
    )
    assert profile_command.main(["validate", str(path)]) == exit_code
    assert set(told) == {gpu}


def test_a_training_on_more_gpus_than_there_are_of_a_kind_is_refused(tmp_path: Path) -> None:
    read = profile_file.read(written(tmp_path))
    several = dataclasses.replace(read, config=read.config | {"num_devices": 2})
    cards = [card(), card(), card("NVIDIA L4")]
    seen = gpus.visible_gpus({}, driver=fake_nvml(cards)).gpus
    assert gpus_for(several, seen).names == ("0", "1")
    with pytest.raises(ProfileError, match="takes 2 GPUs of one kind, and 1 can be seen here"):
        gpus_for(several, seen[1:])


def of_command(folder: Path, *words: str, **options: Any) -> Profile:
    """The profile of a command with these words."""
    given = destructure(CommandOptions(arguments=words, readings=(LINE,), **options))
    del given["patience_s"]  # an option of a run, which no profile has
    task = factories.task(workload=FACTORY, options=given, framework="any")
    path = written(folder, task=task)
    assert "s3cret" not in path.read_text()
    return profile_file.read(path)


def test_what_is_secret_of_a_command_is_taken_from_the_environment(tmp_path: Path) -> None:
    profile = of_command(
        tmp_path,
        "train",
        "--api-key",
        "s3cret",
        "HUB_TOKEN=s3cret",
        variables={"A_TOKEN": "s3cret"},
    )
    missing = "is secret, API_KEY, HUB_TOKEN, variables.A_TOKEN: give it here"
    with pytest.raises(ProfileError, match=missing):
        measuring.completed(profile, {}, {}, None)
    with pytest.raises(ProfileError, match="is secret, HUB_TOKEN: give it here"):
        measuring.completed(profile, {}, {"API_KEY": "a", "A_TOKEN": "c"}, None)
    environ = {"API_KEY": "a", "HUB_TOKEN": "b", "A_TOKEN": "c"}
    options = measuring.completed(profile, {}, environ, None)
    assert options["arguments"] == ["train", "--api-key", "a", "HUB_TOKEN=b"]
    assert options["variables"] == {}  # the child has it of the environment
    command = view.training_command(profile, (0, 1))
    assert command.endswith('train --api-key "$API_KEY" HUB_TOKEN="$HUB_TOKEN"')


def test_options_of_another_workload_are_its_own_whatever_they_are_called(tmp_path: Path) -> None:
    own = {"arguments": "a b", "variables": 3}
    profile = profile_file.read(written(tmp_path, task=factories.task(options=own)))
    assert measuring.completed(profile, {}, {}, 60.0) == own


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(3600.0, 3595.0), (2.0, 1.0)])
def test_a_command_is_waited_for_as_long_as_is_asked_for(
    tmp_path: Path, timeout_s: float, patience_s: float
) -> None:
    options = measuring.completed(of_command(tmp_path, "train"), {}, {}, timeout_s)
    assert revive(CommandOptions, options).patience_s == patience_s


@pytest.mark.parametrize(
    ("shell", "is_set"),
    [
        ({"JAX_DEBUG_NANS": "1"}, {"JAX_DEBUG_NANS": "0"}),
        ({"TF_CPP_MIN_LOG_LEVEL": "3"}, {"TF_CPP_MIN_LOG_LEVEL": "1"}),
        ({"OMP_NUM_THREADS": "64"}, {"OMP_NUM_THREADS": "1"}),
        ({}, {}),
    ],
)
def test_what_a_search_sets_right_is_set_right_here(
    tmp_path: Path, shell: dict[str, str], is_set: dict[str, str]
) -> None:
    profile = profile_file.read(written(tmp_path))
    variables = measuring.environment(profile, profile.device, shell).variables
    assert variables == profile.environment.variables | is_set


def test_one_share_of_the_gpu_s_memory_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jaxlib does not start with both; the shell's is not what was measured."""
    read = profile_file.read(written(tmp_path))
    variables = read.environment.variables | {FRACTION: "0.9"}
    of_gpu = dataclasses.replace(
        read,
        device="cuda",
        environment=dataclasses.replace(read.environment, variables=variables),
    )
    seen: list[dict[str, str]] = []

    def child(*of: Any, environment: dict[str, str], **more: Any) -> Iterator[Outcome]:
        seen.append(environment)
        yield factories.outcome()

    monkeypatch.setattr(measuring, "run_child", child)
    environ = {"XLA_CLIENT_MEM_FRACTION": "0.5"}
    with measuring.measuring(
        of_gpu, platform="cuda", options={}, timeout_s=None, environ=environ
    ) as measure:
        measure()
    assert [{n: v for n, v in one.items() if "MEM_FRACTION" in n} for one in seen] == [
        {FRACTION: "0.9"}
    ]
