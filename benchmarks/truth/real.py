"""Real searches beside real neighbours, and the truth of what each chose, measured in quiet.

Each search is the product's own command line in a small space. Its neighbour is a busy loop that
is stopped and continued by a schedule. After the search the neighbour is gone, and the chosen
configuration and the baseline are measured in turn, in fresh processes, longer than a search does.
"""

import contextlib
import dataclasses
import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.truth.busy_loop import BUSY_LOOPS, BusyLoop
from benchmarks.truth.runs import MeasuredTrial, RealRun, read
from cluster.errors import UserError
from cluster.node import atomic, hardware
from cluster.structure import destructure, revive
from search_spaces.config import Config
from trainables.canary import Canary
from trainables.machine_speed import MachineSpeed
from tune.profile import file as profile_file
from tune.profile import measuring
from tune.profile.schema import Profile, ProfileBaseline
from tune.search.machine import judged
from tune.search.trial import Stage, Trial

RECORDS = Path(__file__).parent

_SEARCH = ("--max-time", "150s", "--finalists", "2", "--soak-updates", "60", "--json")
TASKS: Mapping[str, tuple[str, ...]] = {
    "phase1": (
        "tune.jax_phase12",
        *("--space", "num_envs=64,256", "num_steps=32", "batch_size=512,2048", "num_epochs=4"),
        *("--baseline", "num_envs=64", "batch_size=512"),
    ),
    "torch": (
        "tune.pytorch_phase3",
        *("--llm", "none", "--space", "vectorized_envs=8,32", "batch_size=256,1024"),
    ),
}
"""The command line of each task, after `python -m`."""

_TIMEOUT_S = 300.0
_NUM_PROCESSES = 2
_MOST_ROUNDS = 6
_NUM_LOOKS = 20


def record(path: Path, *, minutes: float, tasks: Sequence[str], repeats: int) -> None:
    """Run the searches that the file lacks, each kind of neighbour in turn, while there is time.

    Raises:
        UserError: if a task is unknown, or a search fails.
    """
    unknown = sorted(set(tasks) - set(TASKS))
    if unknown:
        raise UserError(f"--tasks names {unknown}; the tasks are {list(TASKS)}.")
    runs, started = read(path), time.monotonic()
    for task, neighbour in _missing(runs, tasks, repeats):
        if time.monotonic() - started > 60.0 * minutes:
            return
        runs.append(_run(task, neighbour))
        machine = hardware.probe()
        about = {"cpu": machine.cpu_model, "num_cpus": machine.num_cpus}
        fields = {"machine": about, "runs": [destructure(run) for run in runs]}
        atomic.write_text(path, json.dumps(fields, indent=1) + "\n")
        print(_line(runs[-1]), flush=True)


def _missing(
    runs: Sequence[RealRun], tasks: Sequence[str], repeats: int
) -> Iterator[tuple[str, str]]:
    """Yield what is still to be run; a round of all kinds before the next round of any."""
    done = [(run.task, run.neighbour) for run in runs]
    for number in range(repeats):
        for neighbour in BUSY_LOOPS:
            yield from (
                (task, neighbour) for task in tasks if done.count((task, neighbour)) <= number
            )


