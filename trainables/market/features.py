"""The arrays that the environments hold on the device, computed from bars. NumPy only, pure.

All features are causal: row t uses bars up to t and no later one. They are in units that do not
depend on the price level (multiples of the average true range, ratios), so that an index future at
5000 and a currency at 1.1 look alike.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainables.market.sessions import Sessions, find_sessions
from trainables.workload import WorkloadInputError

if TYPE_CHECKING:
    # It brings pyarrow and a thread of its own, which a process of environments can spare.
    from trainables.market.bars import Bars

FEATURES = (
    "log return",  # close to close, in ATRs
    "range",  # high - low, in ATRs
    "ATR ratio",  # fast over slow average true range, minus 1
    "RSI",  # 14 bars, scaled to -1..1
    "volume z-score",  # of the log volume, over 60 bars
    "fast distance",  # close - 10-bar mean, in ATRs
    "slow distance",  # close - 50-bar mean, in ATRs
    "close location",  # -1 at the bar's low, 1 at its high
    "time of day, sine",
    "time of day, cosine",
    "session progress",
)
NUM_FEATURES = len(FEATURES)

_ATR_BARS, _SLOW_ATR_BARS, _RSI_BARS, _VOLUME_BARS, _FAST_BARS, _SLOW_BARS = 14, 100, 14, 60, 10, 50
_CLIP = 10.0
_MIN_ATR = 5e-5  # of the price: quotes that stand still (weekends) must not make a zero stop


class Market(NamedTuple):
    """A market on the device: a pytree, so it travels as an argument of the compiled program.

    features: [num_bars, NUM_FEATURES] float32.
    prices: [num_bars, 5] float32; open, high, low, close, ATR: one row, one gather.
    episode_end: [num_bars] int32, see `Sessions`.
    starts: [num_starts] int32, see `Sessions`.
    """

    features: np.ndarray
    prices: np.ndarray
    episode_end: np.ndarray
    starts: np.ndarray


def build_market(bars: "Bars") -> Market:
    """Compute the features and sessions of bars.

    Raises:
        WorkloadInputError: if no episode fits into the bars.
    """
    sessions = find_sessions(bars.time)
    if not len(sessions.starts):
        raise WorkloadInputError(
            f"{bars.source}: no episode fits into its {len(bars)} bars; give a longer history."
        )
    atr = average_true_range(bars, _ATR_BARS)
    prices = np.column_stack([bars.open, bars.high, bars.low, bars.close, atr])
    return Market(
        features=compute_features(bars, sessions).astype(np.float32),
        prices=prices.astype(np.float32),
        episode_end=sessions.episode_end.astype(np.int32),
        starts=sessions.starts.astype(np.int32),
    )


def compute_features(bars: "Bars", sessions: Sessions) -> np.ndarray:
    """[num_bars, NUM_FEATURES] float64, in the order of `FEATURES`."""
    close = bars.close
    atr = average_true_range(bars, _ATR_BARS)
    relative_atr = atr / close
    spread = bars.high - bars.low
    location = (2 * close - bars.high - bars.low) / np.where(spread > 0, spread, 1.0)
    day_fraction = (bars.time - bars.time.astype("datetime64[D]")) / np.timedelta64(1, "D")
    columns = (
        np.diff(np.log(close), prepend=np.log(close[0])) / relative_atr,
        spread / atr,
        atr / average_true_range(bars, _SLOW_ATR_BARS) - 1.0,
        _relative_strength(close),
        _z_score(np.log1p(bars.volume)),
        (close - _rolling_mean(close, _FAST_BARS)) / atr,
        (close - _rolling_mean(close, _SLOW_BARS)) / atr,
        location,
        np.sin(2 * np.pi * day_fraction),
        np.cos(2 * np.pi * day_fraction),
        sessions.progress,
    )
    return np.asarray(np.clip(np.column_stack(columns), -_CLIP, _CLIP))


def average_true_range(bars: "Bars", num_bars: int) -> np.ndarray:
    """[num_bars] mean true range of the last bars (plain, not Wilder's: it vectorises)."""
    previous = np.r_[bars.close[0], bars.close[:-1]]
    true_range = np.maximum(bars.high, previous) - np.minimum(bars.low, previous)
    return np.asarray(np.maximum(_rolling_mean(true_range, num_bars), _MIN_ATR * bars.close))


def _relative_strength(close: np.ndarray) -> np.ndarray:
    """Return Cutler's RSI (plain means), scaled from 0..100 to -1..1; 0 if no price changed."""
    change = np.diff(close, prepend=close[0])
    total = _rolling_mean(np.abs(change), _RSI_BARS)
    return np.asarray(_rolling_mean(change, _RSI_BARS) / np.where(total > 0, total, 1.0))


def _z_score(values: np.ndarray) -> np.ndarray:
    mean = _rolling_mean(values, _VOLUME_BARS)
    variance = _rolling_mean(values**2, _VOLUME_BARS) - mean**2
    return np.asarray((values - mean) / np.sqrt(np.maximum(variance, 1e-6)))


def _rolling_mean(values: np.ndarray, num_bars: int) -> np.ndarray:
    """Return the mean of the last `num_bars` values, of all so far if there are fewer."""
    total = np.r_[0.0, np.cumsum(values)]
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - num_bars, 0)
    return np.asarray((total[end] - total[start]) / (end - start))


def split(market: Market, held_out: float) -> tuple[Market, Market]:
    """Return the market to train on, and the one of the last part of the bars, `held_out` of them.

    No episode of the first reaches into the second. Both have all bars: an episode looks back.

    Raises:
        WorkloadInputError: if no episode fits into one of the two.
    """
    first = round((1.0 - held_out) * len(market.prices))
    ends = market.episode_end[market.starts]
    training = market._replace(starts=market.starts[ends < first])
    last = market._replace(starts=market.starts[market.starts >= first])
    for part, name in ((training, "first"), (last, "last")):
        if not len(part.starts):
            share = 1.0 - held_out if part is training else held_out
            raise WorkloadInputError(
                f"no episode fits into the {name} {share:.0%} of the {len(market.prices)} bars, "
                "which learning needs to tell apart what is learnt by heart: give a longer history."
            )
    return training, last
