"""A person's command as a workload: filled in for one configuration, run, and timed by its lines.

command(config, options).measure_trial(request, send)
"""

import collections
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.structure import revive
from search_spaces.config import Config
from trainables.classify import SIGNATURES, describe_exit
from trainables.command.choice import ReadingChoice
from trainables.command.folder import (
    make_standing_place,
    own_variables,
    program_for,
    reachable,
)
from trainables.command.options import CommandOptions, filled_in
from trainables.command.readings import (
    MeanSinceStart,
    Meter,
    Reading,
    ReadingKind,
)
from trainables.command.returns import ReturnReader
from trainables.command.running import CommandEnded, RunningCommand, end_as
from trainables.command.scalars import ScalarFiles
from trainables.measurement import (
    OutcomeKind,
    Phase,
    Progress,
    Report,
    TrialRequest,
)
from trainables.paced_trial import PacedTrial
from trainables.serving import Send
from trainables.workload import WorkloadInputError

_LIVES_ON_S = 5.0
"""Seconds after which a command that printed an out-of-memory error and trains no more is ended."""

_NUM_QUOTED_LINES = 3
_LOOK_S = 0.5


def command(config: Mapping[str, Any], options: Mapping[str, Any]) -> "CommandLoop":
    """Build the loop of one configuration; `options` are of `CommandOptions`."""
    return CommandLoop(dict(config), revive(CommandOptions, dict(options)))


class CommandLoop:
    """A command for one configuration. It measures itself, because it sets the pace."""

    env_steps_per_update = 1
    """Not known before it runs: the measurement has it."""

    def __init__(self, config: Config, options: CommandOptions) -> None:
        self._config = config
        self._options = options

    def run(self, num_updates: int) -> None:
        """Refuse: a command cannot be told to run for so many updates."""
        raise WorkloadInputError("a command is timed by its own lines, and not by updates.")

    def measure_trial(self, request: TrialRequest, send: Send) -> Report:
        """Run the command until its speed or its learning is known, end it, and report.

        If the command dies of something, this process ends in the same way, so that the cause is
        found in the log as of every other trial.
        """
        assert self._options.folder is not None
        folder = Path(self._options.folder)
        make_standing_place(folder, Path.cwd())
        trial = _Trial(self._config, self._options, folder, request, send)
        # The request's has the axes that are variables, too: a command may name them in braces.
        filled, variables = filled_in(request.config, self._options, folder, os.environ)
        arguments = [reachable(word, Path.cwd()) for word in filled]
        arguments[0] = program_for(arguments[0], Path.cwd(), folder)
        variables = {name: reachable(word, Path.cwd()) for name, word in variables.items()}
        environment = {**own_variables(Path.cwd()), **os.environ, **variables}
        with RunningCommand(arguments, folder, environment) as running:
            ended = trial.follow(running)
        if isinstance(ended, Report):
            return ended
        end_as(ended)
        raise AssertionError("an ended process goes on.")


