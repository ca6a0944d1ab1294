"""The validation of a profile: its configuration is measured again, here, in fresh processes.

A profile holds unless training is more than 10 % slower than `expected_sps`. One process can stay
in a slow or a fast mode for seconds, so a first measurement that is further off, either way, is
repeated twice, and the median counts. A process that other programs disturbed does not count.
"""

import contextlib
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.node import limits, ray_env, thread_env
from cluster.node.secret_names import MASK, masked
from cluster.node.thread_env import Platform
from cluster.pages import units
from search_spaces.config import variables_of
from trainables import compile_cache
from trainables.measurement import Measurement, Outcome, OutcomeKind, TrialRequest
from trainables.process import run_child
from trainables.workload_source import edited, source_of
from tune.profile.file import ProfileError
from tune.profile.gpus import MeasuringGpus
from tune.profile.schema import Profile, ProfileEnvironment
from tune.summary import outcomes

TOLERANCE = 0.10
_NUM_PROCESSES = 3

HOLDS, DOES_NOT_HOLD, COULD_NOT_TELL, CANNOT_TELL_NOW = 0, 1, 2, 3
"""Exit codes. The third is for a mistake that the person must mend first, the last for a machine
that other programs use."""

Measure = Callable[[], Outcome]


def validate(profile: Profile, measure: Measure, say: Callable[[str], None]) -> int:
    """Measure once or three times, tell the result to `say`, and return the exit code."""
    measured: list[Measurement] = []
    num_disturbed = 0
    while len(measured) < _NUM_PROCESSES:
        outcome = measure()
        if outcome.kind is not OutcomeKind.COMPLETED or outcome.measurement is None:
            say(f"{outcomes.EXPLANATIONS[outcome.kind].means} {outcome.message}")
            say(f"{outcomes.EXPLANATIONS[outcome.kind].do} Log: {outcome.log}")
            # Sizes that can run nowhere are a mistake in the file, not a fact about this machine.
            tells_nothing = outcome.kind.says_nothing or outcome.kind is OutcomeKind.INVALID
            return COULD_NOT_TELL if tells_nothing else DOES_NOT_HOLD
        say(_process_line(1 + len(measured) + num_disturbed, outcome.measurement))
        if outcome.measurement.disturbed:
            num_disturbed += 1
            if num_disturbed < _NUM_PROCESSES:
                continue
            say(
                "This machine is not quiet, so nothing can be told now: end other programs, or try "
                "again later. The profile may hold."
            )
            return CANNOT_TELL_NOW
        measured.append(outcome.measurement)
        if len(measured) == 1:
            if _is_within(_ratio(profile, measured)):
                break
            say(
                f"That is {units.times(_ratio(profile, measured))} of what the profile promises; "
                f"two more fresh processes rule out noise."
            )
    for line in verdict(profile, measured):
        say(line)
    return HOLDS if _holds(_ratio(profile, measured)) else DOES_NOT_HOLD


def verdict(profile: Profile, measured: Sequence[Measurement]) -> list[str]:
    """Return the comparison in sentences, with both intervals."""
    ratio = _ratio(profile, measured)
    low, high = min(m.low for m in measured), max(m.high for m in measured)
    here = statistics.median(m.steps_per_second for m in measured)
    overlap = low <= profile.speed.high and profile.speed.low <= high
    promised = _interval(profile.expected_sps, profile.speed.low, profile.speed.high, profile.unit)
    lines = [
        f"promised: {promised}",
        f"here:     {_interval(here, low, high, profile.unit)}"
        + (f", median of {len(measured)} fresh processes" if len(measured) > 1 else ""),
        f"Training here gets {units.times(ratio)} of what the profile promises: "
        + ("it holds." if _holds(ratio) else f"more than {TOLERANCE:.0%} slower."),
    ]
    if _is_within(ratio):
        return lines
    lines += _of_the_machine(profile, measured)
    if ratio > 1:
        lines.append("It is faster than the profile knows: search here for a new one.")
    elif overlap:
        lines.append("The intervals overlap, so noise could explain it: try on a quiet machine.")
    else:
        lines.append(
            "The intervals do not overlap: something else uses this machine, or it is another. "
            "Search here for a profile of its own."
        )
    return lines


def _of_the_machine(profile: Profile, measured: Sequence[Measurement]) -> list[str]:
    """Return how fast the CPUs are now, against those that the profile was measured on."""
    machines = [one.machine_speed for one in measured if one.machine_speed is not None]
    then = profile.speed.cpu_flops_per_s, profile.speed.cpu_bytes_per_s
    if not machines or then[0] is None or then[1] is None:
        return []
    compute = statistics.median(machine.compute.mean for machine in machines) / then[0]
    memory = statistics.median(machine.memory.mean for machine in machines) / then[1]
    handoffs = [machine.handoff.mean for machine in machines if machine.handoff is not None]
    also = ""
    if handoffs and profile.speed.cpu_handoffs_per_s is not None:
        handoff = statistics.median(handoffs) / profile.speed.cpu_handoffs_per_s
        also = f", and two of them woke each other at {handoff:.2f} x"
    return [
        f"A fixed piece of work ran at {compute:.2f} x on these CPUs, and memory was read at "
        f"{memory:.2f} x{also}, of the speed beside the profile's own trials."
    ]


