"""Figures as a person reads them: speeds, sizes, times, money. Stdlib only, pure."""

from collections.abc import Collection

GIB = 2**30


_SCALES = ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " K"))


def steps(count: float) -> str:
    """Return three significant digits: `261 M`, `1.50 B`."""
    return _scaled(count, _SCALES) or f"{count:.0f}"


def dollars(amount: float) -> str:
    """Return `$0.69`, or `< $0.01` for less than a cent."""
    return "< $0.01" if 0 < amount < 0.005 else f"${amount:.2f}"


def speed(steps_per_second: float) -> str:
    """Return three significant digits: `0.0213`, `947`, `50.1 K`, `1.23 M`."""
    is_small = 0 < steps_per_second < 99.95
    plain = f"{steps_per_second:#.3g}" if is_small else f"{steps_per_second:.0f}"
    return _scaled(steps_per_second, _SCALES[-2:]) or plain


def speed_interval(steps_per_second: float, low: float, high: float) -> str:
    """Return `50.1 K ±1.3 %`, the wider side of the interval; one block alone has no interval."""
    if low == high:
        return speed(steps_per_second)
    side = max(high - steps_per_second, steps_per_second - low) / steps_per_second
    return f"{speed(steps_per_second)} ±{100 * side:.1f} %"


def size(number_bytes: float | None) -> str:
    """Return `512 MiB`, `1.50 GiB`; `-` if unknown."""
    if number_bytes is None:
        return "-"
    if number_bytes >= 0.9995 * GIB:
        return f"{_three_digits(number_bytes / GIB)} GiB"
    mib = number_bytes / 2**20
    return f"{mib:.0f} MiB" if mib >= 9.5 else f"{mib:.1f} MiB"


def duration(seconds: float) -> str:
    """Return `42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def fine_duration(seconds: float) -> str:
    """Return `1.38 s` below ten seconds, else as `duration`."""
    return f"{seconds:.3g} s" if seconds < 9.995 else duration(seconds)


def plural(number: int, noun: str) -> str:
    """Return `1 trial`, `2 trials`, `4 minibatches`."""
    ending = "" if number == 1 else "es" if noun.endswith(("tch", "s", "x")) else "s"
    return f"{number:,} {noun}{ending}"


def of_planned(done: int, planned: int, noun: str) -> str:
    """Return how much was done of what was planned: "9 of 200 updates", "608 updates" for more."""
    return plural(done, noun) if done > planned else f"{done:,} of {plural(planned, noun)}"


def times(ratio: float, *apart_from: float) -> str:
    """Return `1.24 x`, `12.4 x`; in more digits what would read as a bound that it is apart from.

    So `1.003 x` is no `1.00 x` where it is said to be more than 1.
    """
    text, digits = _three_digits(ratio), 2
    while any(ratio != bound == float(text) for bound in apart_from):
        digits += 1
        text = f"{ratio:.{digits}f}"
    return f"{text} x"


def times_interval(low: float, high: float) -> str:
    """Return `1.07 x to 1.31 x`, of which one sees whether it includes 1."""
    return f"{times(low, 1.0)} to {times(high, 1.0)}"


def cpu_ranges(cpus: Collection[int]) -> str:
    """Return CPUs as taskset takes them: `0-3,8`."""
    ordered = sorted(cpus)
    starts = [cpu for cpu in ordered if cpu - 1 not in cpus]
    ends = [cpu for cpu in ordered if cpu + 1 not in cpus]
    pairs = zip(starts, ends, strict=True)
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


def _scaled(value: float, scales: tuple[tuple[float, str], ...]) -> str | None:
    for size, unit in scales:
        if value >= size * 0.9995:  # 999.95 K would print as 1000 K; it is 1.00 M
            return f"{_three_digits(value / size)}{unit}"
    return None


def _three_digits(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"
