"""How outcomes and numbers read to a person. Stdlib only, pure."""

import dataclasses
from collections.abc import Collection, Mapping

from trainables.measurement import OutcomeKind

GIB = 2**30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """`short` labels an outcome in a table, `means` explains it, `do` is the one thing to do."""

    short: str
    means: str
    do: str


ADVICE: Mapping[OutcomeKind, Advice] = {
    OutcomeKind.COMPLETED: Advice(
        short="measured",
        means="The configuration fits and its steady speed was measured.",
        do="Nothing.",
    ),
    OutcomeKind.INVALID: Advice(
        short="invalid",
        means="The sizes cannot work on any machine.",
        do="Choose a batch_size that divides num_envs * num_steps.",
    ),
    OutcomeKind.THREAD_LIMIT: Advice(
        short="no threads left",
        means="The machine refused a thread, even at the lowest thread cap.",
        do="Run python -m tune.preflight: it names the limit and the value that would do.",
    ),
    OutcomeKind.DEVICE_MEMORY: Advice(
        short="device memory",
        means="The program needs more device memory than the budget.",
        do="Fewer num_envs or num_steps, a smaller batch_size, or a GPU with more memory.",
    ),
    OutcomeKind.HOST_MEMORY: Advice(
        short="host memory",
        means="The trial's processes need more RAM or memory maps than the host allows.",
        do="Rent more RAM, or lower num_envs.",
    ),
    OutcomeKind.UNSTABLE: Advice(
        short="unstable",
        means="Training broke down: NaN or Inf, in Phase 3 also a collapsed policy or exploded KL.",
        do="Look at the trial's log; a smaller batch_size or learning rate usually helps.",
    ),
    OutcomeKind.TIMEOUT: Advice(
        short="timed out",
        means="The trial did not finish within --trial-timeout and was killed.",
        do="Raise --trial-timeout, or look at the log for what hangs.",
    ),
    OutcomeKind.SLOW: Advice(
        short="slow",
        means="Its interval lies clearly below the best, so it was stopped early.",
        do="Nothing.",
    ),
    OutcomeKind.ERROR: Advice(
        short="error",
        means="The trial failed for a reason that is no limit of the machine.",
        do="Read the trial's log; this is a defect in the workload, its setup or this tool.",
    ),
    OutcomeKind.NODE_LOST: Advice(
        short="worker lost",
        means="Ray lost the worker; that says nothing about the configuration.",
        do="Nothing: it is run again.",
    ),
}

EXCLUDED = Advice(
    short="not run",
    means="It was predicted to need more memory than the budget.",
    do="Raise --memory-budget if you believe that it fits.",
)

SIZES = ("num_envs", "num_steps", "batch_size")
"""What a configuration of PPO's kind is called by."""


def advice(name: str) -> Advice:
    """The words for an outcome by its name in `SearchResult.outcome_counts`."""
    return EXCLUDED if name == "excluded" else ADVICE[OutcomeKind(name)]


def speed(steps_per_second: float) -> str:
    """`947`, `50.1 K`, `1.23 M`: three significant digits."""
    for size, unit in ((1e6, " M"), (1e3, " K")):
        # 999.95 K would print as 1000 K; it is 1.00 M.
        if steps_per_second >= size * 0.9995:
            return f"{_three_digits(steps_per_second / size)}{unit}"
    return f"{steps_per_second:.0f}"


def speed_interval(steps_per_second: float, low: float, high: float) -> str:
    """`50.1 K ±1.3 %`, the wider side of the interval; one block alone has no interval."""
    if low == high:
        return speed(steps_per_second)
    side = max(high - steps_per_second, steps_per_second - low) / steps_per_second
    return f"{speed(steps_per_second)} ±{100 * side:.1f} %"


def size(number_bytes: float | None) -> str:
    """`512 MiB`, `1.50 GiB`; `-` if unknown."""
    if number_bytes is None:
        return "-"
    if number_bytes >= 0.9995 * GIB:
        return f"{_three_digits(number_bytes / GIB)} GiB"
    mib = number_bytes / 2**20
    return f"{mib:.0f} MiB" if mib >= 9.5 else f"{mib:.1f} MiB"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def language_model(health: Mapping[str, float]) -> str:
    """What asking a language model cost a trial, by its health metrics; empty without a model."""
    if "llm_share" not in health:
        return ""
    parts = [
        f"{100 * health['llm_share']:.0f} % of the time; "
        f"{speed(health['steps_per_second_without_llm'])} env steps/s without it"
    ]
    if "llm_seconds_per_query" in health:
        parts.append(
            f"{health['llm_seconds_per_query']:.2g} s per question, "
            f"{health['llm_tokens_per_second']:.0f} tokens/s"
        )
    if "llm_cache_hits" in health:
        parts.append(f"{100 * health['llm_cache_hits']:.0f} % answered from the cache")
    if "llm_parse_failures" in health:
        parts.append(f"{100 * health['llm_parse_failures']:.0f} % of the answers did not parse")
    return "; ".join(parts)


def configuration(config: Mapping[str, int]) -> str:
    """`256 envs x 128 steps, batch 8192, 4 epochs`; other axes by their names."""
    rest = dict(config)
    parts = []
    if {"num_envs", "num_steps"} <= config.keys():
        parts.append(f"{rest.pop('num_envs')} envs x {rest.pop('num_steps')} steps")
    if "batch_size" in rest:
        parts.append(f"batch {rest.pop('batch_size')}")
    if "num_epochs" in rest:
        parts.append(plural(rest.pop("num_epochs"), "epoch"))
    return ", ".join([*parts, *(f"{name} {value}" for name, value in rest.items())])


def cell(config: Mapping[str, int], fixed: Collection[str] = ()) -> str:
    """`256 x 128 / 8192`, for a narrow column; axes in `fixed` are left out."""
    rest = {name: value for name, value in config.items() if name not in fixed}
    parts = []
    if num_minibatches(config) is not None:
        parts.append(f"{config['num_envs']} x {config['num_steps']} / {config['batch_size']}")
        rest = {name: value for name, value in rest.items() if name not in SIZES}
    return " ".join([*parts, *(f"{name}={value}" for name, value in rest.items())])


def sizes(config: Mapping[str, int]) -> str:
    """`256 x 128, 4 minibatches`: what people call a configuration; others by their names."""
    minibatches = num_minibatches(config)
    if minibatches is None:
        return ", ".join(f"{name} {value}" for name, value in config.items())
    return f"{config['num_envs']} x {config['num_steps']}, {plural(minibatches, 'minibatch')}"


def num_minibatches(config: Mapping[str, int]) -> int | None:
    """Gradient steps per epoch; `None` for a configuration that is not of PPO's kind."""
    if not all(name in config for name in SIZES):
        return None
    return config["num_envs"] * config["num_steps"] // config["batch_size"]


def plural(number: int, noun: str) -> str:
    """`1 trial`, `2 trials`, `4 minibatches`."""
    ending = "" if number == 1 else "es" if noun.endswith(("tch", "s", "x")) else "s"
    return f"{number:,} {noun}{ending}"


def times(ratio: float) -> str:
    """`1.24 x`, `12.4 x`."""
    return f"{_three_digits(ratio)} x"


def cpu_ranges(cpus: Collection[int]) -> str:
    """`0-3,8`: CPUs as taskset takes them."""
    ordered = sorted(cpus)
    starts = [cpu for cpu in ordered if cpu - 1 not in cpus]
    ends = [cpu for cpu in ordered if cpu + 1 not in cpus]
    pairs = zip(starts, ends, strict=True)
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


def _three_digits(value: float) -> str:
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f}"
