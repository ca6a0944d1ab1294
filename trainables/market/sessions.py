"""The bars at which an episode may start and end. NumPy only, pure.

Minute data of a US exchange has sessions: an episode starts in regular hours, 09:30 to 16:00 in
New York, and ends with them at the latest. That needs bars short enough for a session to be longer
than the observation window, and most bars within these hours. Hourly and daily bars, and markets
that trade at other hours or round the clock, have no such sessions: an episode may start at any bar
and has at most `FREE_EPISODE_BARS` bars.
"""

import dataclasses

import numpy as np

WINDOW_BARS = 20
"""Bars that an observation looks back over."""

WARMUP_BARS = 128
"""Bars before the first start: the slowest indicator looks back 100 bars, the window 20."""

FREE_EPISODE_BARS = 240
"""Longest episode without sessions: two weeks of hourly bars, a year of daily ones."""

MIN_EPISODE_BARS = 10
"""Fewest bars that an episode may have."""

_LEAST_SHARE = 0.5  # of the bars: a market with fewer in these hours has hours of its own

_OPEN_MINUTE, _CLOSE_MINUTE = 9 * 60 + 30, 16 * 60
_MINUTE, _DAY = np.timedelta64(1, "m"), np.timedelta64(1, "D")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sessions:
    """Bounds of episodes, for every bar.

    starts: [num_starts] bars at which an episode may begin.
    episode_end: [num_bars] the last bar of an episode that begins at this bar.
    progress: [num_bars] 0 to 1: how much of the session (of the week, without sessions) is over.
    regular_hours: whether there are sessions.
    """

    starts: np.ndarray
    episode_end: np.ndarray
    progress: np.ndarray
    regular_hours: bool

    @property
    def share(self) -> float:
        """The share of the bars that lie within any episode, 0 to 1."""
        reach = np.full(len(self.episode_end), -1)
        reach[self.starts] = self.episode_end[self.starts]
        inside = np.maximum.accumulate(reach) >= np.arange(len(reach))
        return float(inside.mean()) if len(inside) else 0.0

    def describe(self) -> str:
        """Return one line for a person."""
        if self.regular_hours:
            return "episodes within regular hours (09:30-16:00 New York)"
        return f"no regular-hours sessions: episodes of up to {FREE_EPISODE_BARS} bars anywhere"


def find_sessions(time: np.ndarray) -> Sessions:
    """Find the sessions in bar times ([num_bars] datetime64[ms], UTC, of each bar's open)."""
    local = to_new_york(time)
    day = local.astype("datetime64[D]")
    minute = (local - day) // _MINUTE
    regular = in_regular_hours(local)
    index = np.arange(len(time))
    _, session_lengths = np.unique(day[regular], return_counts=True)
    is_regular = len(time) > 0 and regular.mean() >= _LEAST_SHARE
    has_sessions = is_regular and np.median(session_lengths) > WINDOW_BARS
    if has_sessions:
        # A regular bar's session ends at the last regular bar of its day. The days are sorted.
        regular_index = index[regular]
        last = np.searchsorted(day[regular], day, side="right") - 1
        episode_end = regular_index[np.maximum(last, 0)]
        progress = np.clip((minute - _OPEN_MINUTE) / (_CLOSE_MINUTE - _OPEN_MINUTE), 0.0, 1.0)
    else:
        regular = np.ones(len(time), bool)
        episode_end = np.minimum(index + FREE_EPISODE_BARS, len(time) - 1)
        week = day.astype("datetime64[W]").astype("datetime64[D]")  # NumPy's begin on Thursdays
        progress = (local - week) / (7 * _DAY)
    may_start = regular & (index >= WARMUP_BARS) & (episode_end - index >= MIN_EPISODE_BARS)
    return Sessions(
        starts=index[may_start],
        episode_end=episode_end,
        progress=progress,
        regular_hours=bool(has_sessions),
    )


def in_regular_hours(local: np.ndarray) -> np.ndarray:
    """[num_bars] bool of wall-clock times ([num_bars] datetime64): 09:30 to 16:00 of a weekday."""
    day = local.astype("datetime64[D]")
    minute = (local - day) // _MINUTE
    inside = (minute >= _OPEN_MINUTE) & (minute < _CLOSE_MINUTE)
    return np.asarray(inside & np.is_busday(day))


def to_new_york(time: np.ndarray) -> np.ndarray:
    """Convert UTC times to New York's wall clock, by the rule in force since 2007.

    The system's zone data is not used: small containers have none. Before 2007 summer time was a
    few weeks shorter, and those weeks come out an hour late.
    """
    january = time.astype("datetime64[Y]").astype("datetime64[M]")
    summer_begins = _sunday_after(january + np.timedelta64(2, "M"), 7) + 7 * np.timedelta64(1, "h")
    summer_ends = _sunday_after(january + np.timedelta64(10, "M"), 0) + 6 * np.timedelta64(1, "h")
    summer = (time >= summer_begins) & (time < summer_ends)
    return np.asarray(time - np.where(summer, 4, 5) * np.timedelta64(1, "h"))


def _sunday_after(month: np.ndarray, num_days: int) -> np.ndarray:
    """Return the first Sunday at least `num_days` after the month's first day, at midnight."""
    first = month.astype("datetime64[D]") + num_days * _DAY
    weekday = (first.astype(np.int64) + 4) % 7  # 1970-01-01 was a Thursday; Sunday is 0
    return (first + (-weekday) % 7 * _DAY).astype("datetime64[h]")
