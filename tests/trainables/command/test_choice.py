"""The reading that is chosen by a script's lines, and what is said where none can be."""

import pytest

from trainables.command.choice import ReadingChoice
from trainables.command.presets import AUTO, readings_of
from trainables.workload import WorkloadInputError

AXES = {"num_envs": 4}


def choice(name: str = AUTO, *, steps: str | None = None) -> ReadingChoice:
    return ReadingChoice(readings_of(name, AXES, steps=steps), AXES)


def test_a_known_script_whose_steps_no_axis_tells_is_refused_at_its_second_line() -> None:
    choosing = choice()
    assert choosing.hear("SPS: 410") is None
    assert choosing.hear("global_step=512, episodic_return=[21.]") is None
    with pytest.raises(WorkloadInputError) as refused:
        choosing.hear("SPS: 433")
    assert str(refused.value) == (
        "it prints 'SPS: 433': --preset cleanrl counts num_envs * num_steps agent steps for each "
        "line, and num_steps is no axis: give the steps from one line to the next, as --steps "
        "'num_envs * 128' for num_steps of 128. Its DQN, SAC, TD3 and the like print a line every "
        "100 steps of each environment: --steps 100 for one."
    )


@pytest.mark.parametrize(
    ("steps", "lines", "preset"),
    [
        (None, ["SPS: 410", "|    total_timesteps      | 2048 |"], "sb3"),
        ("num_envs * 128", ["SPS: 410"], "cleanrl"),
    ],
)
def test_a_script_that_prints_a_line_that_can_be_counted_is_read(
    steps: str | None, lines: list[str], preset: str
) -> None:
    choosing = choice(steps=steps)
    found = [choosing.hear(line) for line in lines]
    assert [reading.preset for reading in found if reading is not None] == [preset]


def test_what_was_looked_for_is_said_where_nothing_matched() -> None:
    assert choice("sb3").nothing(9.6).startswith(r"no line matched '\|\s*total_timesteps")
    assert choice().nothing(9.6) == (
        "no preset knows a line of it in 10 s (say how it tells its speed, by --count, --line, "
        "--rate, --seconds or --scalar; if it takes longer to start, give --trial-timeout)"
    )
