"""Sessions: episodes stay in regular hours of New York."""

import datetime
import zoneinfo

import numpy as np
import pytest

from trainables.market.sessions import (
    FREE_EPISODE_BARS,
    MIN_EPISODE_BARS,
    WARMUP_BARS,
    find_sessions,
    to_new_york,
)
from trainables.market.synthetic import SESSION_BARS


def test_new_york_time_agrees_with_the_zone_database():
    time = np.arange("2007-01-01", "2037-01-01", np.timedelta64(11, "h"), dtype="datetime64[s]")
    zone = zoneinfo.ZoneInfo("America/New_York")
    expected = [
        datetime.datetime.fromtimestamp(second, zone).replace(tzinfo=None)
        for second in time.astype(int).tolist()
    ]
    assert (to_new_york(time) == np.array(expected, dtype="datetime64[s]")).all()


def minutes(first: str, last: str, opens: str, closes: str) -> np.ndarray:
    """Every minute of these weekdays from one UTC time of day to another."""
    time = np.arange(first, last, np.timedelta64(1, "m"), dtype="datetime64[ms]")
    day = time.astype("datetime64[D]")
    begin, end = (np.timedelta64(int(t[:2]) * 60 + int(t[3:]), "m") for t in (opens, closes))
    return time[(time - day >= begin) & (time - day < end) & np.is_busday(day)]


def test_episodes_of_minutes_with_extended_hours_stay_in_regular_hours():
    time = minutes("2024-03-04", "2024-03-18", "11:30", "21:00")  # 07:30 to 16:00, then 1 h later
    sessions = find_sessions(time)
    local = to_new_york(time)
    minute = (local - local.astype("datetime64[D]")) // np.timedelta64(1, "m")
    assert sessions.regular_hours
    assert np.is_busday(local[sessions.starts].astype("datetime64[D]")).all()
    assert minute[sessions.starts].min() == 570
    assert minute[sessions.starts].max() == 959 - MIN_EPISODE_BARS
    ends = sessions.episode_end[sessions.starts]
    assert (minute[ends] == 959).all()
    assert (ends - sessions.starts < SESSION_BARS).all()


@pytest.mark.parametrize(
    ("opens", "closes", "regular", "share"),
    [
        ("14:30", "21:00", True, 0.98),  # New York
        ("09:30", "16:00", False, 0.98),  # New York's clock, taken as UTC
        ("08:00", "16:30", False, 0.98),  # Xetra, London
        ("07:00", "15:50", False, 0.98),  # Moscow
        ("03:45", "10:00", False, 0.98),  # India
        ("00:00", "23:59", False, 0.98),  # futures and currencies
        ("09:00", "23:00", False, 0.98),  # with long hours before and after
        ("14:30", "23:00", True, 0.76),
    ],
)
def test_sessions_are_judged_by_the_share_of_bars_within(opens, closes, regular, share):
    sessions = find_sessions(minutes("2024-01-03", "2024-02-03", opens, closes))
    assert sessions.regular_hours == regular
    assert sessions.share == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("bar_length", [np.timedelta64(1, "h"), np.timedelta64(24, "h")])
def test_bars_too_long_for_sessions_have_free_episodes(bar_length):
    time = np.datetime64("2020-01-01", "ms") + np.arange(1000) * bar_length
    sessions = find_sessions(time)
    assert not sessions.regular_hours
    assert sessions.starts[0] == WARMUP_BARS
    assert sessions.episode_end[WARMUP_BARS] == WARMUP_BARS + FREE_EPISODE_BARS
    assert sessions.episode_end[sessions.starts[-1]] == 999
    assert "no regular-hours sessions" in sessions.describe()
