"""The steps of a training, read from the TensorBoard files that it writes.

A file holds records: 8 bytes of length, 4 of its checksum, an event, 4 of that one's. A writer
keeps events back for up to two minutes, but each has the moment it was made at. tensorboardX, which
comes with ray[tune], knows the event's fields.
"""

import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from trainables.pace import Point

EVENTS = "tfevents"
"""A part of the name of each TensorBoard file."""

_HEAD_BYTES = 12
_FOOT_BYTES = 4
_CLOCKS_APART_S = 1.0


class ScalarFiles:
    """The events of one scalar in all TensorBoard files that come into being under a folder.

    A step of the scalar is `steps_each` steps of the training.
    """

    def __init__(self, folder: Path, tag: str, steps_each: float = 1.0) -> None:
        self._folder = folder
        self._tag = tag
        self._steps_each = steps_each
        self._since = time.time() - _CLOCKS_APART_S
        self._read_bytes: dict[Path, int] = {}
        self._first: Point | None = None
        self._last = Point(0.0, -1.0)
        self.other_tags: set[str] = set()
        """The scalars that were found and are not the one."""

    @property
    def late_s(self) -> float:
        """The seconds since the first event was made; it is read later, when it is in the file."""
        return 0.0 if self._first is None else max(0.0, time.time() - self._first.at_s)

    def read(self) -> Iterator[Point]:
        """Yield a point for each new event: seconds and steps since the first one."""
        events = (event for path in self._files() for event in self._events(path))
        for at_s, step in sorted(events):
            self._first = self._first or Point(at_s, step)
            point = Point(at_s - self._first.at_s, step - self._first.steps)
            if point.steps > self._last.steps and point.at_s >= self._last.at_s:
                self._last = point
                yield point

    def _files(self) -> list[Path]:
        """Return the files of this run; older ones may be linked into its folder."""
        found = (Path(at, name) for at, _, names in os.walk(self._folder) for name in names)
        return [
            path
            for path in found
            if EVENTS in path.name and not path.is_symlink() and path.stat().st_mtime >= self._since
        ]

    def _events(self, path: Path) -> Iterator[tuple[float, float]]:
        # Lazy: protobuf takes a tenth of a second, and most commands print their speed.
        from tensorboardX.proto.event_pb2 import Event

        start = self._read_bytes.get(path, 0)
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
        at = 0
        while (body := at + _HEAD_BYTES) <= len(data):
            end = body + struct.unpack_from("<Q", data, at)[0]
            if end + _FOOT_BYTES > len(data):
                break  # the rest is still to be written
            event = Event.FromString(data[body:end])
            tags = {value.tag for value in event.summary.value}
            if self._tag in tags:
                yield event.wall_time, event.step * self._steps_each
            self.other_tags |= tags - {self._tag}
            at = end + _FOOT_BYTES
        self._read_bytes[path] = start + at
