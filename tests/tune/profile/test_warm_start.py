"""What profiles of other machines recommend: in which order, and what of them is of use here."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from profiles import written
from search_spaces.space import Axis, SearchSpace, doubling
from tune.profile import file as profile_file
from tune.profile import warm_start
from tune.profile.warm_start import Recommended
from tune.search.result import Kind

SPACE = SearchSpace(
    axes=(
        Axis(name="num_envs", values=doubling(64, 1024)),
        Axis(name="num_steps", values=(32, 128)),
        Axis(name="batch_size", values=doubling(512, 16384)),
        Axis(name="num_epochs", values=(4,)),
    )
)
BASELINE = {"num_envs": 256, "num_steps": 128, "batch_size": 8192, "num_epochs": 4}
FACTORY = "trainables.jax_phase12.workload:phase1"
HERE = "amd-epyc-7543-8cpu"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "profiles"


def profile(folder: Path, name: str, num_envs: int, **changes: Any) -> None:
    """A profile that recommends so many environments, of another machine unless it is said."""
    source = profile_file.read(written(folder.parent / "source"))
    fields: dict[str, Any] = {
        "config": BASELINE | {"num_envs": num_envs},
        "machine_class": "other",
        "baseline": None,
    }
    changed = dataclasses.replace(source, **(fields | changes))
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(profile_file.to_yaml(changed))


def read(path: Path) -> Recommended:
    return warm_start.read(
        path,
        factory=FACTORY,
        kind=Kind.FASTEST,
        space=SPACE,
        baseline=BASELINE,
        machine_class=HERE,
        device="cpu",
    )


def num_envs(recommended: Recommended) -> list[int]:
    return [config["num_envs"] for config in recommended.configs]


def test_this_class_comes_first_then_this_device_then_what_is_proven(folder: Path) -> None:
    profile(folder, "a", 64, kind=Kind.LEAN, machine_class=HERE)
    profile(folder, "b", 128, device="cuda")
    profile(folder, "c", 512, partial=True)
    profile(folder, "d", 1024)
    assert num_envs(read(folder)) == [1024, 512, 128]  # three at most
    profile(folder, "e", 64, machine_class=HERE)
    assert num_envs(read(folder)) == [64, 1024, 512]


def test_of_equals_the_newest_comes_first(folder: Path) -> None:
    profile(folder, "a", 64, created_at="2026-01-01T00:00:00+00:00")
    profile(folder, "b", 128, created_at="2026-03-01T00:00:00+00:00")
    profile(folder, "c", 512, created_at="2026-02-01T00:00:00+00:00")
    assert num_envs(read(folder)) == [128, 512, 64]


def test_what_says_the_same_or_the_baseline_costs_no_trial(folder: Path) -> None:
    profile(folder, "a", 64)
    profile(folder, "b", 64)
    profile(folder, "c", 256)
    recommended = read(folder)
    assert num_envs(recommended) == [64]
    assert recommended.text == (f"Warm start: 64 x 128, 1 minibatch, from 3 profiles in {folder}.")


def test_a_size_that_is_not_in_the_space_becomes_the_nearest_that_is(folder: Path) -> None:
    profile(folder, "a", 16384, config=BASELINE | {"num_envs": 16384, "batch_size": 131072})
    (config,) = read(folder).configs
    assert config == BASELINE | {"num_envs": 1024, "batch_size": 16384}


def test_profiles_of_another_workload_and_broken_files_say_nothing(folder: Path) -> None:
    source = profile_file.read(written(folder.parent / "source"))
    other = dataclasses.replace(source.workload, factory="mine:loop")
    profile(folder, "a", 64, workload=other)
    (folder / "b.yaml").write_text("num_envs: many")
    recommended = read(folder)
    assert recommended.configs == ()
    assert recommended.text == (
        f"Warm start: {folder} holds no profile of this workload. 1 file could not be read."
    )
    with pytest.raises(UserError, match="is a profile of another workload than trainables"):
        read(folder / "a.yaml")
    with pytest.raises(UserError, match=r"b\.yaml: schema_version"):
        read(folder / "b.yaml")
    with pytest.raises(UserError, match="No such file"):
        read(folder / "c.yaml")


def test_one_file_is_enough(folder: Path) -> None:
    profile(folder, "a", 64)
    assert num_envs(read(folder / "a.yaml")) == [64]
