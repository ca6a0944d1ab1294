"""The bench: what every part of a card's measurement is given, and how its children are run."""

import concurrent.futures
import contextlib
import dataclasses
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import recording
from benchmarks.gpu.recording import CardRecord, Row
from cluster.node import limits, ray_env, thread_env
from cluster.node.thread_env import Framework, Platform
from search_spaces.config import Config
from trainables import compile_cache
from trainables.measurement import CompileRequest, Outcome, OutcomeKind, TrialRequest
from trainables.process import run_child
from trainables.sampling import Sampling

BRIEF = Sampling(block_s=0.2, relative_half_width=1.0, min_blocks=2, max_measure_s=2.0)
"""For trials whose speed is of no interest."""

_CHILD_TIMEOUT_S = 240.0
_LOG_BYTES = 3000


class OutOfTime(Exception):  # noqa: N818  # an end, and no error
    """The time that was given is used up; what is missing is left to the next run."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Bench:
    """One session with a card.

    `deadline` is on the monotonic clock. `num_side_by_side` children may share the card where
    nothing is timed. In a rehearsal all sizes are small and the card is a CPU.
    """

    record: CardRecord
    out: Path
    deadline: float
    platform: Platform
    thread_cap: int
    folder: Path
    say: Callable[[str], None]
    num_side_by_side: int = 4
    _turn: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @property
    def rehearses(self) -> bool:
        """The record's word on that."""
        return self.record.rehearsed

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.deadline - time.monotonic()

    def require_time(self, needed_s: float) -> None:
        """Require so many seconds.

        Raises:
            OutOfTime: if less is left.
        """
        if self.left_s < needed_s:
            raise OutOfTime(f"{self.left_s:.0f} s are left, {needed_s:.0f} s are needed.")

    def has(self, part: str, key: str) -> bool:
        """Return whether that row was measured; what a lost child left is measured again."""
        row = self.record.part(part).rows.get(key)
        return row is not None and recording.is_measured(row)

    def add(self, part: str, key: str, row: Row) -> None:
        """Keep a row, on the disk, too; jobs side by side do so in turns."""
        with self._turn:
            self.record.part(part).rows[key] = recording.without_folders(row)
            recording.write(self.out, self.record)
        self.say(f"  {key}")

    def cannot(self, part: str, sentence: str) -> None:
        """Keep what a part cannot do on this machine."""
        problems = self.record.part(part).problems
        if sentence not in problems:
            problems.append(sentence)
        recording.write(self.out, self.record)
        self.say(f"  {sentence}")

    def environment(
        self,
        *,
        cap: int | None = None,
        share: float | None = None,
        framework: Framework = "jax",
        cached: bool = False,
        programs: str | None = None,
    ) -> dict[str, str]:
        """Return a child's environment: a trial's own, and what the arguments change.

        `share` is the share of the card's memory that the child may take. With `cached`, and in a
        rehearsal, programs are kept on the disk and read from there; in a folder of that name and
        in no other if `programs` is one.
        """
        base = ray_env.for_child(os.environ)
        allowed = limits.cpus().allowed
        caps = thread_env.build(cap or self.thread_cap, self.platform, allowed, base, framework)
        environment = {**base, **caps.variables}
        if share is not None:
            environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{share:.3f}"
        if programs is not None:
            environment |= compile_cache.variables(self.folder / programs, {})
        elif cached or self.rehearses:
            environment |= compile_cache.variables(self.folder / "compiled", base)
        return environment

    def cpus(self, slot: int = 0, cap: int | None = None) -> tuple[int, ...]:
        """Return the CPUs of a child; `slot` numbers children side by side."""
        cap = cap or self.thread_cap
        allowed = limits.cpus().allowed
        first = slot * cap % max(1, len(allowed) - cap + 1)
        return allowed[first : first + cap]

    def run(
        self,
        request: TrialRequest | CompileRequest,
        *,
        environment: Mapping[str, str],
        name: str,
        timeout_s: float = _CHILD_TIMEOUT_S,
    ) -> tuple[Outcome, str]:
        """Run one child; return its outcome and the end of its log.

        Raises:
            OutOfTime: if the end of all time ended it, which says nothing about it.
        """
        log = self.folder / f"{name}.log"
        left_s = self.left_s
        *_, outcome = run_child(
            request,
            environment=environment,
            log_path=log,
            thread_cap=len(request.cpus),
            timeout_s=max(1.0, min(timeout_s, left_s)),
        )
        assert isinstance(outcome, Outcome)
        if outcome.kind is OutcomeKind.TIMEOUT and left_s < timeout_s:
            raise OutOfTime(f"the last {left_s:.0f} s were too few for {name}.")
        text = log.read_text(errors="replace") if log.exists() else ""
        return outcome, text[-_LOG_BYTES:]

    def side_by_side(self, jobs: Sequence[Callable[[int], None]]) -> None:
        """Run jobs at once, as many as may be; each is given its slot. Nothing in them is timed."""
        slots = list(range(self.num_side_by_side))

        def with_slot(job: Callable[[int], None]) -> None:
            slot = slots.pop()
            try:
                job(slot)
            finally:
                slots.append(slot)

        with concurrent.futures.ThreadPoolExecutor(self.num_side_by_side) as pool:
            for future in [pool.submit(with_slot, job) for job in jobs]:
                future.result()

    def compile(
        self, programs: Sequence[tuple[str, Config]], options: Mapping[str, Any] | None = None
    ) -> None:
        """Compile (workload, configuration) pairs side by side, and keep the programs.

        Each child has a share of the card alone: only for programs far below such a share. Which
        were not compiled is said; who wants them compiles them then.
        """
        share = 0.8 / self.num_side_by_side

        def job(workload: str, config: Config, number: int) -> Callable[[int], None]:
            def compile_one(slot: int) -> None:
                request = CompileRequest(
                    workload=workload,
                    configs=(dict(config),),
                    options=dict(options or {}),
                    cpus=self.cpus(slot),
                )
                environment = self.environment(share=share, cached=True)
                name = f"compile-{number}"
                outcome, _ = self.run(request, environment=environment, name=name)
                if outcome.kind is not OutcomeKind.COMPLETED:
                    self.say(f"  {workload}, {name_of(config)}: not compiled; {outcome.message}")

            return compile_one

        self.side_by_side([job(*program, number) for number, program in enumerate(programs)])

    def request(
        self, workload: str, config: Config, *, slot: int = 0, **fields: Any
    ) -> TrialRequest:
        """Return the request of a trial on this machine."""
        values: dict[str, Any] = {
            "workload": workload,
            "config": dict(config),
            "options": {},
            "platform": self.platform,
            "cpus": self.cpus(slot),
            "sampling": BRIEF,
        }
        return TrialRequest(**(values | fields))


