"""The table of trials fits its terminal."""

import pytest

import factories
from screens import TOO_MUCH, TRIALS, printed, sized, terminal
from trainables.measurement import Phase
from tune.screen import trials_table


@pytest.mark.parametrize(
    ("width", "height", "num_earlier"), [(80, 24, 29), (120, 50, 27), (80, 5, 41)]
)
def test_the_live_table_fits_and_shows_the_last_trials_of_many(
    width: int, height: int, num_earlier: int
) -> None:
    measured = [sized(number) for number in range(36)]
    many = [*measured, *(sized(number, outcome=TOO_MUCH) for number in range(36, 40))]
    running = {40: trials_table.Running(phase=Phase.COMPILE, seconds=12.0)}
    console = terminal(width)
    trials = (*many, *TRIALS[2:4], factories.trial(number=40, outcome=None))
    most_rows = trials_table.live_rows(height)
    console.print(trials_table.render(trials, running, width=width, most_rows=most_rows))
    lines = printed(console).splitlines()
    assert len(lines) < max(height, 13)  # and one for the time
    assert max(map(len, lines)) <= width
    assert f"{num_earlier} earlier trials not shown" in printed(console)
    last = next(line for line in lines if line.lstrip().startswith("40"))
    assert "compiling" in last
    assert "12 s" in last


def test_words_in_brackets_are_no_markup() -> None:
    words = ("[tanh]", "[/x]")
    trials = [
        factories.trial(number=number, config={"lr": 0.1, "net": word})
        for number, word in enumerate(words)
    ]
    console = terminal(80)
    console.print(trials_table.render(trials, {}, width=80, most_rows=15))
    assert all(f"net={word}" in printed(console) for word in words)


def test_a_live_reason_is_one_line() -> None:
    console = terminal(80)
    console.print(trials_table.render(TRIALS, {}, width=80, most_rows=15))
    (reason,) = [line for line in printed(console).splitlines() if line.startswith("#1 device")]
    assert reason.rstrip().endswith("…")
