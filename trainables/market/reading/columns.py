"""The columns of a file by their names: which of them are the bars. Stdlib only, pure."""

import dataclasses
import re
from collections.abc import Sequence

from trainables.market.reading.rows import listed
from trainables.workload import WorkloadInputError

PRICES = ("open", "high", "low", "close")
ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamp", "datetime", "datetimeutc", "timestamputc", "timeutc", "unix", "unixtime",
        "unixtimestamp", "epoch", "ts", "opentime", "tradetime", "tsevent", "windowstart", "begin",
        "start", "starttime", "timeperiodstart", "gmttime", "localtime", "time", "t", "date",
        "dateutc", "tradedate", "dtyyyymmdd", "day", "index", "indexlevel0", "unnamed:0",
    ),
    "open": ("open", "o", "openprice", "priceopen"),
    "high": ("high", "h", "highprice", "pricehigh"),
    "low": ("low", "l", "lowprice", "pricelow"),
    "close": ("close", "c", "closeprice", "priceclose", "last", "latest", "close/last", "price"),
    "volume": (
        "volume", "vol", "v", "realvolume", "volumefrom", "basevolume", "volumetraded",
        "tickvolume", "tickvol",
    ),
}  # fmt: skip
"""Accepted column names, best first, as `plain_name` has them."""

SYMBOLS = (
    "symbol", "ticker", "tscode", "instrument", "instrumentid", "code", "secid", "pair", "asset",
    "contract", "isin", "actsymbol", "name", "sym", "market", "coin",
)  # fmt: skip
PERIODS = ("per", "period", "interval", "timeframe")
_DAYS = ("date", "day", "tradedate", "dtyyyymmdd")
_CLOCKS = ("time",)
_BETTER_THAN_PAIRS = ALIASES["timestamp"][: ALIASES["timestamp"].index("time")]
_QUOTE = re.compile(r"^volume\(?(usd[tc]?|busd|eur|gbp|jpy|krw|try|currency|quote|to)\)?$")
_BASE = re.compile(r"^volume\(?[a-z0-9]{2,10}\)?$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Positions of a file's columns.

    time: of the time; clock: of the time of day, where `time` may be the day alone.
    prices: open, high, low, close; volumes: all that may be the volume, best first.
    symbol, period: of the columns that tell instruments and lengths of bars apart.
    """

    time: int
    clock: int | None
    prices: tuple[int, int, int, int]
    volumes: tuple[int, ...]
    symbol: int | None
    period: int | None


def plain_name(name: str) -> str:
    """Return a column's name without case, brackets, blanks and numbering: "1. open" is "open"."""
    plain = name.strip().strip("<>[]\"'").strip().lower()
    plain = re.sub(r"^\d+[.)] ?", "", plain)
    return re.sub(r"[ _\-.]", "", plain)


def role_of(name: str) -> str | None:
    """Return what a column of this name holds, `None` if that is none of ours."""
    plain = plain_name(name)
    known = (role for role, aliases in ALIASES.items() if plain in aliases)
    return next(known, "symbol" if plain in SYMBOLS else None)


def find_columns(names: Sequence[str], file: str) -> Columns:
    """Find the columns of bars among the names of a file's columns.

    Raises:
        WorkloadInputError: if a column is missing, or there are two of it.
    """
    plain = [plain_name(name) for name in names]
    if plain and not plain[0]:
        plain[0] = "unnamed:0"  # an index without a name
    time, clock = _find_time(plain, names, file)
    prices = [_only(ALIASES[name], name, plain, names, file) for name in PRICES]
    return Columns(
        time=time,
        clock=clock,
        prices=(prices[0], prices[1], prices[2], prices[3]),
        volumes=_find_volumes(plain, names, file),
        symbol=next((plain.index(name) for name in SYMBOLS if name in plain), None),
        period=next((plain.index(name) for name in PERIODS if name in plain), None),
    )


def _find_time(plain: Sequence[str], names: Sequence[str], file: str) -> tuple[int, int | None]:
    day = next((name for name in _DAYS if name in plain), None)
    clock = next((name for name in _CLOCKS if name in plain), None)
    better = any(name in plain for name in _BETTER_THAN_PAIRS)
    if better or day is None or clock is None:
        return _only(ALIASES["timestamp"], "timestamp", plain, names, file), None
    return (
        _only((day,), "timestamp", plain, names, file),
        _only((clock,), "timestamp", plain, names, file),
    )


def _find_volumes(plain: Sequence[str], names: Sequence[str], file: str) -> tuple[int, ...]:
    found = [
        _only((alias,), "volume", plain, names, file)
        for alias in ALIASES["volume"]
        if alias in plain
    ]
    if found:
        return tuple(found)
    bases = [i for i, name in enumerate(plain) if _BASE.match(name) and not _QUOTE.match(name)]
    if len(bases) > 1:
        raise WorkloadInputError(
            f"{file} has several volumes: {listed(names[i] for i in bases)}; name one of them "
            "volume."
        )
    if not bases:
        raise WorkloadInputError(
            f"{file} has no volume column: its columns are {listed(names)}; name one of them "
            "volume, or add a column volume of zeros if this market has none."
        )
    return tuple(bases)


def _only(
    aliases: Sequence[str], role: str, plain: Sequence[str], names: Sequence[str], file: str
) -> int:
    """Return the position of the one column with the best of these names."""
    alias = next((one for one in aliases if one in plain), None)
    if alias is None:
        raise WorkloadInputError(
            f"{file} has no {role} column: its columns are {listed(names)}; "
            f"name one of them {' or '.join(aliases[:2])}."
        )
    places = [i for i, name in enumerate(plain) if name == alias]
    if len(places) > 1:
        raise WorkloadInputError(
            f"{file} has {len(places)} columns named {listed([names[places[0]]])} (columns "
            f"{listed(i + 1 for i in places)}); keep those of one instrument, with a name each."
        )
    return places[0]
