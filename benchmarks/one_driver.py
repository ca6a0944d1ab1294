"""The one driver of a simulated search: its thread, and its screen on the simulation's clock."""

import time
from collections.abc import Callable
from typing import TextIO, TypeVar

from rich.console import Console

from tune.screen import trials_table
from tune.screen.screen import Screen
from tune.screen.tally import Tally
from tune.search.policy import Search

_Done = TypeVar("_Done")

_WIDTH, _HEIGHT = 120, 40


class Driver:
    """The driver's one thread: what it does takes real seconds of the simulated clock."""

    def __init__(self, *, only_cpu: bool) -> None:
        self._clock = time.process_time if only_cpu else time.perf_counter
        self.now = 0.0
        self.busy_s = 0.0
        self.cpu_s = 0.0

    def __call__(self) -> float:
        """Return the simulated seconds."""
        return self.now

    def do(self, work: Callable[[], _Done]) -> _Done:
        """Do some work, and let as much time pass."""
        started, cpu_started = self._clock(), time.process_time()
        done = work()
        took_s = self._clock() - started
        self.now += took_s
        self.busy_s += took_s
        self.cpu_s += time.process_time() - cpu_started
        return done


class ShownSearch:
    """The screen of a search, written to a file."""

    def __init__(self, search: Search, clock: Callable[[], float], file: TextIO) -> None:
        self.screen = Screen(stdout=file, clock=clock)  # lines, as on no terminal
        self._search = search
        self._clock = clock
        self._console = Console(file=file, force_terminal=True, width=_WIDTH, height=_HEIGHT)
        self._tally = Tally()
        self._due = 0.0

    def draw(self) -> None:
        """Draw the live table, if a second has passed."""
        if self._clock() >= self._due:
            self._due = self._clock() + 1.0
            most_rows = trials_table.live_rows(_HEIGHT)
            self._console.print(
                trials_table.render(
                    self._search.trials, {}, width=_WIDTH, most_rows=most_rows, tally=self._tally
                )
            )
