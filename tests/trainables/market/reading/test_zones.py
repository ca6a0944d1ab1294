"""Local times as UTC."""

import datetime
import zoneinfo

import numpy as np
import pytest

from trainables.market.reading.rows import RowNames
from trainables.market.reading.zones import require_zone, zone_to_utc
from trainables.workload import WorkloadInputError

TIME = RowNames(file="bars.csv").of("time")


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize("step", [np.timedelta64(5, "m"), np.timedelta64(1, "h")])
def test_a_year_of_local_times_comes_back(zone, step):
    utc = np.arange("2024-01-01", "2025-01-01", step, dtype="datetime64[ms]")
    seconds = utc.astype("datetime64[s]").astype(int).tolist()
    info = zoneinfo.ZoneInfo(zone)
    aware = [datetime.datetime.fromtimestamp(second, info) for second in seconds]
    local = [time.replace(tzinfo=None) for time in aware]
    assert (zone_to_utc(np.array(local, "datetime64[ms]"), zone, TIME) == utc).all()


def test_an_offset_is_a_zone():
    local = np.array(["2024-01-02T14:30"], "datetime64[ms]")
    assert str(zone_to_utc(local, "+02:00", TIME)[0])[:16] == "2024-01-02T12:30"


def test_a_time_that_the_clock_skipped_is_named():
    local = np.array(["2024-03-10T01:30", "2024-03-10T02:30"], "datetime64[ms]")
    with pytest.raises(WorkloadInputError, match="row 2: the clocks of America/New_York never"):
        zone_to_utc(local, "America/New_York", TIME)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "x" * 1000])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(WorkloadInputError, match="is not known on this machine; give a name"):
        require_zone(zone)
