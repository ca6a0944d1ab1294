"""Signs of a neighbour: how often each tells a disturbed block of updates, and how often it lies.

    python -m benchmarks.neighbours [--blocks 40]

Phase 1 trains in this process, in blocks of half a second, beside nobody, one or two busy loops,
bursts, and a program that sweeps memory. The neighbour starts and stops between blocks, so that it
is known which ones it disturbed. After each block all signs are read. The machine has to be quiet.
"""

import argparse
import contextlib
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from benchmarks.markdown import row
from cluster.node.proc import PROC
from trainables.disturbance import neighbours_on
from trainables.jax_phase12.workload import phase1

_CONFIG = {"num_envs": 64, "num_steps": 32, "batch_size": 512, "num_epochs": 4}
_BLOCK_S = 0.5
_BUSY = "while True: pass"
_SWEEPS = "import numpy\na = numpy.zeros(2**26)\nwhile True: a += 1.0"
_KINDS: Mapping[str, tuple[Sequence[str], Callable[[int], bool]]] = {
    "nobody": ((), lambda block: False),
    "one busy loop": ((_BUSY,), lambda block: True),
    "two busy loops": ((_BUSY, _BUSY), lambda block: True),
    "bursts of one, 3 blocks on, 3 off": ((_BUSY,), lambda block: block % 6 < 3),
    "one that sweeps memory": ((_SWEEPS,), lambda block: True),
}
_LEAST = 0.1
"""CPUs, or a share of the time: the product's threshold for the first sign."""
_SLOWER = 0.85
"""The share of the best so far that a canary or the own CPU time falls under."""

_Signs = dict[str, bool]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=40)
    num_blocks = parser.parse_args().blocks
    block = _Blocks()
    names = ("others' CPU time", "run delay", "pressure", "own CPU time", "a canary")
    print(row(("neighbour", "speed", *names)))
    print(row(("---", *["---:"] * (len(names) + 1))), flush=True)
    quiet_speed = None
    for kind, (programs, is_on) in _KINDS.items():
        told: dict[bool, list[_Signs]] = {True: [], False: []}
        speeds = []
        with _neighbours(programs) as switch:
            for number in range(num_blocks):
                switch(is_on(number))
                speed, signs = block.run()
                told[is_on(number)].append(signs)
                if is_on(number) or not programs:
                    speeds.append(speed)
        median = statistics.median(speeds)
        quiet_speed = quiet_speed or median
        cells = [_rates(name, told) for name in names]
        print(row((kind, f"{median / quiet_speed:.2f} x", *cells)), flush=True)


def _rates(name: str, told: Mapping[bool, Sequence[_Signs]]) -> str:
    """Return the share of disturbed blocks that a sign told, and of quiet ones that it told of."""
    cells = []
    for was_on, words in ((True, "seen"), (False, "false")):
        if told[was_on]:
            cells.append(f"{statistics.fmean(s[name] for s in told[was_on]):.0%} {words}")
    return ", ".join(cells)


class _Blocks:
    """Training in this process, and the signs of each block."""

    def __init__(self) -> None:
        self._cpus = sorted(os.sched_getaffinity(0))
        self._loop = phase1(_CONFIG, {})
        self._loop.run(2)
        started = time.perf_counter()
        self._loop.run(4)
        self._num_updates = max(1, round(4 * _BLOCK_S / (time.perf_counter() - started)))
        self._matrix = np.random.default_rng(0).random((256, 256))
        self._canaries: list[float] = []
        self._own: list[float] = []
        self._neighbours = neighbours_on(self._cpus)

    def run(self) -> tuple[float, _Signs]:
        """Train for a block; return its speed in updates per second, and what each sign told."""
        self._neighbours.disturbed()
        started, delay, pressure, own = time.perf_counter(), _delay_s(), _pressure_s(), _own_s()
        self._loop.run(self._num_updates)
        wall_s = time.perf_counter() - started
        others = self._neighbours.disturbed()
        own_share = (_own_s() - own) / wall_s
        canary = self._canary()
        signs = {
            "others' CPU time": others,
            "run delay": (_delay_s() - delay) / wall_s > _LEAST,
            "pressure": (_pressure_s() - pressure) / wall_s > _LEAST,
            "own CPU time": own_share < _SLOWER * max(self._own, default=0.0),
            "a canary": canary < _SLOWER * max(self._canaries, default=0.0),
        }
        self._own.append(own_share)
        self._canaries.append(canary)
        return self._num_updates / wall_s, signs

    def _canary(self) -> float:
        """Return the speed of a fixed piece of work of some 5 ms."""
        started = time.perf_counter()
        for _ in range(10):
            self._matrix @ self._matrix
        return 1.0 / (time.perf_counter() - started)


def _own_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _delay_s() -> float:
    """Return the seconds that this process's threads have waited for a CPU."""
    total = 0
    for task in (PROC / "self" / "task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[1])
    return total / 1e9


def _pressure_s() -> float:
    """Return the seconds in which some process of the machine waited; 0.0 where none are kept."""
    try:
        some = (PROC / "pressure" / "cpu").read_text().splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("=")[2]) / 1e6


@contextlib.contextmanager
def _neighbours(programs: Sequence[str]) -> Iterator[Callable[[bool], None]]:
    """Start programs that are nobody's children here; yield a switch that stops them or not."""
    pids = [_orphan(program) for program in programs]
    try:

        def switch(on: bool) -> None:
            for pid in pids:
                os.kill(pid, signal.SIGCONT if on else signal.SIGSTOP)

        yield switch
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def _orphan(program: str) -> int:
    """Start a program whose parent ends at once, as a stranger's would; return its pid."""
    script = f"{sys.executable} -c '{program}' >/dev/null 2>&1 & echo $!"
    done = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


if __name__ == "__main__":
    main()
