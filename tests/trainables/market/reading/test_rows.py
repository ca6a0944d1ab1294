"""Refusals that name a row."""

import numpy as np
import pytest

from trainables.market.reading.rows import RowNames, listed, shown
from trainables.workload import WorkloadInputError

ROWS = RowNames(file="bars.csv", under_header=True)


def test_rows_count_from_one_below_the_header():
    assert ROWS.name(0) == "row 1 below the header"
    assert RowNames(file="bars.parquet").name(0) == "row 1"


def test_rows_that_were_chosen_and_turned_round_keep_their_names():
    rows = ROWS.take(np.array([4, 7, 9])).take(np.array([2, 1, 0]))
    assert [rows.name(i).split()[1] for i in range(3)] == ["10", "8", "5"]
    assert rows.first(np.array([True, True, False])) == 1


def test_one_row_and_many_are_told_apart():
    bad = np.zeros(10, bool)
    ROWS.of("c").refuse_first(bad, "is bad")
    bad[[3, 5]] = True
    with pytest.raises(
        WorkloadInputError, match=r"column c, row 4 .*is bad; mend it \(2 like it\)"
    ):
        ROWS.of("c").refuse_first(bad, "is bad", wide="change all", remedy="mend it")
    with pytest.raises(WorkloadInputError, match=r"is bad, and so in 8 of 10 rows; change all\."):
        ROWS.of("c").refuse_first(~bad, "is bad", wide="change all")


def test_sentences_are_bounded():
    assert len(shown("x" * 300_000)) < 70
    assert len(listed(["y" * 1000] * 1000)) < 800
    assert len(str(ROWS.of("c" * 1000).unread(0, "x" * 300_000, "is bad"))) < 200
