"""Several GPUs: what each of them adds, what the same rent gets otherwise, and what trainings lose
beside each other. Pure.
"""

from collections.abc import Sequence

from cluster.pages import units
from search_spaces.config import config_name, num_devices
from tune.search.candidates import candidates_of
from tune.search.pair import measured_pair
from tune.search.result import Candidate, SearchResult
from tune.search.trial import Trial


def rows(trials: Sequence[Trial], *, on_gpu: bool) -> list[tuple[str, str]]:
    """Return the best of each number of GPUs, and what to rent; nothing if there is one number.

    On the CPU they are simulated devices.
    """
    best = _best(trials)
    if len(best) < 2:
        return []
    word = "GPU" if on_gpu else "device"
    fewest = min(best)
    alone = _of_each(best, fewest)
    found = [
        (
            units.plural(number, word),
            f"{units.speed(one.promised)} {one.unit}/s, {units.speed(_of_each(best, number))} for "
            f"each ({_of_each(best, number) / alone:.0%}): {config_name(one.config)}"
            + ("" if one.confirmed else ", explored only")
            + ", measured while disturbed" * one.disturbed,
        )
        for number, one in best.items()
    ]
    return [*found, ("for the same rent", _rent(best))] if on_gpu else found


def beside(result: SearchResult, searches: Sequence[str] = ()) -> str:
    """Return what ran beside trials on this machine, and what a training loses beside others, as
    far as it was measured. `searches` are the classes that were searched at the same time.
    """
    found = []
    if searches:
        verb = "was" if len(searches) == 1 else "were"
        found.append(f"{' and '.join(searches)} {verb} searched on this machine at the same time")
    pair = None if result.baseline is None else measured_pair(result.trials, result.baseline.config)
    if pair is not None:
        others = units.plural(pair.num_beside, "other trial")
        found.append(
            f"beside {others} the baseline steps at {units.times(pair.ratio)} its speed alone "
            f"({units.times_interval(pair.low, pair.high)})"
        )
    return "; ".join(found)


def _best(trials: Sequence[Trial]) -> dict[int, Candidate]:
    """Return the fastest of each number of GPUs; one of the finals before what was explored."""
    best: dict[int, Candidate] = {}
    for one in candidates_of(trials):
        known = best.get(number := num_devices(one.config))
        if known is None or _rank(one) > _rank(known):
            best[number] = one
    return dict(sorted(best.items()))


def _rank(one: Candidate) -> tuple[bool, float]:
    return one.confirmed, one.promised


def _of_each(best: dict[int, Candidate], number: int) -> float:
    return best[number].promised / number


def _rent(best: dict[int, Candidate]) -> str:
    """Return how much more trainings on fewer GPUs step together than one on the most.

    None was measured beside as many of its kind: they would share the host's memory bus, PCIe and
    power.
    """
    most = max(best)
    others = [number for number in best if number < most and most % number == 0]
    if not others:
        return ""
    ratios = {number: _of_each(best, number) / _of_each(best, most) for number in others}
    first, *more = (
        f"{units.plural(most // number, 'training')} on {units.plural(number, 'GPU')} "
        f"step {units.times(ratio)}"
        for number, ratio in ratios.items()
    )
    step = ", ".join([f"{first} what one on {units.plural(most, 'GPU')} does", *more])
    return f"{step}, if none slows another down"