def edited_files(profile: Profile) -> list[str]:
    """Return the files of the workload that differ here from those that were measured."""
    recorded, workload = profile.workload.source, profile.workload
    if recorded is None:
        return []
    return edited(recorded, source_of(workload.factory, workload.options))


def environment(
    profile: Profile, platform: Platform, base: Mapping[str, str]
) -> ProfileEnvironment:
    """Return the profile's own caps, adapted to this machine.

    CPUs that are not allowed here are replaced by as many that are. The variables are the
    profile's on its own platform, and new ones on another.
    """
    allowed = limits.cpus().allowed
    here = thread_env.build(
        profile.threads.cap, platform, allowed, base, profile.workload.framework
    )
    recorded = profile.environment
    return ProfileEnvironment(
        cpus=recorded.cpus if set(recorded.cpus) <= set(allowed) else here.cpus,
        variables=recorded.variables if platform == profile.device else here.variables,
    )


@contextlib.contextmanager
def measuring(
    profile: Profile,
    *,
    platform: Platform,
    options: Mapping[str, Any],
    timeout_s: float | None,
    environ: Mapping[str, str] | None = None,
    gpus: MeasuringGpus | None = None,
) -> Iterator[Measure]:
    """Yield a function that measures the profile's configuration once, in a fresh child process.

    `options` replace the profile's own: data has another path on another machine. `gpus` are those
    to measure on, where that is not the first that CUDA shows. The child's log is in a temporary
    folder, which is kept where it says why nothing was measured.

    Raises:
        ProfileError: if an option is missing that is secret.
    """
    workload_options = profile.workload.options | dict(options)
    given = os.environ if environ is None else environ
    # A command's own variable may be in the environment, where a secret belongs.
    if variables_given := workload_options.get("variables"):
        workload_options["variables"] = {
            name: value
            for name, value in variables_given.items()
            if value != MASK or name not in given
        }
    if missing := masked(workload_options):
        raise ProfileError(
            f"the profile does not hold what is secret, {', '.join(missing)}: give it here by "
            "--option NAME=VALUE, or a command's variable in the environment."
        )
    chosen = variables_of(profile.config)
    base = ray_env.for_child(given) | chosen
    caps = environment(profile, platform, base)
    request = TrialRequest(
        workload=profile.workload.factory,
        config=profile.config,
        options=workload_options,
        platform=platform,
        cpus=caps.cpus,
        device_budget_bytes=profile.memory.device_budget_bytes,
    )
    folder = Path(tempfile.mkdtemp(prefix="validate-"))
    variables = thread_env.with_chosen(base | caps.variables, chosen)
    if gpus is not None:
        variables |= gpus.variables
    if profile.workload.framework == "jax":  # the first process's program is read by the next two
        variables |= compile_cache.variables(folder / "compiled", base)

    is_told = True

    def measure() -> Outcome:
        nonlocal is_told
        last = None
        for message in run_child(
            request,
            environment=variables,
            log_path=folder / "trial.log",
            thread_cap=len(caps.cpus),
            timeout_s=timeout_s,
            host_budget_bytes=profile.memory.host_budget_bytes,
        ):
            last = message
        assert isinstance(last, Outcome)
        is_told &= last.measurement is not None
        return last

    try:
        yield measure
    finally:
        shutil.rmtree(folder if is_told else folder / "compiled", ignore_errors=True)


def platform_for(profile: Profile, device: str, num_gpus: int) -> Platform:
    """Return the platform to measure on: the profile's own unless `device` says another.

    Raises:
        ProfileError: if that needs a GPU and there is none.
    """
    platform: Platform = profile.device
    if device != "auto":
        platform = "cuda" if device == "gpu" else "cpu"
    if platform == "cuda" and not num_gpus:
        raise ProfileError(
            "the profile is for a GPU, and NVML, the NVIDIA driver, shows none here: check "
            "nvidia-smi, or compare with this machine's CPU by --device cpu."
        )
    return platform


def _ratio(profile: Profile, measured: Sequence[Measurement]) -> float:
    return statistics.median(m.steps_per_second for m in measured) / profile.expected_sps


def _is_within(ratio: float) -> bool:
    return abs(ratio - 1.0) <= TOLERANCE


def _holds(ratio: float) -> bool:
    return ratio >= 1.0 - TOLERANCE


def _process_line(number: int, measured: Measurement) -> str:
    speed = _interval(measured.steps_per_second, measured.low, measured.high, measured.unit)
    disturbed = "" if not measured.disturbed else f", disturbed by {_others(measured)}"
    how = "read from the cache" if measured.compiled_from_cache else "compiled"
    how = f"{how} in {units.duration(measured.compile_s)}"
    if not measured.compile_s:  # a command compiles where nobody sees it
        how = f"started in {units.duration(measured.build_s)}"
    return f"process {number}: {speed}{disturbed}, {how}"


def _others(measured: Measurement) -> str:
    if measured.num_slowed_blocks == measured.num_disturbed_blocks > 0:
        return "CPUs that were slower at times"
    if measured.num_gpu_shared_blocks:
        return "other programs on its GPU"
    if measured.others_cpus is None:
        return "other programs"
    return f"other programs ({measured.others_cpus:.1f} CPUs of the trial's)"


def _interval(steps_per_second: float, low: float, high: float, unit: str) -> str:
    bounds = f"{units.speed(low)} to {units.speed(high)}"
    return f"{units.speed(steps_per_second)} {unit}/s ({bounds})"
