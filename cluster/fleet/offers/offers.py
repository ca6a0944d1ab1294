"""`report`: the best profile of each GPU class, what its steps cost, and which class to rent.

Profiles are plain YAML here: the search that wrote them is a floor above.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml

from cluster.errors import FleetError
from cluster.fleet.hosts import Host
from cluster.fleet.offers.prices import Prices
from cluster.node.atomic import write_bytes
from cluster.pages.units import dollars, speed, steps
from cluster.structure import Rule, StructureError, structure_known

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = ("GPU class", "host", "env steps/s", "$ per hour", "env steps per $", "configuration")
_SIZES = ("num_envs", "num_steps", "batch_size", "num_epochs")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One pulled profile, as far as a choice between machines needs it.

    `task` is all that two profiles must agree on for their speeds to be compared. `is_proven` means
    that finals confirmed it and the search came to its end.
    """

    path: Path
    host: str
    machine_class: str
    kind: str
    task: tuple[str, ...]
    steps_per_second: float
    low: float
    high: float
    is_proven: bool
    config: dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The best profile of a class, and what an hour of it costs."""

    result: Result
    price_per_hour: float | None

    @property
    def steps_per_dollar(self) -> float | None:
        """Env steps for one dollar, `None` without a price."""
        price = self.price_per_hour
        return None if price is None else self.result.steps_per_second * 3600 / price


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Workload:
    factory: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    objective: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    source: str | None
    sha256: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Speed:
    low: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Profile:
    """The keys of a profile that the fleet reads; the search's own reader knows all of them."""

    schema_version: Annotated[
        int, Rule("must be 1, which is all that this version reads", lambda version: version == 1)
    ]
    kind: str
    machine_class: str
    expected_sps: float
    confirmed: bool
    partial: bool
    config: dict[str, int]
    speed: _Speed
    workload: _Workload
    search: _Search
    data: _Data


def read_all(out: Path, *, kind: str) -> list[Result]:
    """Read every profile of this kind that `pull` brought to `out`.

    Raises:
        FleetError: if there is none, or one cannot be read; names file and key.
    """
    paths = sorted(out.glob("*/*/profiles/*.yaml"))
    results = [read(path) for path in paths]
    wanted = [result for result in results if result.kind == kind]
    if not wanted:
        kinds = ", ".join(sorted({result.kind for result in results}))
        has = f"only of the kinds {kinds}" if kinds else "no profile at all"
        raise FleetError(f"{out} has no profile of the kind {kind} ({has}); run `pull` first.")
    return wanted


