"""Features: they see no future and no price level."""

import numpy as np
import pytest

from good_bars import hours
from trainables.market.bars import MIN_BARS, Bars
from trainables.market.features import FEATURES, build_market, compute_features, split
from trainables.market.sessions import (
    find_sessions,
)
from trainables.market.synthetic import synthetic_bars
from trainables.workload import WorkloadInputError


def test_bars_without_room_for_an_episode_are_refused():
    bars = synthetic_bars(seed=0, num_days=1)
    cut = {
        name: getattr(bars, name)[:130]
        for name in ("time", *Bars.__annotations__)
        if name != "source"
    }
    with pytest.raises(WorkloadInputError, match="no episode fits into its 130 bars"):
        build_market(Bars(source="short", **cut))


def changed_after(bars: Bars, bar: int) -> Bars:
    def change(values: np.ndarray) -> np.ndarray:
        return np.r_[values[: bar + 1], values[bar + 1 :] * 3.0]

    columns = {name: change(getattr(bars, name)) for name in ("open", "high", "low", "close")}
    return Bars(time=bars.time, volume=change(bars.volume), source="changed", **columns)


@pytest.mark.parametrize("bar", [150, 389, 390, 600])
def test_features_do_not_see_the_future(bar):
    bars = synthetic_bars(seed=0, num_days=2)
    sessions = find_sessions(bars.time)
    before = compute_features(bars, sessions)
    after = compute_features(changed_after(bars, bar), sessions)
    np.testing.assert_array_equal(before[: bar + 1], after[: bar + 1])
    assert (before[bar + 1] != after[bar + 1]).any()


def test_features_do_not_depend_on_the_price_level():
    bars = synthetic_bars(seed=0, num_days=2)
    cents = {name: getattr(bars, name) / 100 for name in ("open", "high", "low", "close")}
    scaled = Bars(time=bars.time, volume=bars.volume, source="cents", **cents)
    sessions = find_sessions(bars.time)
    np.testing.assert_allclose(
        compute_features(bars, sessions), compute_features(scaled, sessions), atol=1e-6
    )


def test_features_survive_a_market_that_stands_still():
    time = hours(MIN_BARS).astype("datetime64[ms]")
    one = np.ones(MIN_BARS)
    bars = Bars(time=time, open=one, high=one, low=one, close=one, volume=0 * one, source="flat")
    market = build_market(bars)
    assert np.isfinite(market.features).all()
    assert market.features.shape == (MIN_BARS, len(FEATURES))
    assert (market.prices[:, 4] > 0).all()


FOUR_DAYS = build_market(synthetic_bars(seed=0, num_days=4))


@pytest.mark.parametrize("held_out", [0.25, 0.3, 0.5, 0.6, 1 - 1169 / 1560])
def test_no_episode_of_the_training_reaches_into_the_part_that_is_held_out(held_out):
    training, last = split(FOUR_DAYS, held_out)
    first = round((1 - held_out) * len(FOUR_DAYS.prices))
    assert training.episode_end[training.starts].max() < first <= last.starts.min()
    assert len(last.starts) == (FOUR_DAYS.starts >= first).sum()
    torn = (FOUR_DAYS.starts < first) & (FOUR_DAYS.episode_end[FOUR_DAYS.starts] >= first)
    assert len(training.starts) + torn.sum() + len(last.starts) == len(FOUR_DAYS.starts)


def test_a_part_that_ends_with_a_day_has_all_episodes_of_its_days():
    training, last = split(FOUR_DAYS, 0.25)
    together = np.r_[training.starts, last.starts]
    np.testing.assert_array_equal(together, FOUR_DAYS.starts)


def test_both_parts_have_all_bars_as_an_episode_looks_back():
    for part in split(FOUR_DAYS, 0.3):
        for name in ("features", "prices", "episode_end"):
            assert getattr(part, name) is getattr(FOUR_DAYS, name)


@pytest.mark.parametrize(
    ("held_out", "words"),
    [(0.005, "no episode fits into the last 0% of the 1560"), (0.95, "into the first 5% of the")],
)
def test_a_part_without_room_for_an_episode_is_named(held_out, words):
    with pytest.raises(WorkloadInputError, match=words):
        split(FOUR_DAYS, held_out)
