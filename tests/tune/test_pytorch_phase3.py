"""python -m tune.pytorch_phase3: what it makes of its options, before any trial."""

import subprocess
import sys
import typing
from pathlib import Path

import pytest

from cluster.errors import UserError
from exports import EXPORTS
from search_spaces import pytorch_phase3 as spaces
from trainables.pytorch_phase3.options import DTYPES, Phase3Options
from trainables.pytorch_phase3.rollout import MIN_ROLLOUT_SAMPLES, rollout_samples
from trainables.workload import InvalidConfigurationError
from tune import pytorch_phase3 as command
from tune.pytorch_phase3 import Phase3Spec


def test_the_space_is_the_twenty_pairs_and_holds_its_baseline() -> None:
    space, baseline = command.space_of("cpu", 2)
    configurations = list(space.configurations())
    assert len(configurations) == 20
    assert baseline in configurations


def test_all_pairs_have_the_same_rollout_and_both_sizes_divide_it() -> None:
    for config in spaces.SPACE.configurations():
        assert rollout_samples(config) == MIN_ROLLOUT_SAMPLES
        assert MIN_ROLLOUT_SAMPLES % config["vectorized_envs"] == 0
        assert MIN_ROLLOUT_SAMPLES % config["batch_size"] == 0


@pytest.mark.parametrize(
    ("num_envs", "batch_size", "samples"), [(10, 100, 3100), (7, 512, 3584), (64, 8192, 8192)]
)
def test_other_sizes_get_the_least_rollout_that_both_divide(
    num_envs: int, batch_size: int, samples: int
) -> None:
    config = {"vectorized_envs": num_envs, "batch_size": batch_size}
    assert rollout_samples(config) == samples


def test_a_rollout_needs_both_sizes() -> None:
    with pytest.raises(InvalidConfigurationError, match="must be positive"):
        rollout_samples({"vectorized_envs": 8})


@pytest.mark.parametrize(("reduction", "updates"), [(0.05, 17), (0.1, 33), (0.15, 49)])
def test_the_reduction_decides_how_long_the_winner_is_confirmed(
    reduction: float, updates: int
) -> None:
    spec = Phase3Spec(llm="none", timesteps_reduction=reduction)
    assert command.confirming_updates(spec) == command.task_of(spec).confirming_updates == updates
    assert command.task_of(spec).options["timesteps_reduction"] == reduction


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timesteps_reduction": 0.2}, "--timesteps-reduction is one of"),
        ({"production_timesteps": 0}, "--production-timesteps must be at least 1"),
        ({"seed": 2**32}, "--seed must be at most 4294967295"),
    ],
)
def test_what_cannot_be_asked_for_is_named(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Phase3Spec(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"llm": "/nowhere/model.gguf"}, "there is no language model"),
        ({"llm": "~no-user/model"}, "there is no language model ~no-user/model"),
        ({"llm": "none", "data": Path("/nowhere.csv")}, "there is no file"),
        ({"llm": "none", "query_interval": 0}, "query_interval must be at least 1"),
        ({"space": ("num_envs=8:32",)}, "--space num_envs: Phase 3 has no such axis, only vector"),
    ],
)
def test_a_lack_is_found_before_any_trial(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        command.task_of(Phase3Spec(**options))  # type: ignore[arg-type]


def test_a_task_carries_absolute_paths_and_says_what_it_trains_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.chdir(tmp_path)
    task = command.task_of(Phase3Spec(llm="model.gguf"))
    assert task.options["llm"] == str(tmp_path / "model.gguf")
    assert task.data["llm"] == "model"
    assert task.data["synthetic"]
    assert (task.phase, task.framework) == (3, "torch")
    expected = Phase3Options(llm=str(tmp_path / "model.gguf"))
    assert Phase3Options.from_mapping(task.options) == expected


def test_a_task_says_what_was_read_of_its_data() -> None:
    spec = Phase3Spec(llm="none", data=EXPORTS / "pipe.csv", timezone="Asia/Tokyo")
    task = command.task_of(spec)
    assert task.notes[0].startswith("Read pipe.csv: 300 bars of 1 min, 2024-01-02 05:30")
    assert task.options["timezone"] == "Asia/Tokyo"
    assert "symbol" not in task.options
    assert Phase3Options.from_mapping(task.options).timezone == "Asia/Tokyo"


def test_a_hub_id_stays_what_it_is() -> None:
    assert command.task_of(Phase3Spec(llm="owner/model")).options["llm"] == "owner/model"


def test_the_command_knows_the_options_of_a_trial_and_their_defaults() -> None:
    assert typing.get_args(typing.get_type_hints(Phase3Spec)["llm_dtype"]) == DTYPES
    task = command.task_of(Phase3Spec(llm="none"))
    assert task.options == Phase3Options(llm="none").as_mapping()


def test_the_parent_imports_no_framework() -> None:
    code = (
        "import sys; from tune import pytorch_phase3 as c; c.task_of(c.Phase3Spec(llm='none'));"
        "print([m for m in ('torch', 'transformers', 'jax', 'gymnasium') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
