"""The speed of a training, read from the lines that it prints. Stdlib only, pure.

Scripts say their speed in five ways. Each is turned into steps over time: a count of steps so far
(timed by its arrival), a line per update of a known number of steps (timed in the same way), a rate
(weighed by the time since the last), seconds per update (which are then the time), the steps of a
TensorBoard scalar (see scalars.py). A mean since the start, as many print it, is none of these: it
has the start in it, and hides what is now.
"""

import dataclasses
import enum
import itertools
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.errors import UserError
from search_spaces.config import DEVICES, num_devices
from search_spaces.expression import parse_expression
from trainables.pace import Point

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor moves
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # window titles
    r"|\x1b[@-Z\\-_]"
)
_NUMBER = re.compile(
    r"(?P<number>[-+]?(?:\d[\d,_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s?(?P<unit>[kKMBG](?![A-Za-z]))?"
)
_CALL = re.compile(r"[A-Za-z_][\w.]*\(")  # the digits in np.float64( are no number
_NOTHING = re.compile(r"(?!)")
"""The pattern of a scalar, which no line has."""

_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}


class ReadingKind(enum.StrEnum):
    """The ways in which a script says how far it is, or how fast."""

    RATE = "rate"
    COUNT = "count"
    LINE = "line"
    SECONDS = "seconds"
    SCALAR = "scalar"


class ReadingError(UserError):
    """A pattern or an expression that cannot be used."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLines:
    """A way to read the return: the first group of `pattern` has the mean of some episodes.

    With `per_episode` each line has the return of one episode, but for one in which the pattern's
    group `mean` matches; see returns.py.
    """

    pattern: str
    per_episode: bool = False

    def compiled(self) -> re.Pattern[str]:
        """Return the pattern, ready for use.

        Raises:
            ReadingError: if it is no regular expression, or lacks the group.
        """
        return _with_group("--return", self.pattern, "return: ")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A way to read one script's lines.

    `pattern` is a regular expression; its first group has the number, where the kind has one. Of a
    scalar it is the tag.
    `steps` is an expression over the axes: the steps of one line, update or count, and of a rate
    per GPU the number of GPUs. `unit` is what is counted. `preset` names the row of the table that
    it came from, if any. `by_clock`: its lines come every few seconds, or within updates, and not
    when one ends. `returns` are there where learning is judged.
    """

    kind: ReadingKind
    pattern: str
    steps: str | None = None
    unit: str = "env step"
    preset: str | None = None
    by_clock: bool = False
    returns: ReturnLines | None = None

    @property
    def units(self) -> str:
        """The plural of the unit: env steps, tokens per GPU."""
        head, per, rest = self.unit.partition(" per ")
        return f"{head}s{per}{rest}"

    def compiled(self) -> re.Pattern[str]:
        """Return the pattern, ready for use.

        Raises:
            ReadingError: if it is no regular expression, or lacks the group.
        """
        if self.kind is ReadingKind.SCALAR:
            return _NOTHING
        if self.kind is ReadingKind.LINE:
            return _compiled("--line", self.pattern)
        return _with_group(f"--{self.kind}", self.pattern, "fps: ")

    def steps_for(self, config: Mapping[str, Any]) -> float:
        """Return the steps of one line, update or count, or what a rate is to be multiplied by.

        Raises:
            ReadingError: if the kind needs them and they are not given, or not positive.
        """
        if self.steps is None and self.kind not in (ReadingKind.LINE, ReadingKind.SECONDS):
            return 1.0
        if self.steps is None:
            raise ReadingError(
                f"--{self.kind} needs --steps, the steps of one update: "
                "--steps 'num_envs * num_steps'."
            )
        steps = parse_expression(self.steps)
        has_devices = DEVICES in steps.names
        value = steps.value({**config, DEVICES: num_devices(config)} if has_devices else config)
        if isinstance(value, str) or not 0 < value <= sys.float_info.max:
            raise ReadingError(f"--steps {self.steps!r} must be positive, got {value!r}.")
        return float(value)


