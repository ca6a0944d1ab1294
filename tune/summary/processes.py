"""The doubts about the process that measured the winner, each a sentence. Pure."""

from search_spaces.config import num_devices
from trainables.measurement import Measurement
from tune.run_folder.record import SearchContext
from tune.search.result import Candidate

_LEAST_BUSY = 3.0
"""Percent of the time for which a GPU is busy that is used at all."""

_RESTARTS_SHARE = 0.5
"""The share of blocks from which on processes that start in them are what is measured."""

_CPUS_SHARE = 0.7
"""The share of its CPUs' time from which on a training may be held back by their number."""


def doubts(winner: Candidate, context: SearchContext) -> list[str]:
    """Return what the process that measured the winner did otherwise than training should."""
    outcome, measured = winner.representative, winner.representative.measurement
    found = []
    if measured is not None and measured.num_restart_blocks >= _RESTARTS_SHARE * _num_all(measured):
        found.append(
            f"processes of the loop's own started or ended in {measured.num_restart_blocks} of its "
            "blocks of updates, and their start is in the speed: a loop that keeps them is faster."
        )
    busy = None if measured is None else measured.gpu_utilization
    if busy is not None and busy < _LEAST_BUSY:
        found.append(
            f"the GPU was busy for {busy:.0f} % of the time: does the training use it at all? Many "
            "scripts take the CPU, and say nothing, where they cannot use it."
        )
    if outcome.num_cpus_taken:
        found.append(
            f"the training took {outcome.num_cpus_taken} CPUs for itself, beyond its cap of "
            f"{outcome.thread_cap}: its threads are not bounded by the cap."
        )
    return found + _of_cpus(winner, context)


def _num_all(measured: Measurement) -> int:
    """Return the number of blocks; where too many were disturbed, all of them count."""
    return measured.num_blocks + (0 if measured.disturbed else measured.num_disturbed_blocks)


def _of_cpus(winner: Candidate, context: SearchContext) -> list[str]:
    """Return that the thread cap may hold the training back, if there are more CPUs."""
    outcome, measured = winner.representative, winner.representative.measurement
    own_cpus = None if measured is None else measured.own_cpus
    cap, most = outcome.thread_cap, context.num_cpus
    if own_cpus is None or most is None or num_devices(winner.config) > 1:
        return []
    if most <= cap or own_cpus < _CPUS_SHARE * cap:
        return []
    return [
        f"the training took {own_cpus:.1f} CPUs under its cap of {cap}, and it could have {most}: "
        f"with --thread-cap {most} it may be faster, and other sizes be the best."
    ]
