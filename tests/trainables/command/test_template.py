"""Braces of a command: what is filled in, what stays, and what is refused."""

import pytest

from search_spaces.config import Value
from trainables.command.template import PLACES, TemplateError, check, fill

VALUES: dict[str, Value] = {
    "num_envs": 64,
    "num_steps": 128,
    "lr": 1e-4,
    "precise": 0.00012345678,
    "vec": "subproc",
    "trial_dir": "/tmp/one",
    "seed": 3,
    "gpu": "0",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--num-envs={num_envs}", "--num-envs=64"),
        ("{ num_envs }", "64"),
        ("{num_envs}x{num_steps}", "64x128"),
        ("{num_envs * num_steps // 4}", "2048"),
        ("{num_envs * num_steps / 4}", "2048"),
        ("{num_envs / 3}", "21.333333333333332"),
        ("{precise}", "0.00012345678"),
        ("{lr}", "0.0001"),
        ("{vec}", "subproc"),
        ("{trial_dir}/logs-{seed}-{gpu}", "/tmp/one/logs-3-0"),
        ('{"num_envs": {num_envs}, "name": "x"}', '{"num_envs": 64, "name": "x"}'),
        ("${num_envs}", "${num_envs}"),
        ("${hydra:runtime.cwd}/{run}", "${hydra:runtime.cwd}/{run}"),
        ("{}", "{}"),
        ("{1 + 1}", "{1 + 1}"),
        ("{num_envs.__class__}", "{num_envs.__class__}"),
        ("-params n_envs:{num_envs} n_steps:{num_steps}", "-params n_envs:64 n_steps:128"),
    ],
)
def test_axes_and_expressions_are_filled_in_and_other_braces_stay(text: str, expected: str) -> None:
    assert fill(text, VALUES) == expected


def test_an_expression_without_a_value_names_its_brace() -> None:
    with pytest.raises(TemplateError, match=r"\{num_envs // \(num_steps - 128\)\} cannot be"):
        fill("{num_envs // (num_steps - 128)}", VALUES)


def test_every_axis_is_used() -> None:
    axes = ["num_envs", "num_steps", "env.OMP_NUM_THREADS"]
    check(["train", "{num_envs * num_steps}"], axes)
    with pytest.raises(TemplateError, match=r"does not use num_steps: write \{num_steps\}"):
        check(["train", "{num_envs}", "${num_steps}"], axes)


@pytest.mark.parametrize("name", PLACES)
def test_an_axis_is_not_called_as_what_is_filled_in_by_itself(name: str) -> None:
    with pytest.raises(TemplateError, match=f"cannot vary {name}: .* another name, as my_{name}"):
        check(["train", f"{{{name}}}", "{n}"], ["n", name])
    used = f"{{env.{name}}}"
    check(["train", f"{{my_{name}}}", "{n}", used], ["n", f"my_{name}", f"env.{name}"])


def test_an_option_of_hydra_is_not_taken_for_a_variable_of_the_environment() -> None:
    """Nothing would vary then."""
    words = (
        r"env.num_envs is a variable .* stands in the command, as env.num_envs=\{num_envs\}, and"
    )
    with pytest.raises(TemplateError, match=words):
        check(["train", "task=Ant"], ["env.num_envs"])
    check(["train", "env.num_envs={env.num_envs}"], ["env.num_envs"])
    check(["train", "{n}"], ["env.XLA_FLAGS", "n"])


def test_a_misspelt_axis_is_no_brace_of_somebody_else() -> None:
    with pytest.raises(TemplateError, match=r"\{num_env\}, which is no axis: did you mean"):
        check(["train", "{num_env}"], ["num_envs"])
    check(["train", "{num_envs}", "{run_name}", '{"a": 1}'], ["num_envs"])
