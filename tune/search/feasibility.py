"""The feasibility of configurations in memory, by programs and by what trials used. Pure."""

import numpy as np

from cluster.pages.units import GIB
from search_spaces.config import Config, config_key
from trainables.measurement import Outcome, OutcomeKind
from tune.memory import envelope
from tune.memory import model as memory_model
from tune.memory.envelope import Use
from tune.search.problem import Explored


def chances(known: Explored, configs: list[Config]) -> memory_model.Array:
    """Return the probability [m] that each fits, by the known programs and by what trials used."""
    problem = known.problem
    fits = np.ones(len(configs))
    if problem.host_budget_bytes is not None:
        uses = known.uses(OutcomeKind.HOST_MEMORY)
        fits *= envelope.chances(uses, configs, problem.host_budget_bytes)
    if problem.device_budget_bytes is None:
        return fits
    return fits * _chances_on_device(known, configs, problem.device_budget_bytes)


def _chances_on_device(known: Explored, configs: list[Config], budget: int) -> memory_model.Array:
    """Return the probability [m] that each fits: by programs, where any says something of it."""
    places: dict[object, list[int]] = {}
    for place, config in enumerate(configs):
        by_programs = bool(known.compiled_alike(config))
        setting = memory_model.setting_of(config) if by_programs else None
        places.setdefault(setting, []).append(place)
    fits = np.ones(len(configs))
    for setting, rows in places.items():
        alike = [configs[row] for row in rows]
        uses = known.uses(OutcomeKind.DEVICE_MEMORY) if setting is None else known.untold_deaths
        if uses:
            fits[rows] = envelope.chances(uses, alike, budget)
        if setting is not None:
            fits[rows] *= memory_model.chances(known.compiled[setting], alike, budget)
    return fits


def refusal(known: Explored, config: Config) -> Outcome | None:
    """Return the outcome of a configuration that is known not to fit, else `None`."""
    problem = known.problem
    for kind, budget in (
        (OutcomeKind.HOST_MEMORY, problem.host_budget_bytes),
        (OutcomeKind.DEVICE_MEMORY, problem.device_budget_bytes),
    ):
        if budget is None:
            continue
        by_programs = kind is OutcomeKind.DEVICE_MEMORY and bool(known.compiled_alike(config))
        outcome = _over_by_programs(known, config, budget) if by_programs else None
        if outcome is None:
            uses = known.untold_deaths if by_programs else known.uses_alike(kind, config)
            outcome = _over_by_use(uses, config, budget, kind)
        if outcome is not None:
            return outcome
    return None


def _over_by_programs(known: Explored, config: Config, budget: int) -> Outcome | None:
    own = known.problem.compiled_ahead.get(config_key(config))
    predicted = _predicted_over(known, config, budget) if own is None else float(own)
    if predicted is None or predicted <= budget:
        return None
    how = "its program, compiled ahead, needs" if own else "predicted to need"
    source = "" if own else ", from the programs compiled so far"
    return _excluded(
        f"{how} {predicted / GIB:.2f} GiB of the budget's {budget / GIB:.2f} GiB{source}",
        device_bytes=round(predicted),
    )


def _over_by_use(uses: list[Use], config: Config, budget: int, kind: OutcomeKind) -> Outcome | None:
    if envelope.chances(uses, [config], budget)[0] > 0.0:
        return None
    ends, on_host = envelope.bounds(uses, config), kind is OutcomeKind.HOST_MEMORY
    memory = "host memory" if on_host else "device memory"
    if ends is None or ends[0] <= budget:
        return _excluded(f"it is at least as large as what ran out of {memory} before")
    return _excluded(
        f"predicted to need {ends[0] / GIB:.2f} GiB of {memory} at least, from what others used; "
        f"the budget is {budget / GIB:.2f} GiB",
        device_bytes=None if on_host else round(ends[0]),
    )


def _excluded(why: str, device_bytes: int | None = None) -> Outcome:
    return Outcome(
        kind=OutcomeKind.EXCLUDED,
        message=f"{why}; not run.",
        wall_s=0.0,
        thread_cap=0,
        predicted_device_bytes=device_bytes,
    )


def _predicted_over(known: Explored, config: Config, budget_bytes: int) -> float | None:
    """Return the predicted bytes if they are over the budget beyond doubt, else `None`."""
    over = [one for one in known.compiled_alike(config) if one[1] > budget_bytes]
    if over and (least := memory_model.least_bytes(over, config)) > budget_bytes:
        return least
    model = known.memory_fit(config)
    if model is None or not model.exceeds(config, budget_bytes):
        return None
    return model.predict_bytes(config)