def _run(task: str, neighbour: str) -> RealRun:
    with tempfile.TemporaryDirectory(prefix="truth-") as name:
        folder = Path(name)
        started = time.monotonic()
        with BusyLoop(BUSY_LOOPS[neighbour]) as beside:
            _search(task, folder, beside)
        wall_s = time.monotonic() - started
        [path] = (folder / "profiles").glob("*-fastest.yaml")
        profile = profile_file.read(path)
        trials = json.loads((folder / "run" / "trials.json").read_text("utf-8"))
        chosen_speeds, baseline_speeds = _truth(profile)
        look_s = _look_s(profile.environment.cpus)
    ended = [(trial, trial["outcome"]["measurement"]) for trial in trials["trials"]]
    measured = [
        MeasuredTrial(
            stage=trial["stage"],
            steps_per_second=figures["steps_per_second"],
            disturbed=figures["disturbed"],
            num_disturbed_blocks=figures["num_disturbed_blocks"],
            others_cpus=figures["others_cpus"],
            machine_share=trial["machine_share"],
            config=trial["config"],
            machine_speed=revive(MachineSpeed, speed)
            if (speed := figures["machine_speed"])
            else None,
            num_blocks=figures["num_blocks"],
            wall_s=trial["outcome"]["wall_s"],
        )
        for trial, figures in ended
        if figures
    ]
    claim = _claim_over(profile)
    return RealRun(
        task=task,
        neighbour=neighbour,
        recorded_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        chosen=profile.config,
        promised=profile.expected_sps,
        promised_low=profile.speed.low,
        promised_high=profile.speed.high,
        is_marked=bool(profile.speed.disturbed or (claim and claim.disturbed)),
        low=claim.speedup_low if claim else None,
        high=claim.speedup_high if claim else None,
        chosen_speeds=chosen_speeds,
        baseline_speeds=baseline_speeds,
        trials=tuple(measured),
        wall_s=wall_s,
        look_s=look_s,
    )


def _look_s(cpus: Sequence[int]) -> float:
    """Return the seconds of a canary's look on these CPUs, a mean."""
    canary, started = Canary(cpus), time.monotonic()
    for _ in range(_NUM_LOOKS):
        canary.look()
    return (time.monotonic() - started) / _NUM_LOOKS


def _search(task: str, folder: Path, beside: BusyLoop) -> None:
    command = [
        *(sys.executable, "-m", *TASKS[task], *_SEARCH),
        *("--out", str(folder / "run"), "--profiles", str(folder / "profiles")),
    ]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for last in process.stdout:
            event = json.loads(last)
            if event["event"] == "trial_started" and event["trial"]["stage"] == "final":
                beside.finals_begin()
    if process.returncode:
        raise UserError(f"a search ended with {process.returncode}: {last.strip()}")


def _truth(profile: Profile) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measure the chosen configuration and the baseline in turn, there and back, until each has
    been measured twice in quiet; the speeds of each.
    """
    baseline = _claim_over(profile)
    configs = [profile.config] if baseline is None else [profile.config, baseline.config]
    trials: list[Trial] = []
    with contextlib.ExitStack() as stack:
        measures = [stack.enter_context(_measuring(profile, config)) for config in configs]
        for number in range(_MOST_ROUNDS):
            for place in range(len(configs))[:: 1 if number % 2 == 0 else -1]:
                outcome = measures[place]()
                trials.append(
                    Trial(
                        number=len(trials),
                        stage=Stage.FINAL,
                        config=configs[place],
                        outcome=outcome,
                    )
                )
            speeds = [_quiet_speeds(trials, config) for config in configs]
            if min(map(len, speeds)) >= _NUM_PROCESSES:
                break
    return speeds[0], () if baseline is None else speeds[1]


def _quiet_speeds(trials: Sequence[Trial], config: Config) -> tuple[float, ...]:
    """Return the speeds of the trials of a configuration beside which nothing was disturbed, as far
    as they tell of each other.
    """
    return tuple(
        trial.measurement.steps_per_second
        for trial in judged(trials)
        if trial.measurement and trial.config == config and not trial.is_disturbed
    )


def _measuring(
    profile: Profile, config: Config
) -> contextlib.AbstractContextManager[measuring.Measure]:
    return measuring.measuring(
        dataclasses.replace(profile, config=config),
        platform=profile.device,
        options={},
        timeout_s=_TIMEOUT_S,
    )


def _claim_over(profile: Profile) -> ProfileBaseline | None:
    """Return the baseline and the speed-up over it, unless the baseline itself was chosen."""
    baseline = profile.baseline
    return None if baseline is None or baseline.config == profile.config else baseline


def _line(run: RealRun) -> str:
    claim = "the baseline" if run.low is None else f"{run.low:.2f} to {run.high:.2f} x"
    truth = "" if run.true_gain is None else f", truly {run.true_gain:.2f} x"
    error = "marked" if run.is_marked else "vague" if run.error is None else f"{run.error:+.1%}"
    return f"{run.task}, {run.neighbour}: {claim}{truth}; promise {error} ({run.wall_s:.0f} s)"
