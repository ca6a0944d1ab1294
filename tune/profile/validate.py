"""The validation of a profile: its configuration is measured again, here, in fresh processes.

A profile holds unless training is more than 10 % slower than `expected_sps`. One process can stay
in a slow or a fast mode for seconds, so a first measurement that is further off, either way, is
repeated twice, and the median counts. A process that other programs disturbed does not count.
"""

import statistics
from collections.abc import Callable, Sequence

from cluster.pages import units
from trainables.measurement import Measurement, OutcomeKind
from trainables.workload_source import edited, source_of
from tune.profile.measuring import Measure
from tune.profile.schema import Profile
from tune.summary import outcomes

TOLERANCE = 0.10
_NUM_PROCESSES = 3

HOLDS, DOES_NOT_HOLD, COULD_NOT_TELL, CANNOT_TELL_NOW = 0, 1, 2, 3
"""Exit codes. The third is for a mistake that the person must mend first, the last for a machine
that other programs use."""

_TELL_NOTHING = (OutcomeKind.INVALID, OutcomeKind.TIMEOUT)
"""Sizes that can run nowhere are a mistake in the file, and a start that took longer than --timeout
is no speed: neither is a fact about this machine."""


def validate(profile: Profile, measure: Measure, say: Callable[[str], None]) -> int:
    """Measure once or three times, tell the result to `say`, and return the exit code."""
    measured: list[Measurement] = []
    num_disturbed = 0
    while len(measured) < _NUM_PROCESSES:
        outcome = measure()
        if outcome.kind is not OutcomeKind.COMPLETED or outcome.measurement is None:
            say(f"{outcomes.EXPLANATIONS[outcome.kind].means} {outcome.message}")
            say(f"{_to_do(outcome.kind)} Log: {outcome.log}")
            tells_nothing = outcome.kind.says_nothing or outcome.kind in _TELL_NOTHING
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
                f"That is {_share_text(_ratio(profile, measured))} of what the profile promises; "
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
        f"Training here gets {_share_text(ratio)} of what the profile promises: "
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


def _to_do(kind: OutcomeKind) -> str:
    if kind is OutcomeKind.TIMEOUT:
        return "Give it more by --timeout, or look at the log for what hangs."
    return outcomes.EXPLANATIONS[kind].do


def _ratio(profile: Profile, measured: Sequence[Measurement]) -> float:
    return statistics.median(m.steps_per_second for m in measured) / profile.expected_sps


def _share_text(ratio: float) -> str:
    """Return a share of the promise, of which one sees that it is over a tenth off, if it is."""
    bounds = () if _is_within(ratio) else (1.0 - TOLERANCE, 1.0 + TOLERANCE)
    return units.times(ratio, *bounds)


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
