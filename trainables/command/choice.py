"""The choice of the way to read a script, by the lines that it prints. Stdlib only, pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainables.command import presets
from trainables.command.readings import Reading, first_to_match
from trainables.workload import WorkloadInputError


class ReadingChoice:
    """Chooses the first reading that matches a line.

    Where any preset may match, a script of one that counts steps by axes that are not there is
    refused at its second line: by then the line of another would have come, if it prints both.
    """

    def __init__(self, readings: Sequence[Reading], config: Mapping[str, Any]) -> None:
        self._readings = readings
        self._config = config
        self._uncounted = presets.uncounted(config) if len(readings) > 1 else []
        self._has_one = False

    def hear(self, line: str) -> Reading | None:
        """Return the reading of a line that any of them matches.

        Raises:
            WorkloadInputError: if the script is known, but not the steps of its update.
        """
        reading = first_to_match(self._readings, [line])
        known = first_to_match(self._uncounted, [line]) if reading is None else None
        if known is not None and self._has_one:
            raise WorkloadInputError(
                f"it prints {line[:80]!r}: {presets.without_axes(known, self._config)}"
            )
        self._has_one = self._has_one or known is not None
        return reading

    def nothing(self, waited_s: float) -> str:
        """Return in words that no line matched."""
        if len(self._readings) == 1:
            return (
                f"no line matched '{self._readings[0].pattern}' in {waited_s:.0f} s (if it takes "
                "longer to start, give --trial-timeout)"
            )
        return (
            f"no preset knows a line of it in {waited_s:.0f} s (say how it tells its speed, by "
            "--count, --line, --rate, --seconds or --scalar; if it takes longer to start, give "
            "--trial-timeout)"
        )
