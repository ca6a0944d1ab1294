"""Figures read as people write them."""

import pytest

from cluster.pages import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0213, "0.0213"),
        (0.15, "0.150"),
        (7.4, "7.40"),
        (99.94, "99.9"),
        (99.96, "100"),
        (947.0, "947"),
        (999.4, "999"),
        (999.7, "1.00 K"),
        (1234.0, "1.23 K"),
        (48_213.0, "48.2 K"),
        (168_000.0, "168 K"),
        (999_400.0, "999 K"),
        (999_700.0, "1.00 M"),
        (1_234_567.0, "1.23 M"),
        (12_345_678.0, "12.3 M"),
    ],
)
def test_speeds_have_three_digits_and_a_unit(value: float, text: str) -> None:
    assert units.speed(value) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (50_000.0, 49_350.0, 50_650.0, "50.0 K ±1.3 %"),
        (50_000.0, 45_000.0, 50_500.0, "50.0 K ±10.0 %"),
        (50_000.0, 50_000.0, 50_000.0, "50.0 K"),
    ],
)
def test_an_interval_is_said_by_its_wider_side(
    value: float, low: float, high: float, text: str
) -> None:
    assert units.speed_interval(value, low, high) == text


@pytest.mark.parametrize(
    ("number_bytes", "text"),
    [
        (None, "-"),
        (300_000, "0.3 MiB"),
        (150_000_000, "143 MiB"),
        (1023 * 2**20, "1023 MiB"),
        (2**30 - 1, "1.00 GiB"),
        (int(21.3 * 2**30), "21.3 GiB"),
    ],
)
def test_sizes_are_binary(number_bytes: int | None, text: str) -> None:
    assert units.size(number_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185.0, "3 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_in_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0371, "0.0371 s"), (1.384, "1.38 s"), (4.0, "4 s"), (9.996, "10 s"), (125.0, "2 min 05 s")],
)
def test_a_few_seconds_are_said_finely(seconds: float, text: str) -> None:
    assert units.fine_duration(seconds) == text


@pytest.mark.parametrize(
    ("cpus", "text"), [((0, 1, 2, 3), "0-3"), ((8, 0, 1), "0-1,8"), ((5,), "5")]
)
def test_cpus_read_as_taskset_takes_them(cpus: tuple[int, ...], text: str) -> None:
    assert units.cpu_ranges(cpus) == text


@pytest.mark.parametrize(("ratio", "text"), [(1.2371, "1.24 x"), (12.371, "12.4 x")])
def test_factors_have_three_digits(ratio: float, text: str) -> None:
    assert units.times(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "bounds", "text"),
    [
        (1.0031, (1.0,), "1.003 x"),
        (0.9996, (1.0,), "0.9996 x"),
        (0.99, (1.0,), "0.99 x"),
        (1.0, (1.0,), "1.00 x"),
        (1.0096, (1.0, 1.01), "1.0096 x"),
        (0.8951, (0.9,), "0.895 x"),
    ],
)
def test_a_factor_does_not_read_as_a_bound_that_it_is_apart_from(
    ratio: float, bounds: tuple[float, ...], text: str
) -> None:
    assert units.times(ratio, *bounds) == text


def test_of_an_interval_of_factors_one_sees_whether_it_includes_1() -> None:
    assert units.times_interval(1.0031, 1.0171) == "1.003 x to 1.02 x"
    assert units.times_interval(0.9971, 1.0171) == "0.997 x to 1.02 x"


@pytest.mark.parametrize(
    ("value", "text"),
    [(947, "947"), (50_123, "50.1 K"), (999_950, "1.00 M"), (1.234e6, "1.23 M"), (0, "0")],
)
def test_speed_reads_in_three_digits(value: float, text: str) -> None:
    assert units.speed(value) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0.00"), (0.001, "< $0.01"), (0.69, "$0.69"), (12, "$12.00")]
)
def test_little_money_is_not_nothing(amount: float, text: str) -> None:
    assert units.dollars(amount) == text


@pytest.mark.parametrize(
    ("number", "planned", "said"),
    [
        (9, 200, "9 of 200 updates"),
        (200, 200, "200 of 200 updates"),
        (1, 1, "1 of 1 update"),
        (1_608, 5, "1,608 updates"),  # short ones go on for a while
    ],
)
def test_what_was_done_is_told_of_what_was_planned(number: int, planned: int, said: str) -> None:
    assert units.of_planned(number, planned, "update") == said