def _compiled(option: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ReadingError(f"{option} {text!r} is no regular expression: {error}.") from error


def _with_group(option: str, text: str, example: str) -> re.Pattern[str]:
    pattern = _compiled(option, text)
    if not pattern.groups:
        raise ReadingError(
            f"{option} {text!r} needs a group around the number, as in '{example}(\\S+)'."
        )
    return pattern


class Meter:
    """Turns matching lines into points: the steps of a training over time."""

    def __init__(self, reading: Reading, config: Mapping[str, Any]) -> None:
        self.reading = reading
        self._pattern = reading.compiled()
        self._steps = reading.steps_for(config)
        self._point = Point(0.0, 0.0)
        self._arrived_s: float | None = None
        self._number: float | None = None

    @property
    def number(self) -> float:
        """The number in the latest line that had one."""
        return self._number or 0.0

    def hear(self, line: str, arrived_s: float) -> Point | None:
        """Return the point that a line makes, `None` for a line that says nothing new."""
        match = self._pattern.search(line)
        if match is None:
            return None
        number = parse_figure(match[1] or "") if self._pattern.groups else None
        if number is None and self.reading.kind is not ReadingKind.LINE:
            return None  # nan, mostly: nothing was measured yet
        before_s, before = self._arrived_s, self._number
        if self.reading.kind is ReadingKind.COUNT and number == before:
            return None  # a progress bar that was drawn again
        self._arrived_s, self._number = arrived_s, number
        if before_s is None:
            return Point(0.0, 0.0)
        seconds, steps = arrived_s - before_s, self._steps
        match self.reading.kind:
            case ReadingKind.RATE:
                steps *= seconds * (number or 0.0)
            case ReadingKind.SECONDS:
                seconds = number or 0.0
            case ReadingKind.COUNT:
                steps *= (number or 0.0) - (before or 0.0)
        if steps < 0.0:
            return None  # another run's count begins
        self._point = Point(self._point.at_s + seconds, self._point.steps + steps)
        return self._point


class MeanSinceStart:
    """A suspicion that a printed rate is a mean since the start: it hides the speed of now.

    Such a mean creeps upwards while its lines come equally fast; a true rate of that many updates
    would bring its lines closer together.
    """

    _LEAST_LINES = 8
    _LEAST_RISE = 1.05

    def __init__(self) -> None:
        self._rates: list[float] = []
        self._seconds: list[float] = []
        self._arrived_s: float | None = None

    def hear(self, rate: float, arrived_s: float) -> str | None:
        """Take in a rate and its moment; return the finding in words, once there is one."""
        if self._arrived_s is not None:
            self._rates.append(rate)
            self._seconds.append(arrived_s - self._arrived_s)
        self._arrived_s = arrived_s
        rates = self._rates[1:]  # the first interval may have compiling in it
        if len(rates) < self._LEAST_LINES or any(b <= a for a, b in itertools.pairwise(rates)):
            return None
        half = len(rates) // 2
        rise = rates[-1] / rates[0] if rates[0] > 0 else math.inf
        faster = sum(self._seconds[1 : 1 + half]) / max(sum(self._seconds[-half:]), 1e-9)
        if rise < self._LEAST_RISE or faster > math.sqrt(rise):
            return None
        return (
            f"the rate that it prints only rises, from {rates[0]:,.0f} to {rates[-1]:,.0f}, while "
            "its lines come equally fast: that is a mean since the start, and not the speed. Time "
            "its lines by --line and --steps, or a count of steps by --count."
        )


def clean(text: str) -> str:
    """Return a line without colours, cursor moves and what surrounds it."""
    return _ESCAPES.sub("", text).strip()


class Lines:
    """Splits what a program writes into lines, at newlines and at carriage returns."""

    _LONGEST = 64 * 1024

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` ends, cleaned, without empty ones."""
        *ended, self._rest = re.split(rb"[\r\n]+", self._rest + data)
        self._rest = self._rest[-self._LONGEST :]
        lines = (clean(line.decode(errors="replace")) for line in ended)
        return [line for line in lines if line]

    def rest(self) -> str:
        """Return what was written after the last end of a line."""
        return clean(self._rest.decode(errors="replace"))


def parse_figure(text: str) -> float | None:
    """Return the number in `1,234.5`, `12.3K`, `1.2M` or `np.float64(12.0)`; `None` for nan."""
    match = _NUMBER.search(_CALL.sub("", text))
    if match is None:
        return None
    number = float(match["number"].replace(",", "").replace("_", ""))
    return number * _UNITS[match["unit"].lower()] if match["unit"] else number


def first_to_match(readings: Sequence[Reading], lines: Sequence[str]) -> Reading | None:
    """Return the first reading, in their order, of the first line that any of them matches."""
    patterns = [(reading, reading.compiled()) for reading in readings]
    found = (r for line in lines for r, pattern in patterns if pattern.search(line))
    return next(found, None)
