"""Prices from gpuhunt, dstack's catalog of offers, for `report --gpuhunt`.

Nothing else in the fleet fetches prices: gpuhunt reads its catalog from the network.
"""

import dataclasses
import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from cluster.errors import FleetError

_MEMORY = re.compile(r"-(\d+)gb(?:-\d+w)?$")
_MEMORY_TOLERANCE = 0.12
"""NVML counts GiB of what is usable (22 of an L4's 24), offers what is sold."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The cheapest offer of a class: dollars an hour, provider and location."""

    price: float
    provider: str
    location: str


def quotes(
    machine_classes: Iterable[str], query: Callable[..., Iterable[Any]] | None = None
) -> dict[str, Quote]:
    """Return the cheapest on-demand offer of one GPU for each class that has any.

    `query` has the signature of `gpuhunt.query`, its default.

    Raises:
        FleetError: if gpuhunt is not installed, or has no catalog to offer.
    """
    query = query or _load()
    try:
        offers = list(query(min_gpu_count=1, max_gpu_count=1, gpu_vendor="nvidia", spot=False))
    except OSError as error:
        raise FleetError(
            f"--gpuhunt could not fetch its catalog ({error}); leave it out, or give prices by "
            "--price or --prices."
        ) from error
    found = {}
    for machine_class in machine_classes:
        fitting = _fitting(machine_class, offers)
        if fitting:
            best = min(fitting, key=lambda offer: float(offer.price))
            found[machine_class] = Quote(
                price=float(best.price), provider=best.provider, location=best.location
            )
    return found


def _load() -> Callable[..., Iterable[Any]]:
    try:
        query: Callable[..., Iterable[Any]] = importlib.import_module("gpuhunt").query
    except ModuleNotFoundError as error:
        raise FleetError(
            "--gpuhunt needs the package gpuhunt: pip install -e '.[gpuhunt]'."
        ) from error
    return query


def _fitting(machine_class: str, offers: Iterable[Any]) -> list[Any]:
    """Return the offers of a class: the longest GPU name that it begins with, and its memory.

    Catalogs have no power limits: a card with a lowered limit is priced as one without.
    """
    match = _MEMORY.search(machine_class)
    if match is None:
        return []
    squeezed, memory_gb = _squeeze(machine_class), float(match[1])
    named = [
        (len(_squeeze(offer.gpu_name)), offer)
        for offer in offers
        if offer.gpu_name
        and squeezed.startswith(_squeeze(offer.gpu_name))
        and abs(float(offer.gpu_memory or 0) - memory_gb) <= _MEMORY_TOLERANCE * memory_gb
    ]
    longest = max((length for length, _ in named), default=0)
    return [offer for length, offer in named if length == longest]


def _squeeze(name: str) -> str:
    """Return letters and digits alone: `RTX4090`, `RTX 4090` and `rtx-4090` are the same."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