def read(path: Path) -> Result:
    """Read one profile.

    Raises:
        FleetError: if it is not one; names the file and the key.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FleetError(f"cannot read the profile {path}: {error}") from error
    try:
        profile = structure_known(_Profile, document)
    except StructureError as error:
        raise FleetError(f"{path} is not a profile: {error}") from error
    data = profile.data
    return Result(
        path=path,
        host=path.parents[2].name,
        machine_class=profile.machine_class,
        kind=profile.kind,
        task=(
            profile.workload.factory,
            profile.search.objective,
            data.source or "-",
            (data.sha256 or "-")[:12],
        ),
        steps_per_second=profile.expected_sps,
        low=profile.speed.low,
        high=profile.speed.high,
        is_proven=profile.confirmed and not profile.partial,
        config=profile.config,
    )


def offers(results: Sequence[Result], hosts: Sequence[Host], prices: Prices) -> list[Offer]:
    """The best result of each class with its price, the most steps per dollar first.

    A proven result comes before any that is not, however fast: the fastest of many that were seen
    once is mostly luck.
    """
    by_name = {host.name: host for host in hosts}
    best: dict[str, Result] = {}
    for result in results:
        known = best.get(result.machine_class)
        if known is None or _rank(result) > _rank(known):
            best[result.machine_class] = result
    found = [
        Offer(result=result, price_per_hour=prices.of(by_name.get(result.host), name))
        for name, result in best.items()
    ]
    return sorted(
        found, key=lambda o: (o.steps_per_dollar or 0.0, o.result.steps_per_second), reverse=True
    )


def by_task(results: Sequence[Result]) -> dict[tuple[str, ...], list[Result]]:
    """Results whose speeds may be compared with each other."""
    tasks: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        tasks.setdefault(result.task, []).append(result)
    return tasks


def advice(ranked: Sequence[Offer]) -> str:
    """The sentence that says which class to rent, and how sure that is."""
    priced = [offer for offer in ranked if offer.steps_per_dollar is not None]
    unpriced = [offer.result.machine_class for offer in ranked if offer.steps_per_dollar is None]
    if not priced:
        fastest = max(ranked, key=lambda offer: offer.result.steps_per_second).result
        return (
            f"Fastest: {fastest.machine_class} with {speed(fastest.steps_per_second)} env steps/s; "
            f"what to rent needs prices: --price {fastest.machine_class}=DOLLARS_PER_HOUR."
        )
    first = priced[0]
    assert first.price_per_hour is not None
    assert first.steps_per_dollar is not None
    sentence = (
        f"Rent this one: {first.result.machine_class} at {dollars(first.price_per_hour)} an hour, "
        f"{steps(first.steps_per_dollar)} env steps per dollar"
    )
    if len(priced) == 1:
        sentence += ", the only one measured with a price"
    else:
        second = priced[1]
        assert second.steps_per_dollar is not None
        ratio = first.steps_per_dollar / second.steps_per_dollar
        sentence += f", {ratio:.2f} times those of {second.result.machine_class}"
        if _overlap(first, second):
            sentence += "; their intervals overlap, so that may be chance"
    if not first.result.is_proven:
        sentence += "; its search was cut short before its finals, so let one finish first"
    if unpriced:
        sentence += f"; no price is known for {', '.join(unpriced)}"
    return sentence + "."


def publish(ranked: Sequence[Offer], out: Path, *, suffix: str = "") -> list[Path]:
    """Copy each class's profile to `out` itself, where training looks for it."""
    paths = []
    for source in (offer.result.path for offer in ranked):
        path = out / f"{source.stem}{suffix}.yaml"
        write_bytes(path, source.read_bytes())
        paths.append(path)
    return paths


def suffix(task: tuple[str, ...]) -> str:
    """What tells the profiles of several tasks apart: their files are named by class and phase."""
    return f"-{hashlib.sha256(repr(task).encode()).hexdigest()[:8]}"


def speed_text(result: Result) -> str:
    """`50.1 K ±1.3 %`, and whether finals have proven it."""
    side = max(result.high - result.steps_per_second, result.steps_per_second - result.low)
    interval = f"±{100 * side / result.steps_per_second:.1f} %"
    return f"{speed(result.steps_per_second)} {interval}" + " (unproven)" * (not result.is_proven)


def cells(offer: Offer) -> tuple[str, ...]:
    """An offer's row under `COLUMNS`."""
    result = offer.result
    per_dollar = offer.steps_per_dollar
    return (
        result.machine_class,
        result.host,
        speed_text(result),
        "-" if offer.price_per_hour is None else dollars(offer.price_per_hour),
        "-" if per_dollar is None else steps(per_dollar),
        configuration_text(result.config),
    )


def configuration_text(config: Mapping[str, int]) -> str:
    """Return all axes of a configuration: the sizes that most have first, then others by name."""
    sizes = [name for name in _SIZES if name in config]
    return ", ".join(f"{name} {config[name]}" for name in [*sizes, *sorted(config.keys() - sizes)])


def render(ranked: Sequence[Offer], task: tuple[str, ...]) -> "RenderableType":
    """One task's offers as a table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=" · ".join(part for part in task if part != "-"), title_justify="left")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for offer in ranked:
        table.add_row(*map(Text, cells(offer)))
    return table


def to_dict(ranked: Sequence[Offer], task: tuple[str, ...]) -> Mapping[str, Any]:
    """The same as plain values for JSON."""
    return {
        "task": list(task),
        "advice": advice(ranked),
        "offers": [
            {
                **dataclasses.asdict(offer.result),
                "path": str(offer.result.path),
                "price_per_hour": offer.price_per_hour,
                "steps_per_dollar": offer.steps_per_dollar,
            }
            for offer in ranked
        ],
    }


def _rank(result: Result) -> tuple[bool, float]:
    return (result.is_proven, result.steps_per_second)


def _overlap(first: Offer, second: Offer) -> bool:
    assert first.price_per_hour is not None
    assert second.price_per_hour is not None
    return first.result.low / first.price_per_hour <= second.result.high / second.price_per_hour
