"""The line that says what was read."""

import numpy as np
import pytest

from exports import EXPORTS
from trainables.market.bars import load_bars
from trainables.market.overview import describe_bars, step_text
from trainables.market.sessions import find_sessions


def described(name: str, **options) -> tuple[str, ...]:
    bars = load_bars(EXPORTS / name, **options)
    return describe_bars(bars, find_sessions(bars.time))


def test_the_line_says_what_was_read():
    assert described("pipe.csv") == (
        "Read pipe.csv: 300 bars of 1 min, 2024-01-02 14:30 to 2024-01-02 19:29 (no zone in the "
        "file, taken as UTC), first close 100.01, volume 773357 in all, 57% of the bars in "
        "episodes (09:30-16:00 New York).",
    )


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("polygon_flat.csv", {}, "19:29 (UTC),"),
        ("pipe.csv", {"timezone": "Asia/Tokyo"}, "05:30 to 2024-01-02 10:29 (UTC, from Asia/Tokyo"),
        ("coinbase.csv", {}, "The file runs from new to old and was turned round."),
        ("mt5_fx.csv", {}, "volume 773357 in all"),
        ("session_crypto_24x7_5m.parquet", {}, "96% of the bars in episodes (at any hour)"),
        ("session_xetra_utc_1m.parquet", {}, "97% of the bars in episodes (at any hour)"),
        ("stooq_daily.csv", {}, "300 bars of 1 day, 2022-01-03 00:00 to 2022-10-29 00:00"),
        ("stooq_hourly.csv", {}, "bars of 1 h"),
    ],
)
def test_zone_notes_and_hours_are_said(name, options, words):
    assert words in " ".join(described(name, **options))


def test_a_clock_of_new_york_without_a_zone_is_pointed_at():
    name = "session_naive_ny_rth_1m.parquet"
    text = " ".join(described(name))
    assert "at any hour" in text
    assert "say --timezone America/New_York" in text
    text = " ".join(described(name, timezone="America/New_York"))
    assert "96% of the bars in episodes (09:30-16:00 New York)" in text
    assert "say --timezone" not in text


@pytest.mark.parametrize("name", ["pipe.csv", "session_xetra_utc_1m.parquet", "stooq_daily.csv"])
def test_other_hours_are_not_pointed_at(name):
    assert "say --timezone" not in " ".join(described(name))


@pytest.mark.parametrize(
    ("step_ms", "text"),
    [(60_000, "1 min"), (900_000, "15 min"), (86_400_000, "1 day"), (1500, "1500 ms"),
     (5000, "5 s")],
)  # fmt: skip
def test_steps_in_words(step_ms, text):
    time = np.datetime64("2024-01-01", "ms") + np.arange(9) * np.timedelta64(step_ms, "ms")
    assert step_text(time) == text
