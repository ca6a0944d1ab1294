"""A seeded market of regular-hours minute bars, for when no file is given. NumPy only, pure.

Volatility clusters by day and is U-shaped within it, as on exchanges; the direction is pure noise,
so the best policy does not trade. `trend` adds something that can be learned.
"""

import numpy as np

from trainables.market.bars import Bars
from trainables.market.sessions import to_new_york

SESSION_BARS = 390
_PATH_POINTS = 4  # prices within a bar: enough for wicks that differ from the body
_START_PRICE = 5000.0
_BAR_VOLATILITY = 4e-4  # about that of an index future's minute
_TREND_BARS = 30


def synthetic_bars(*, seed: int, num_days: int, trend: float = 0.0) -> Bars:
    """Make `num_days` sessions of minute bars.

    `trend` is a drift in units of a bar's volatility; its sign is drawn anew every `_TREND_BARS`
    bars, so a policy that follows the moving averages earns and a random one does not.
    """
    rng = np.random.default_rng(seed)
    shape = (num_days, SESSION_BARS)
    clock = np.linspace(-1.0, 1.0, SESSION_BARS)
    day_level = np.exp(0.25 * rng.standard_normal((num_days, 1)))
    volatility = _BAR_VOLATILITY * day_level * (0.7 + 0.6 * clock**2)
    signs = rng.choice([-1.0, 1.0], size=(num_days, -(-SESSION_BARS // _TREND_BARS)))
    drift = trend * np.repeat(signs, _TREND_BARS, axis=1)[:, :SESSION_BARS]

    noise = rng.standard_t(5, (*shape, _PATH_POINTS)) / np.sqrt(5 / 3 * _PATH_POINTS)
    steps = volatility[..., None] * (noise + drift[..., None] / _PATH_POINTS)
    path = np.cumsum(steps.reshape(-1)).reshape(-1, _PATH_POINTS)
    close = path[:, -1]
    start = np.r_[0.0, close[:-1]]
    surprise = np.abs(steps.sum(axis=-1)) / volatility
    volume = 1000.0 * np.exp(0.4 * surprise + 0.3 * rng.standard_normal(shape) + clock**2)
    with_start = np.column_stack([start, path])
    return Bars(
        time=_minutes_of_sessions(num_days),
        open=_START_PRICE * np.exp(start),
        high=_START_PRICE * np.exp(with_start.max(axis=1)),
        low=_START_PRICE * np.exp(with_start.min(axis=1)),
        close=_START_PRICE * np.exp(close),
        volume=np.round(volume.reshape(-1)),
        source=f"synthetic market ({num_days} days of minute bars, seed {seed})",
    )


def _minutes_of_sessions(num_days: int) -> np.ndarray:
    """[num_days * SESSION_BARS] UTC times of each minute of `num_days` sessions from 2024 on."""
    first_day = np.datetime64("2024-01-02")
    days = np.busday_offset(first_day, np.arange(num_days)).astype("datetime64[ms]")
    noon = days + np.timedelta64(12, "h")
    opening = days + np.timedelta64(9 * 60 + 30, "m") + (noon - to_new_york(noon))
    minutes = np.arange(SESSION_BARS) * np.timedelta64(1, "m")
    return np.asarray(opening[:, None] + minutes).reshape(-1)
