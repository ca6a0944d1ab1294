"""Times as text: read as they are meant, or refused."""

import pyarrow as pa
import pytest

from exports import moments
from trainables.market.reading.rows import RowNames
from trainables.market.reading.timetext import parse_times, split_zone
from trainables.workload import WorkloadInputError

TIME = RowNames(file="bars.csv").of("time")


def column(texts) -> pa.ChunkedArray:
    return pa.chunked_array([list(texts)], pa.string())


def read(texts) -> tuple[str, str, bool]:
    found = parse_times(column(texts), TIME)
    return str(found.values[0])[:16], str(found.values[-1])[:16], found.is_utc


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dt%H:%M:%S", "%Y-%m-%d  %H:%M",
        " %Y-%m-%d %H:%M ",
        "%Y-%m-%d %H:%M:%S.123", "%Y-%m-%d %H:%M:%S.123456", "%Y-%m-%d %H:%M:%S.123456789",
        "%Y-%m-%d %H:%M:%S,000", "%Y%m%dT%H%M%S", "%Y%m%d %H%M", "%Y%m%d %H%M%S000",
        "%Y%m%d  %H:%M:%S", "%Y.%m.%d %H:%M", "%Y/%m/%d %H:%M", "%Y/%-m/%-d %-H:%M",
        "%d.%m.%Y %H:%M:%S.000", "%-d.%-m.%Y %H:%M", "%d.%m.%Y, %H:%M", "%d-%b-%Y %H:%M",
        "%d %B %Y %H:%M", "%b %d, %Y %H:%M", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S%p",
    ],
)  # fmt: skip
def test_text_without_a_zone(form):
    texts = [f"{time:{form}}" for time in moments()]
    assert read(texts) == ("2024-01-02T14:30", "2024-01-02T19:29", False)


@pytest.mark.parametrize(
    ("zone", "hour"),
    [
        ("Z", 14), ("z", 14), (" UTC", 14), (" GMT", 14), ("+00:00", 14), (" +0000", 14),
        ("-05:00", 19), ("-0500", 19), ("+01", 13), (" GMT+0100", 13), (" UTC-05:00", 19),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M:%S.000"])
def test_text_with_a_zone(form, zone, hour):
    texts = [f"{time:{form}}{zone}" for time in moments()]
    first, _, is_utc = read(texts)
    assert (first, is_utc) == (f"2024-01-02T{hour}:30", True)


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y", "%m/%d/%Y", "%-d/%-m/%Y", "%-m/%-d/%Y %H:%M", "%d-%m-%Y", "%m-%d-%Y %H:%M"]
)
def test_day_and_month_are_told_apart_where_a_row_tells(form):
    texts = [f"{time:{form}}" for time in moments(86_400, "2022-01-03T00:00:00")]
    assert read(texts) == ("2022-01-03T00:00", "2022-10-29T00:00", False)


def test_american_times_of_several_weeks_are_read():
    texts = [f"{time:%m/%d/%Y %I:%M:%S %p}" for time in moments(3 * 3600, "2024-01-02T12:30:00")]
    assert read(texts) == ("2024-01-02T12:30", "2024-02-08T21:30", False)


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%d-%m-%Y %H:%M", "%-m/%-d/%Y"]
)
def test_two_dates_in_one_text_are_refused(form):
    with pytest.raises(WorkloadInputError, match=r"row 1: .* can be two dates, and no other row"):
        read(f"{time:{form}}" for time in moments(60, "2024-01-02T09:30:00"))


@pytest.mark.parametrize(
    "form", ["%d.%m.%y %H:%M", "%y-%m-%d %H:%M", "%m/%d/%y", "%d/%m/%y %H:%M:%S"]
)
def test_years_of_two_digits_are_refused(form):
    with pytest.raises(WorkloadInputError, match=r"row 1: .* has a year of two digits"):
        read(f"{time:{form}}" for time in moments())


@pytest.mark.parametrize(
    ("form", "last"),
    [
        ("%Y-%m-%d", "2024-02-30"),
        ("%Y.%m.%d", "2024.02.30"),
        ("%Y/%m/%d", "2023/02/29"),
        ("%d.%m.%Y", "31.04.2024"),
        ("%d/%m/%Y", "30/02/2024"),
        ("%Y%m%d %H%M", "20240102 2460"),
        ("%Y-%m-%d %H:%M", "2024-01-02 24:00"),
        ("%Y-%m-%d %H:%M:%S", "2024-01-02 14:30:60"),
    ],
)
def test_a_time_that_is_none_is_named_in_the_last_row_and_in_the_first(form, last):
    texts = [f"{time:{form}}" for time in moments(86_400, "2023-01-01T00:00:00")]
    for row in (300, 1):
        changed = list(texts)
        changed[row - 1] = last
        with pytest.raises(WorkloadInputError, match=f"row {row}: '{last}' is no time of the cal"):
            read(changed)


@pytest.mark.parametrize(
    "odd", ["n.d.", "NaT", "Total", "1704205800", "0", "14:30", "2024-01-02 14:30Z", "02/01/2024"]
)
@pytest.mark.parametrize("row", [1, 200, 300])
def test_the_odd_row_is_named(odd, row):
    texts = [str(time) for time in moments()]
    texts[row - 1] = odd
    named = row if not (row == 1 and odd.endswith("Z")) else 2
    with pytest.raises(WorkloadInputError, match=f"column time, row {named}: "):
        read(texts)


@pytest.mark.parametrize(
    ("text", "hour"),
    [("12:00 AM", 0), ("12:59 AM", 0), ("01-AM", 1), ("12-PM", 12), ("11:30 p.m.", 23)]
)  # fmt: skip
def test_noon_and_midnight(text, hour):
    assert read([f"2024-01-02 {text}"])[0][11:13] == f"{hour:02}"


@pytest.mark.parametrize("text", ["13:00 PM", "00:30 AM"])
def test_hours_that_no_half_day_has_are_refused(text):
    with pytest.raises(WorkloadInputError, match="is no hour of AM or PM"):
        read([f"2024-01-02 {text}"])


def test_a_form_that_begins_late_in_a_file_is_read():
    texts = [f"{time:%Y/%m/%d %-H:%M}" for time in moments(60, "2024-01-02T10:00:00", 1600)]
    assert read(texts)[1] == "2024-01-03T12:39"


@pytest.mark.parametrize(
    ("text", "zone"), [("20240102 14:30:00 US/Eastern", "US/Eastern"), ("20240102 14:30:00", None)]
)
def test_the_name_of_a_zone_is_split_off(text, zone):
    left, found = split_zone(column([text] * 3))
    assert (left[0].as_py(), found) == ("20240102 14:30:00", zone)
