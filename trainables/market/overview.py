"""A line on what was read of a file of bars, and advice on it. NumPy only, pure."""

from typing import TYPE_CHECKING

import numpy as np

from trainables.market.sessions import Sessions, in_regular_hours

if TYPE_CHECKING:
    from trainables.market.bars import Bars

_UNITS = ((86_400_000, "day"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))
_FILLS = 0.95  # of the bars within hours that these bars fill from end to end
_HALF_HOUR = np.timedelta64(30, "m")
_OPEN, _CLOSE = np.timedelta64(570, "m"), np.timedelta64(960, "m")


def describe_bars(bars: "Bars", sessions: Sessions) -> tuple[str, ...]:
    """Return sentences for a person: what was read, then what of it is worth a look."""
    zone = "UTC" if bars.zone is not None else "no zone in the file, taken as UTC"
    if bars.zone not in (None, "UTC"):
        zone = f"UTC, from {bars.zone}"
    read = (
        f"Read {bars.source}: {len(bars)} bars of {step_text(bars.time)}, "
        f"{_minute(bars.time[0])} to {_minute(bars.time[-1])} ({zone}), first close "
        f"{bars.close[0]:.10g}, volume {bars.volume.sum():.10g} in all, "
        f"{sessions.share:.0%} of the bars in episodes ({_hours(sessions)})."
    )
    advice = _zone_advice(bars)
    return (read, *bars.notes, *([advice] if advice else []))


def step_text(time: np.ndarray) -> str:
    """Return the commonest distance of bars as "5 min", of [num_bars] datetime64[ms]."""
    if len(time) < 2:
        return "unknown length"
    steps, counts = np.unique(np.diff(time).astype(np.int64), return_counts=True)
    step = int(steps[np.argmax(counts)])
    size, unit = next((size, unit) for size, unit in _UNITS if step % size == 0)
    return f"{step // size} {unit}"


def _minute(time: np.datetime64) -> str:
    text = str(time.astype("datetime64[ms]")).replace("T", " ")
    return text.removesuffix(".000").removesuffix(":00")


def _hours(sessions: Sessions) -> str:
    return "09:30-16:00 New York" if sessions.regular_hours else "at any hour"


def _zone_advice(bars: "Bars") -> str:
    """Return what to do where times without a zone look like the wall clock of New York."""
    if bars.zone is not None:
        return ""
    inside = in_regular_hours(bars.time)
    clock = bars.time - bars.time.astype("datetime64[D]")
    fills = inside.any() and (
        inside.mean() >= _FILLS
        and clock[inside].min() <= _OPEN + _HALF_HOUR
        and clock[inside].max() >= _CLOSE - 2 * _HALF_HOUR
    )
    if not fills:
        return ""
    return (
        "Its times have no zone and fill 09:30 to 16:00: if that is the clock of New York, "
        "say --timezone America/New_York."
    )