@contextlib.contextmanager
def beside(bench: Bench, program: str, *words: str, share: float) -> Iterator[bool]:
    """Run a Python program beside what follows, from the line that it prints first; end it then.

    It may take that share of the card's memory, and begins on other CPUs than the first child's,
    where there are others. Yield whether it got so far.
    """
    elsewhere = f"import os\nos.sched_setaffinity(0, {set(bench.cpus(1))})\n"
    process = subprocess.Popen(
        [sys.executable, "-c", elsewhere + program, *words],
        env=bench.environment(share=share),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield bool(next_line(bench, process))
        finally:
            process.kill()


def next_line(bench: Bench, process: subprocess.Popen[str]) -> str:
    """Return a child's next whole line, empty if it is dead; it is killed if it takes too long."""
    assert process.stdout is not None
    timer = threading.Timer(max(0.0, min(_CHILD_TIMEOUT_S, bench.left_s)), process.kill)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    return line if line.endswith("\n") else ""


def sizes(num_envs: int, num_steps: int, batch_size: int) -> dict[str, int]:
    """Return a configuration of Phase 1 or 2."""
    return {
        "num_envs": num_envs,
        "num_steps": num_steps,
        "batch_size": batch_size,
        "num_epochs": 4,
    }


def name_of(config: Config) -> str:
    """Return `2048 x 128 / 32768`."""
    return f"{config['num_envs']} x {config['num_steps']} / {config['batch_size']}"


def temporary_folder() -> Path:
    """Return a new folder for logs and programs."""
    return Path(tempfile.mkdtemp(prefix="gpu-bench-"))


def outcome_row(outcome: Outcome) -> Row:
    """Return an outcome's figures for the record; what was not measured is absent."""
    row = dataclasses.asdict(outcome) | {"kind": outcome.kind.value}
    row.pop("log")
    return {name: value for name, value in row.items() if value is not None}
