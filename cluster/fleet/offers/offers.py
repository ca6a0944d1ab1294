"""`report`: the best profile of each GPU class, the cost of its steps, the class to rent."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cluster.fleet.hosts import Host
from cluster.fleet.offers.prices import Prices
from cluster.fleet.offers.profiles import PulledProfile, TaskKey
from cluster.node.atomic import write_bytes
from cluster.pages.units import dollars, speed, speed_interval, steps

OFFER_COLUMNS = (
    "GPU class",
    "host",
    "speed",
    "$ per hour",
    "steps per $",
    "configuration",
)
_LEARNING = "learning"
"""The kind of profile that is chosen for what it learns, and not for its steps."""

_SIZES = ("num_envs", "num_steps", "batch_size", "num_epochs")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClassOffer:
    """The best profile of a class, and the price of its GPUs in US dollars an hour.

    Of a box with several GPUs that is the share of those on which the profile trains.
    """

    profile: PulledProfile
    price_per_hour: float | None

    @property
    def steps_per_dollar(self) -> float | None:
        """Steps per US dollar, in the profile's unit; `None` without a price."""
        price = self.price_per_hour
        return None if price is None else self.profile.steps_per_second * 3600 / price

    @property
    def share_text(self) -> str:
        """The GPUs that the price is for, as ` (1 of 4 GPUs)`; empty if the box has one."""
        one = self.profile
        return f" ({one.num_devices} of {one.num_gpus} GPUs)" if one.num_gpus > 1 else ""


def offers(
    results: Sequence[PulledProfile], hosts: Sequence[Host], prices: Prices
) -> list[ClassOffer]:
    """Return the best profile of each class with its price, the most steps per dollar first.

    The best of a class is that of the host with the most steps per dollar; without a price, the
    fastest. A proven profile comes before any unproven one, however fast: the fastest of many that
    were measured once is mostly luck.
    """
    best: dict[str, ClassOffer] = {}
    for result in results:
        name = result.machine_class
        price = prices.of_training(
            host_of(result, hosts),
            name,
            num_devices=result.num_devices,
            num_gpus=result.num_gpus,
        )
        offer = ClassOffer(profile=result, price_per_hour=price)
        if name not in best or _rank(offer) > _rank(best[name]):
            best[name] = offer
    return sorted(best.values(), key=lambda offer: _rank(offer)[1:], reverse=True)


def host_of(result: PulledProfile, hosts: Sequence[Host]) -> Host | None:
    """Return the host whose price is that of a profile's box, `None` if there is none now."""
    named = [host for host in hosts if host.name == result.host]
    return named[0] if named and not result.is_of_former_box else None


def advice(ranked: Sequence[ClassOffer]) -> str:
    """Return the sentence that says which class to rent, and how sure that is."""
    priced = [offer for offer in ranked if offer.steps_per_dollar is not None]
    unpriced = [offer.profile.machine_class for offer in ranked if offer.steps_per_dollar is None]
    if not priced:
        fastest = max(ranked, key=lambda offer: offer.profile.steps_per_second).profile
        at = f"{speed(fastest.steps_per_second)} {fastest.unit}/s"
        at += " (disturbed)" * fastest.is_disturbed
        return (
            f"Fastest: {fastest.machine_class} with {at}{_of_steps(fastest)}; "
            f"what to rent needs prices: --price {fastest.machine_class}=DOLLARS_PER_HOUR."
        )
    first = priced[0]
    assert first.price_per_hour is not None
    assert first.steps_per_dollar is not None
    sentence = (
        f"Rent this one: {first.profile.machine_class} at {dollars(first.price_per_hour)} an hour"
        f"{first.share_text}, {steps(first.steps_per_dollar)} {first.profile.unit} per dollar"
    )
    if len(priced) == 1:
        sentence += ", the only one measured with a price"
    else:
        second = priced[1]
        assert second.steps_per_dollar is not None
        ratio = first.steps_per_dollar / second.steps_per_dollar
        sentence += f", {ratio:.2f} times those of {second.profile.machine_class}"
        if _overlap(first, second):
            sentence += "; their intervals overlap, so that may be chance"
    if not first.profile.is_proven:
        sentence += "; its search was cut short before its finals, so let one finish first"
    if disturbed := [o.profile.machine_class for o in priced[:2] if o.profile.is_disturbed]:
        names = " and ".join(disturbed)
        sentence += f"; {names}: measured while disturbed, and perhaps faster than that"
    sentence += _of_steps(first.profile)
    if unpriced:
        sentence += f"; no price is known for {', '.join(unpriced)}"
    return sentence + "."


