"""Returns, read from the lines of a training."""

import pytest

from cluster.errors import UserError
from trainables.command.readings import ReturnLines
from trainables.command.returns import SMOOTHED_EPISODES, MeanReturn, ReturnReader


def test_a_mean_is_taken_as_it_is_printed() -> None:
    returns = ReturnReader(ReturnLines(pattern=r"mean return (\S+)"))
    lines = ["mean return nan", "loss 3", "mean return 4.5", "mean return [-1,200.]"]
    told = [returns.hear(line) for line in lines]
    assert told == [None, None, MeanReturn(4.5), MeanReturn(-1200.0)]


def test_returns_of_single_episodes_are_averaged_over_the_last() -> None:
    returns = ReturnReader(ReturnLines(pattern=r"return=(\S+)", per_episode=True))
    told = [returns.hear(f"return={number}") for number in range(SMOOTHED_EPISODES + 5)]
    assert told[1] == MeanReturn(0.5, of_few=True)
    assert [mean.of_few for mean in told if mean] == [True] * (SMOOTHED_EPISODES - 1) + [False] * 6
    assert told[-1] == MeanReturn(5 + (SMOOTHED_EPISODES - 1) / 2)


@pytest.mark.parametrize("text", ["return=inf", "return=1e999", "return="])
def test_what_is_no_number_is_no_return(text: str) -> None:
    assert ReturnReader(ReturnLines(pattern="return=(.*)")).hear(text) is None


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("return (", "--return 'return \\(' is no regular"), ("return", "needs a group around the")],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        ReturnReader(ReturnLines(pattern=pattern))
