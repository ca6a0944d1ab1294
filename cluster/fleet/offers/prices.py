"""Prices of an hour, by GPU class: prices.toml and --price. Nothing is fetched here."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cluster.errors import FleetError
from cluster.fleet.hosts import Host, Price
from cluster.node.regular import read_bounded
from cluster.structure import Rule, StructureError, convert, structure

_ByClass = Annotated[
    dict[str, Price], Rule("must name a GPU class", lambda prices: "" not in prices)
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars an hour by GPU class, or by a part of its name such as `rtx-4090`.

    The first of these counts: `given` (--price), the host's own `price_per_hour`, `listed` (the
    prices file), `fetched` (--gpuhunt, by whole class). The same card has many prices, and the
    host's is the one that is paid. The host's is that of the box, the others are those of one GPU.
    """

    given: Mapping[str, float] = dataclasses.field(default_factory=dict)
    listed: Mapping[str, float] = dataclasses.field(default_factory=dict)
    fetched: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def of(self, host: Host | None, machine_class: str | None) -> float | None:
        """Return this host's price in US dollars an hour, `None` if it is not known.

        Raises:
            FleetError: if two entries fit the class equally well.
        """
        price = None if machine_class is None else _find(self.given, machine_class)
        if price is None and host is not None:
            price = host.price_per_hour
        if price is None and machine_class is not None:
            price = _find(self.listed, machine_class) or self.fetched.get(machine_class)
        return price

    def of_training(
        self, host: Host | None, machine_class: str, *, num_devices: int, num_gpus: int
    ) -> float | None:
        """Return the price of a training's `num_devices` of a machine's `num_gpus` GPUs.

        The host's own price is that of the whole box; all others are those of one GPU. A CPU, which
        is `num_gpus` 0, is priced whole.

        Raises:
            FleetError: see `of`.
        """
        price = self.of(host, machine_class)
        if price is None or num_gpus == 0:
            return price
        is_given = _find(self.given, machine_class) is not None
        is_of_box = not is_given and host is not None and host.price_per_hour is not None
        return price * num_devices / (max(num_gpus, num_devices) if is_of_box else 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    prices: _ByClass = dataclasses.field(default_factory=dict)


def read(path: Path | None, options: tuple[str, ...]) -> Prices:
    """Read the prices file, if there is one, and `CLASS=1.19` options.

    Raises:
        FleetError: naming the file and the key, or the option, that is wrong.
    """
    given = {}
    for option in options:
        name, _, text = option.rpartition("=")
        if name and name in given:
            raise FleetError(f"--price gives {name} twice: leave one out.")
        try:
            given[name] = float(text)
        except ValueError:
            raise FleetError(f"--price takes CLASS=1.19, got {option!r}.") from None
    try:
        document = {} if path is None else tomllib.loads(read_bounded(path))
    except OSError as error:
        raise FleetError(f"cannot read the prices file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FleetError(f"{path} is not TOML: {error}.") from error
    try:
        listed = structure(_File, document).prices
    except StructureError as error:
        raise FleetError(
            f"{path}: {error} It holds one table, [prices], of CLASS = dollars an hour."
        ) from error
    try:
        return Prices(given=convert(_ByClass, given, "--price"), listed=listed)
    except StructureError as error:
        raise FleetError(str(error)) from error


def _find(table: Mapping[str, float], machine_class: str) -> float | None:
    """Return the price whose name is the longest run of whole words within the class."""
    fitting = {name: price for name, price in table.items() if _fits(name, machine_class)}
    if not fitting:
        return None
    longest = max(len(name) for name in fitting)
    best = {name: price for name, price in fitting.items() if len(name) == longest}
    if len(set(best.values())) > 1:
        raise FleetError(f"the prices of {' and '.join(best)} both fit {machine_class}.")
    return next(iter(best.values()))


def _fits(name: str, machine_class: str) -> bool:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"-{words}-" in f"-{machine_class}-"
