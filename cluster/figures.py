"""How figures of a fleet read to a person. Stdlib only, pure."""


def speed(steps_per_second: float) -> str:
    """`947`, `50.1 K`, `1.23 M`: three significant digits."""
    return _scaled(steps_per_second, ((1e6, " M"), (1e3, " K")))


def steps(count: float) -> str:
    """`261 M`, `1.50 B`: three significant digits."""
    return _scaled(count, ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " K")))


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def dollars(amount: float) -> str:
    """`$0.69`; a little is not nothing: `< $0.01`."""
    return "< $0.01" if 0 < amount < 0.005 else f"${amount:.2f}"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    for size, unit in units:
        if value >= size * 0.9995:  # 999.95 K would print as 1000 K; it is 1.00 M
            scaled = value / size
            digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
            return f"{scaled:.{digits}f}{unit}"
    return f"{value:.0f}"