class _Trial:
    """A trial of a command, from its lines to its report."""

    def __init__(
        self,
        config: Config,
        options: CommandOptions,
        folder: Path,
        request: TrialRequest,
        send: Send,
    ) -> None:
        self._config = config
        self._options = options
        self._request = request
        self._send = send
        self._paced = PacedTrial(request, send)
        self._paced.counted = "reading"
        self._paced.without_return = self._without_return
        self._choice = ReadingChoice(options.readings, config)
        self._meter: Meter | None = None
        self._last = collections.deque[str](maxlen=_NUM_QUOTED_LINES)
        self._memory_error: tuple[float, str] | None = None
        self._memory_patterns = [
            *(s.pattern for s in SIGNATURES if s.kind is OutcomeKind.DEVICE_MEMORY),
            *([] if options.oom is None else [re.compile(options.oom)]),
        ]
        self._started = self._looked_at = time.monotonic()
        self._mean = MeanSinceStart()
        self._returns: ReturnReader | None = None
        first = options.readings[0]
        if len(options.readings) == 1:
            self._returns = self._returns_of(first)
        self._scalars: ScalarFiles | None = None
        if first.kind is ReadingKind.SCALAR:
            self._scalars = ScalarFiles(folder, first.pattern, first.steps_for(config))
            self._paced.unit = first.units

    def follow(self, running: RunningCommand) -> Report | int:
        """Read lines until enough is known; return the report, or the status of a death."""
        self._send(Progress(phase=Phase.BUILD))
        try:
            for line, now in running.lines():
                report = self._lives_on(now) or self._is_silent(now)
                if line is not None and report is None:
                    report = self._hear(line, now)
                if report is None and now - self._looked_at >= _LOOK_S:
                    report = self._look(now)
                if report is None and line is None:  # the lines that came together are all heard
                    report = self._paced.look(now)
                if report is not None:
                    return report
        except CommandEnded as end:
            if end.status != 0:
                return self._own_words(end.status) or end.status
            if report := self._look(time.monotonic()):
                return report
        report = self._paced.conclude()
        if report is None or not self._is_whole(report):
            report = self._out_of_memory(describe_exit(0)) or report
        return report or self._too_short()

    def _is_whole(self, report: Report) -> bool:
        """Return whether a command that ended by itself did all that was asked for.

        Of a soak and of a training from scratch that is more than to tell the speed.
        """
        if report.measurement is None or self._request.training is not None:
            return False
        return report.measurement.num_updates >= (self._request.num_updates or 0)

    def _hear(self, line: str, now: float) -> Report | None:
        """Take in a line; return the report if that is enough."""
        self._last.append(line)
        if self._memory_error is None and (words := self._memory_words(line)):
            self._memory_error = (now, words)
        self._hear_return(line, now)
        if self._meter is None:
            reading = self._choice.hear(line)
            if reading is None:
                return None
            self._meter = Meter(reading, self._config)
            self._paced.by_clock, self._paced.unit = reading.by_clock, reading.units
            if self._returns is None:
                self._returns = self._returns_of(reading)
                self._hear_return(line, now)
        point = self._meter.hear(line, now)
        if point is None:
            return None
        self._memory_error = None  # it trains on: it went on with less, say
        if self._is_a_person_s_rate and (found := self._mean.hear(self._meter.number, now)):
            raise WorkloadInputError(f"--rate: {found}")
        return self._paced.take(point, now)

    def _returns_of(self, reading: Reading) -> ReturnReader | None:
        """Return the reader of the returns.

        Raises:
            WorkloadInputError: if learning is to be judged, and no pattern of a return is known.
        """
        if reading.returns is not None:
            return ReturnReader(reading.returns)
        if self._request.needs_return or self._request.training is not None:
            name = "" if reading.preset is None else f" of the preset {reading.preset}"
            raise WorkloadInputError(
                f"--objective learning needs the return, and no line{name} is known to have it: "
                "give --return, a regular expression whose group is the mean return."
            )
        return None

    def _hear_return(self, line: str, now: float) -> None:
        mean = None if self._returns is None else self._returns.hear(line)
        if mean is not None:
            self._paced.tell(mean.value, now, of_few=mean.of_few)

    def _without_return(self) -> str:
        """Return the advice on a training of which no line had a return."""
        reading = self._options.readings[0] if self._meter is None else self._meter.reading
        pattern = "" if reading.returns is None else reading.returns.pattern
        return (
            f"no line matched {pattern!r}. Give --return, a regular expression whose group is the "
            f"mean return, or, if no episode has ended yet, --learn-time more; {self._said()}"
        )

    @property
    def _is_a_person_s_rate(self) -> bool:
        reading = self._options.readings[0]
        return reading.kind is ReadingKind.RATE and reading.preset is None

    def _look(self, now: float) -> Report | None:
        """Look for new events of the scalar; return the report if they are enough."""
        self._looked_at = now
        if self._scalars is None:
            return None
        for point in self._scalars.read():
            if not self._paced.has_begun:
                self._paced.late_s = self._scalars.late_s
            made = now - self._scalars.late_s + point.at_s  # and only now in the file
            if self._memory_error is not None and made > self._memory_error[0]:
                self._memory_error = None
            if report := self._paced.take(point, now):
                return report
        return None

    def _too_short(self) -> Report:
        """Return the report on a command that came to its own end too early, without an error."""
        if not self._paced.has_begun:
            return Report(
                kind=OutcomeKind.INVALID,
                message="the command ended by itself and did not say its speed (was its total less "
                f"than one update?): {self._said()}",
            )
        return Report(
            kind=OutcomeKind.INVALID,
            message=f"the command ended by itself after {self._paced.num_points} readings, too few "
            "to time: give it a larger total, it is ended as soon as enough was seen.",
        )

    def _is_silent(self, now: float) -> Report | None:
        """Return the report on a command that has not said its speed for too long."""
        waited_s = now - self._started
        if self._paced.has_begun or waited_s < self._options.patience_s:
            return None
        if self._scalars is not None:
            known = ", ".join(sorted(self._scalars.other_tags)[:8])
            others = f"it wrote {known}" if known else "it wrote no scalar at all"
            return Report(
                kind=OutcomeKind.TIMEOUT,
                message=f"no scalar {self._options.readings[0].pattern!r} came into a TensorBoard "
                f"file in its folder in {waited_s:.0f} s; {others}.",
            )
        return Report(
            kind=OutcomeKind.TIMEOUT, message=f"{self._choice.nothing(waited_s)}: {self._said()}"
        )

    def _lives_on(self, now: float) -> Report | None:
        """Return the report on a command that ran out of memory, said so, and goes on."""
        if self._memory_error is None or now - self._memory_error[0] < _LIVES_ON_S:
            return None
        return self._out_of_memory("went on, so it was ended")

    def _own_words(self, status: int) -> Report | None:
        """Return the report on a command that died after words of its own for used up memory."""
        return None if self._options.oom is None else self._out_of_memory(describe_exit(status))

    def _out_of_memory(self, then: str) -> Report | None:
        """Return the report on a command that ran out of memory and trained no more."""
        if self._memory_error is None:
            return None
        return Report(
            kind=OutcomeKind.DEVICE_MEMORY,
            message=f"the command printed {self._memory_error[1]!r} and {then}. "
            "Use a smaller configuration.",
        )

    def _memory_words(self, line: str) -> str | None:
        """Return the words of a line that says that the device's memory is used up."""
        found = (pattern.search(line) for pattern in self._memory_patterns)
        return next((match[0][:160] for match in found if match), None)

    def _said(self) -> str:
        lines = " / ".join(line[:160] for line in self._last)
        return f"its last lines are: {lines}" if lines else "it printed nothing."
