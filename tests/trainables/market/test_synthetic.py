"""Synthetic bars are seeded, valid and in regular hours."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from trainables.market.bars import load_bars
from trainables.market.sessions import (
    find_sessions,
    to_new_york,
)
from trainables.market.synthetic import SESSION_BARS, synthetic_bars


def test_synthetic_bars_are_seeded_and_valid(tmp_path):
    bars = synthetic_bars(seed=1, num_days=2)
    assert bars.sha256() == synthetic_bars(seed=1, num_days=2).sha256()
    assert bars.sha256() != synthetic_bars(seed=2, num_days=2).sha256()
    path = tmp_path / "synthetic.parquet"
    names = ("time", "open", "high", "low", "close", "volume")
    pyarrow.parquet.write_table(pa.table({name: getattr(bars, name) for name in names}), path)
    assert load_bars(path).sha256() == bars.sha256()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()


def test_synthetic_sessions_are_regular_hours_in_summer_and_winter():
    bars = synthetic_bars(seed=0, num_days=250)
    sessions = find_sessions(bars.time)
    assert sessions.regular_hours
    first_bars = to_new_york(bars.time[::SESSION_BARS])
    assert {str(time)[11:16] for time in first_bars} == {"09:30"}
    assert (sessions.episode_end.reshape(250, SESSION_BARS) % SESSION_BARS == 389).all()