def _of_steps(profile: PulledProfile) -> str:
    is_of_learning = profile.kind == _LEARNING
    return "; these are steps, and each profile says how soon it learns" * is_of_learning


def publish(ranked: Sequence[ClassOffer], out: Path, *, suffix: str = "") -> list[Path]:
    """Copy each class's profile to `out`, where training looks for it; return the copies."""
    paths = []
    for source in (offer.profile.path for offer in ranked):
        path = out / f"{source.stem}{suffix}.yaml"
        write_bytes(path, source.read_bytes())
        paths.append(path)
    return paths


def suffix(task: TaskKey) -> str:
    """Return a suffix of file names by task: profiles are named by class and phase alone."""
    return f"-{hashlib.sha256(repr(task).encode()).hexdigest()[:8]}"


def interval_text(result: PulledProfile) -> str:
    """Return a speed as `50.1 K ±1.3 % env steps/s`, marked if finals have not proven it, or if
    every process that counts was disturbed.
    """
    interval = speed_interval(result.steps_per_second, result.low, result.high)
    marked = " (unproven)" * (not result.is_proven) + " (disturbed)" * result.is_disturbed
    return f"{interval} {result.unit}/s{marked}"


def cells(offer: ClassOffer) -> tuple[str, ...]:
    """Return an offer's row under `OFFER_COLUMNS`."""
    result = offer.profile
    per_dollar = offer.steps_per_dollar
    return (
        result.machine_class,
        result.host,
        interval_text(result),
        "-" if offer.price_per_hour is None else dollars(offer.price_per_hour) + offer.share_text,
        "-" if per_dollar is None else steps(per_dollar),
        configuration_text(result.config),
    )


def configuration_text(config: Mapping[str, Any]) -> str:
    """Return all axes of a configuration: the sizes that most have first, then others by name."""
    sizes = [name for name in _SIZES if name in config]
    return ", ".join(f"{name} {config[name]}" for name in [*sizes, *sorted(config.keys() - sizes)])


def render(ranked: Sequence[ClassOffer], title: str) -> RenderableType:
    """Return one task's offers as a table for a terminal."""
    table = Table(title=Text(title, style="table.title"), title_justify="left")
    for column in OFFER_COLUMNS:
        table.add_column(column, overflow="fold")
    for offer in ranked:
        table.add_row(*map(Text, cells(offer)))
    return table


def to_dict(ranked: Sequence[ClassOffer], task: TaskKey) -> Mapping[str, Any]:
    """Return one task's offers and the advice, as plain values for JSON."""
    return {
        "task": list(task),
        "advice": advice(ranked),
        "offers": [
            {
                **dataclasses.asdict(offer.profile),
                "path": str(offer.profile.path),
                "price_per_hour": offer.price_per_hour,
                "steps_per_dollar": offer.steps_per_dollar,
            }
            for offer in ranked
        ],
    }


def _rank(offer: ClassOffer) -> tuple[bool, float, float]:
    profile = offer.profile
    return (profile.is_proven, offer.steps_per_dollar or 0.0, profile.steps_per_second)


def _overlap(first: ClassOffer, second: ClassOffer) -> bool:
    assert first.price_per_hour is not None
    assert second.price_per_hour is not None
    return first.profile.low / first.price_per_hour <= second.profile.high / second.price_per_hour
