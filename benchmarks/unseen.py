"""Neighbours that the kernel does not count: whether a canary tells them, trial by trial.

    python -m benchmarks.unseen [--trials 8] [--json FILE] [--show FILE]

Phase 1 is measured in fresh processes, as a search does it, on one CPU, and in turn beside nobody,
a busy loop, and a program that sweeps memory, both on another CPU. The kernel counts nothing of
that on the trial's CPU. Then it is measured on all CPUs, beside nobody. The machine needs two CPUs,
and has to be quiet.
"""

import argparse
import contextlib
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.markdown import row
from cluster.node import atomic
from cluster.structure import revive
from trainables import compile_cache
from trainables.measurement import Measurement, Outcome, OutcomeKind, TrialRequest
from trainables.process import run_child
from tune.run_folder.trials import to_dict
from tune.search.machine import judged
from tune.search.trial import Stage, Trial

_CONFIG = {"num_envs": 64, "num_steps": 32, "batch_size": 512, "num_epochs": 4}
_SWEEP = "import numpy\na = numpy.zeros(2**26)\nwhile True: a += 1.0"
_KINDS: Mapping[str, tuple[str, bool]] = {
    "one CPU, beside nobody": ("", False),
    "one CPU, beside a busy loop": ("while True: pass", False),
    "one CPU, beside a memory sweep": (_SWEEP, False),
    "all CPUs, beside nobody": ("", True),
}
"""The program on another CPU, and whether the trial is on all CPUs."""
_SLOW, _FAST = 0.9, 0.95
"""Shares of the best decile of speeds: what should be told, and what should not."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--json", type=Path, help="write the trials there")
    parser.add_argument("--show", type=Path, help="show trials that were written, and run none")
    options = parser.parse_args()
    if options.show:
        show(_read(options.show))
        return
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        sys.exit("benchmarks.unseen needs two CPUs: one for the trial, one for its neighbour.")
    found: dict[str, list[Trial]] = {}
    with tempfile.TemporaryDirectory() as name:
        numbers = itertools.count()
        for _ in range(options.trials):
            for kind, (program, is_on_all) in _KINDS.items():
                cpus = (first, *others) if is_on_all else (first,)
                with _beside(program, others[0]):
                    trial = _trial(next(numbers), cpus, Path(name))
                found.setdefault(kind, []).append(trial)
    if options.json:
        records = {kind: [to_dict(trial) for trial in trials] for kind, trials in found.items()}
        atomic.write_text(options.json, json.dumps(records, indent=1) + "\n")
    show(found)


def show(found: Mapping[str, Sequence[Trial]]) -> None:
    """Print the table of trials by kind."""
    names = ("trials", *_FIGURES, "spread of speed", "told", "told by the kernel")
    print(row(("beside", *names)))
    print(row(("---", *["---:"] * len(names))))
    trials = judged([trial for ran in found.values() for trial in ran])
    told = {trial.number for trial in trials if trial.machine_share is not None}
    quiet: dict[bool, list[Measurement]] = {}
    for kind, ran in found.items():
        measured = [_measured(trial) for trial in ran]
        base = quiet.setdefault(_KINDS[kind][1], measured)
        print(
            row(
                (
                    kind,
                    f"{len(ran)}",
                    *(
                        f"{_median(name, measured) / _median(name, base):.2f} x"
                        for name in _FIGURES
                    ),
                    f"{_spread(measured):.1%}",
                    f"{sum(trial.number in told for trial in ran)}",
                    f"{sum(one.num_disturbed_blocks > 0 for one in measured)}",
                )
            )
        )

    for is_on_all in quiet:
        own = [t for kind, ran in found.items() if _KINDS[kind][1] is is_on_all for t in ran]
        print(f"\n{'all CPUs' if is_on_all else 'one CPU'}: {_summary(own, told)}")


def _summary(trials: Sequence[Trial], told: Collection[int]) -> str:
    """Return what the canary knew of the speeds of one configuration on the same CPUs."""
    best = float(np.quantile([_measured(trial).steps_per_second for trial in trials], 0.9))
    share = {trial.number: _measured(trial).steps_per_second / best for trial in trials}
    slow = [number for number, one in share.items() if one < _SLOW]
    fast = [number for number, one in share.items() if one >= _FAST]
    known = [trial for trial in trials if _FIGURES["compute"](_measured(trial)) is not None]
    logs = [
        [math.log(_FIGURES[name](_measured(trial)) or 1.0) for trial in known] for name in _FIGURES
    ]
    left = [_measured(trial) for trial in trials if trial.number not in told]
    return (
        f"told {sum(number in told for number in slow)} of {len(slow)} below {_SLOW} x of the best "
        f"decile, {sum(number in told for number in fast)} of {len(fast)} at {_FAST} x or more; "
        f"speeds correlate with compute at {statistics.correlation(*logs[:2]):.2f}, with memory at "
        f"{statistics.correlation(logs[0], logs[2]):.2f}; spread "
        f"{_spread([_measured(trial) for trial in trials]):.1%}, of those not told "
        f"{_spread(left):.1%}"
    )


def _read(path: Path) -> dict[str, list[Trial]]:
    """Read trials that `--json` wrote; of their fields those that are shown."""
    return {
        kind: [
            Trial(
                number=fields["number"],
                stage=Stage.FINAL,
                config=_CONFIG,
                outcome=revive(Outcome, fields["outcome"]),
            )
            for fields in trials
        ]
        for kind, trials in json.loads(path.read_text("utf-8")).items()
    }


def _trial(number: int, cpus: tuple[int, ...], folder: Path) -> Trial:
    """Measure once in a fresh process; the program comes from the cache but for the first."""
    base = dict(os.environ) | {"OPENBLAS_NUM_THREADS": "1", "PJRT_NPROC": str(len(cpus))}
    request = TrialRequest(
        workload="trainables.jax_phase12.workload:phase1",
        config=_CONFIG,
        options={},
        platform="cpu",
        cpus=cpus,
    )
    *_, outcome = run_child(
        request,
        environment=base | compile_cache.variables(folder / "compiled", base),
        log_path=folder / "trial.log",
        thread_cap=len(cpus),
    )
    assert isinstance(outcome, Outcome)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    return Trial(
        number=number,
        stage=Stage.FINAL,
        config=_CONFIG,
        outcome=outcome,
    )


@contextlib.contextmanager
def _beside(program: str, cpu: int) -> Iterator[None]:
    """Run a program on a CPU meanwhile."""
    if not program:
        yield
        return
    command = ["taskset", "-c", str(cpu), sys.executable, "-c", program]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


_FIGURES: Mapping[str, Callable[[Measurement], float | None]] = {
    "speed": lambda measured: measured.steps_per_second,
    "compute": lambda measured: _of_machine(measured, "compute"),
    "memory": lambda measured: _of_machine(measured, "memory"),
}


def _median(name: str, measured: Sequence[Measurement]) -> float:
    known = [value for one in measured if (value := _FIGURES[name](one)) is not None]
    return statistics.median(known or [math.nan])


def _spread(measured: Sequence[Measurement]) -> float:
    return statistics.pstdev(math.log(one.steps_per_second) for one in measured)


def _of_machine(measured: Measurement, name: str) -> float | None:
    """Return the mean of a canary's level; `None` where too few blocks were left for it."""
    machine = measured.machine_speed
    return None if machine is None else getattr(machine, name).mean


def _measured(trial: Trial) -> Measurement:
    assert trial.measurement is not None
    return trial.measurement


if __name__ == "__main__":
    main()
