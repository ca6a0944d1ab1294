"""Lines of training scripts, and the points that they make."""

import pytest

from cluster.errors import UserError
from trainables.command.readings import (
    Lines,
    MeanSinceStart,
    Meter,
    Reading,
    ReadingKind,
    clean,
    first_to_match,
    parse_figure,
)
from trainables.pace import Point

CONFIG = {"num_envs": 4, "num_steps": 8}


def points(reading: Reading, *lines: tuple[float, str]) -> list[Point]:
    meter = Meter(reading, CONFIG)
    heard = [meter.hear(text, at_s) for at_s, text in lines]
    return [point for point in heard if point is not None]


def test_a_count_is_timed_by_its_arrival() -> None:
    reading = Reading(kind=ReadingKind.COUNT, pattern=r"frames: (\S+)")
    lines = [(5.0, "frames: 1,000"), (5.5, "loss: 3"), (7.0, "frames: 2.5K"), (7.1, "frames: nan")]
    assert points(reading, *lines) == [Point(0.0, 0.0), Point(2.0, 1500.0)]


def test_a_count_that_comes_twice_is_one_and_one_that_falls_begins_anew() -> None:
    reading = Reading(kind=ReadingKind.COUNT, pattern=r"(\d+)/", steps="num_envs")
    texts = ["10/", "10/", "20/", "0/", "5/"]
    found = points(reading, *[(float(at), text) for at, text in enumerate(texts)])
    assert found == [Point(0.0, 0.0), Point(2.0, 40.0), Point(3.0, 60.0)]


def test_a_line_is_an_update_of_known_steps() -> None:
    reading = Reading(kind=ReadingKind.LINE, pattern="^SPS:", steps="num_envs * num_steps")
    lines = [(1.0, "SPS: 9"), (2.0, "SPS: 9"), (2.5, "other SPS: 1"), (4.0, "SPS: 8")]
    assert points(reading, *lines) == [Point(0.0, 0.0), Point(1.0, 32.0), Point(3.0, 64.0)]


def test_a_rate_weighs_by_the_time_since_the_last() -> None:
    reading = Reading(kind=ReadingKind.RATE, pattern=r"fps (\S+)")
    lines = [(1.0, "fps 10"), (3.0, "fps 100"), (4.0, "fps 50")]
    assert points(reading, *lines) == [Point(0.0, 0.0), Point(2.0, 200.0), Point(3.0, 250.0)]


def test_seconds_of_an_update_are_the_time_whenever_they_are_printed() -> None:
    reading = Reading(kind=ReadingKind.SECONDS, pattern=r"took (\S+) s", steps="32")
    lines = [(1.0, "took 9.0 s"), (100.0, "took 2.0 s"), (100.1, "took 2.5 s")]
    assert points(reading, *lines) == [Point(0.0, 0.0), Point(2.0, 32.0), Point(4.5, 64.0)]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234", 1234.0),
        ("1,234,567", 1234567.0),
        ("12.5K", 12500.0),
        ("1.2M", 1.2e6),
        ("3 B", 3e9),
        ("1.5e+05", 1.5e5),
        ("np.float64(12.25)", 12.25),
        ("12.0 (avg)", 12.0),
        ("-3", -3.0),
        ("7 MB", 7.0),
        ("nan", None),
        ("", None),
    ],
)
def test_numbers_are_read_as_people_print_them(text: str, number: float | None) -> None:
    assert parse_figure(text) == number


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[37m\x1b[1mFps is 3\x1b[0m", "Fps is 3"),
        ("\x1b]0;title\x07SPS: 3 ", "SPS: 3"),
        ("\x1b[2K\x1b[1A| fps |", "| fps |"),
    ],
)
def test_colours_and_cursor_moves_are_no_text(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_lines_end_at_newlines_and_at_carriage_returns_and_may_come_in_parts() -> None:
    lines = Lines()
    assert lines.feed(b"one\r\n\x1b[1mtw") == ["one"]
    assert lines.feed(b"o\x1b[0m\rthree\rfo") == ["two", "three"]
    assert lines.feed("ür ".encode()) == []
    assert lines.rest() == "four".replace("ur", "ür")


def test_a_line_without_an_end_is_bounded() -> None:
    lines = Lines()
    for _ in range(40):
        lines.feed(b"x" * 4096)
    assert len(lines.rest()) <= 64 * 1024


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(kind=ReadingKind.RATE, pattern="fps ("), "is no regular expression: "),
        (Reading(kind=ReadingKind.COUNT, pattern="fps"), "needs a group around the number"),
        (Reading(kind=ReadingKind.LINE, pattern="fps"), "--line needs --steps"),
        (Reading(kind=ReadingKind.SECONDS, pattern="(.)", steps="0"), "must be positive, got 0"),
        (
            Reading(kind=ReadingKind.LINE, pattern=".", steps="(10**64)**64"),
            "must be positive, got",
        ),
        (Reading(kind=ReadingKind.LINE, pattern="fps", steps="n_envs"), "names n_envs; the axes"),
    ],
)
def test_a_reading_that_cannot_be_used_says_what_is_missing(reading: Reading, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Meter(reading, CONFIG)


def test_the_first_line_decides_and_of_its_readings_the_first() -> None:
    often = Reading(kind=ReadingKind.COUNT, pattern=r"b (\d+)")
    once = Reading(kind=ReadingKind.COUNT, pattern=r"a (\d+)")
    assert first_to_match([once, often], ["x", "b 1", "a 1"]) == often
    assert first_to_match([once, often], ["b 1, a 1", "b 1"]) == once
    assert first_to_match([once, often], ["c"]) is None


LINES = 40


def rates(*pairs: tuple[float, float]) -> str | None:
    """Return the finding of pairs of a rate and the seconds since the line before."""
    suspicion, now, found = MeanSinceStart(), 0.0, None
    for rate, seconds in pairs:
        now += seconds
        found = found or suspicion.hear(rate, now)
    return found


@pytest.mark.parametrize("start_s", [5.0, 30.0])
def test_a_mean_since_the_start_is_recognised(start_s: float) -> None:
    mean = [(100 * n / (start_s + n), 1.0) for n in range(1, LINES)]
    found = rates(*mean)
    assert found is not None
    assert "Time its lines by --line and --steps" in found


@pytest.mark.parametrize(
    "pairs",
    [
        [(100.0 + (n % 3), 1.0) for n in range(LINES)],  # steady, with noise
        [(100.0 * 1.02**n, 1.02**-n) for n in range(LINES)],  # faster, and its lines too
        [(100.0 + 1e-3 * n, 1.0) for n in range(LINES)],  # next to nothing
        [(min(100.0, 30.0 * (n + 1)), 1.0) for n in range(LINES)],  # warm after four lines
    ],
)
def test_a_true_rate_is_not_suspected(pairs: list[tuple[float, float]]) -> None:
    assert rates(*pairs) is None
