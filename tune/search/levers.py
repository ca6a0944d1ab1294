"""Levers of the runtime, tried on the winner of the finals and kept where they are a gain. Pure.

    tried by turns: the winner as it is, then with each lever; then in the reverse order

A lever is variables of the trial's environment. It is kept if it is faster beyond the noise between
processes, and if what the first update says of learning is what it says without the lever. One at
most is kept. It then has finals of its own, in fresh processes: those that chose it flatter it.
"""

import dataclasses
import enum
import statistics
from collections.abc import Iterable, Mapping, Sequence

from search_spaces.config import VARIABLE, Config, config_key, variables_of
from trainables.health import NOISE_SCALE
from tune.search.candidates import candidates_of
from tune.search.rounds import counted
from tune.search.speedup import Speedup, speedup
from tune.search.trial import Stage, Trial

LEAST_GAIN = 1.01
"""Candidates within a percent are tied: no lever is worth its place in a profile for that."""

_LEARNING_ERROR = 0.03
"""The share by which a figure of the first update may differ with a lever.

Products rounded to bfloat16 on a CPU changed none by more than 1.1 % at Phase 1's learning rate,
whatever the seed, by up to 2.8 % at eight times that rate; another seed changes half of them by 7 %
and more. The gradient noise scale is no such figure: seeds of one program differ in it sevenfold,
and rounding changed it by 3.1 %.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lever:
    """A lever: its name, and the variables that it sets; whether training's numbers change by more
    than the order of its sums.
    """

    name: str
    variables: Mapping[str, str]
    changes_numbers: bool = False


def _flag(name: str, flag: str) -> Lever:
    return Lever(name=name, variables={"XLA_FLAGS": flag})


GPU = (
    _flag("loops double buffered", "--xla_gpu_enable_while_loop_double_buffering=true"),
    _flag("command buffers for loops", "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL"),
    _flag("latency hiding", "--xla_gpu_enable_latency_hiding_scheduler=true"),
    _flag("no Triton products", "--xla_gpu_enable_triton_gemm=false"),
    Lever(
        name="bfloat16 products",
        variables={"JAX_DEFAULT_MATMUL_PRECISION": "BF16_BF16_F32"},
        changes_numbers=True,
    ),
)
"""Levers of XLA on a GPU. What flags do on an H100 is in benchmarks/README.md.

A GPU multiplies in TensorFloat-32 by itself. What JAX calls "bfloat16" is its default there.
"""


class Verdict(enum.StrEnum):
    """The reasons why a lever is kept or not, in words."""

    KEPT = "kept"
    SLOWER = "slower"
    NO_GAIN = "no gain beyond noise"
    LITTLE_GAIN = "it gains less than 1 %"
    LESS_GAIN = "another one gains more"
    OTHER_LEARNING = "it changes learning"
    FAILED = "it did not run"
    UNTRIED = "not tried to the end"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A lever that was tried: its configuration, what it gained, and whether it is kept.

    `gain` is `None` where it was not measured beside the winner. `why` has the evidence against it.
    """

    name: str
    config: Config
    gain: Speedup | None
    verdict: Verdict
    why: str = ""


def with_lever(base: Mapping[str, object], lever: Lever) -> Config:
    """Return the configuration with the lever's variables."""
    return {**base, **{VARIABLE + name: value for name, value in lever.variables.items()}}


def base_of(trials: Iterable[Trial]) -> Config | None:
    """Return the configuration that levers are tried on, once that has begun."""
    return next((trial.config for trial in trials if trial.stage is Stage.LEVER), None)


def next_trial(
    trials: Sequence[Trial], levers: Sequence[Lever], winner: Config, *, num_rounds: int
) -> Config | None:
    """Return what to run next of the winner and its levers; `None` when all have been compared.

    A lever that was slower in its first round is out. One that sets a variable which is an axis of
    the search, or changes numbers of a training that says nothing of its learning, is not tried.
    """
    base = base_of(trials) or winner
    configs = [base, *(with_lever(base, one) for one in levers if _is_for(one, base, trials))]
    done = counted(trials, Stage.LEVER, configs)
    bare = done[config_key(base)]
    in_race = [one for one in configs[1:] if _can_gain(done[config_key(one)], bare)]
    if not in_race or any(trial.measurement is None for trial in bare):
        return None
    counts = {position: len(done[config_key(one)]) for position, one in enumerate(configs)}
    turns = [
        (count, position if count % 2 == 0 else -position, configs[position])
        for position, count in counts.items()
        if count < num_rounds and (position == 0 or configs[position] in in_race)
    ]
    return min(turns, key=lambda turn: turn[:2])[2] if turns else None


def tried(trials: Sequence[Trial]) -> list[Tried]:
    """Return each lever that was tried, with its verdict."""
    base = base_of(trials)
    if base is None:
        return []
    configs = {config_key(t.config): t.config for t in trials if t.stage is Stage.LEVER}
    done = counted(trials, Stage.LEVER, list(configs.values()))
    finals = [dataclasses.replace(t, stage=Stage.FINAL) for t in trials if t.stage is Stage.LEVER]
    candidates = {config_key(one.config): one for one in candidates_of(finals)}
    bare = candidates.get(config_key(base))
    found = []
    for key, config in configs.items():
        if key == config_key(base):
            continue
        one = candidates.get(key)
        gain = None if one is None or bare is None else speedup(one, bare)
        verdict, why = _judge(gain, done[key], done[config_key(base)])
        found.append(
            Tried(name=name_of(config, base), config=config, gain=gain, verdict=verdict, why=why)
        )
    gains = [one.gain.ratio for one in found if one.gain and one.verdict is Verdict.KEPT]
    return [
        dataclasses.replace(one, verdict=Verdict.LESS_GAIN)
        if one.verdict is Verdict.KEPT and one.gain and one.gain.ratio < max(gains)
        else one
        for one in found
    ]


def kept(trials: Sequence[Trial]) -> Config | None:
    """Return the winner with the lever that is kept, if one is."""
    return next((one.config for one in tried(trials) if one.verdict is Verdict.KEPT), None)


def name_of(config: Mapping[str, object], base: Mapping[str, object]) -> str:
    """Return the lever's name by the variables that the winner does not set."""
    more = {n: v for n, v in variables_of(config).items() if base.get(VARIABLE + n) != v}
    for one in GPU:
        if all(more.get(name, "").endswith(value) for name, value in one.variables.items()):
            return one.name
    return " ".join(f"{name}={value}" for name, value in more.items())


def _is_for(lever: Lever, base: Config, trials: Sequence[Trial]) -> bool:
    if any(VARIABLE + name in base for name in lever.variables):
        return False
    own = [t.measurement for t in trials if t.measurement and t.config == base]
    return not lever.changes_numbers or any(measured.first_health for measured in own)


def _can_gain(own: Sequence[Trial], bare: Sequence[Trial]) -> bool:
    """Return whether a lever ran each time, and was faster than the winner at first."""
    if any(trial.measurement is None for trial in own):
        return False
    return not own or not bare or _speed(own[0]) > _speed(bare[0])


def _judge(
    gain: Speedup | None, own: Sequence[Trial], bare: Sequence[Trial]
) -> tuple[Verdict, str]:
    failed = [t.outcome.message for t in own if t.outcome and t.measurement is None]
    if failed:
        return Verdict.FAILED, failed[-1]
    if gain is None:
        return Verdict.UNTRIED, ""
    if gain.high < 1.0:
        return Verdict.SLOWER, ""
    if gain.low <= 1.0:
        return Verdict.NO_GAIN, ""
    if gain.ratio < LEAST_GAIN:
        return Verdict.LITTLE_GAIN, ""
    difference = _other_learning(own, bare)
    return (Verdict.OTHER_LEARNING, difference) if difference else (Verdict.KEPT, "")


def _other_learning(own: Sequence[Trial], bare: Sequence[Trial]) -> str:
    """Return which figure of the first update a lever changes beyond what rounding does to it.

    Processes of the winner that differ among themselves allow a lever to differ as much.
    """
    without, having = _firsts(bare), _firsts(own)
    for name in sorted((without.keys() & having.keys()) - {NOISE_SCALE}):
        middle = statistics.median(without[name])
        spread = max(without[name]) - min(without[name])
        value = statistics.median(having[name])
        allowed = spread + _LEARNING_ERROR * max(abs(middle), abs(value))
        if abs(value - middle) > allowed:
            return f"{name} is {value:.4g} after the first update, and {middle:.4g} without it"
    return ""


def _firsts(trials: Iterable[Trial]) -> dict[str, list[float]]:
    """Return the figures of the first update by name, over processes."""
    values: dict[str, list[float]] = {}
    for trial in trials:
        if trial.measurement is not None:
            for name, value in trial.measurement.first_health.items():
                values.setdefault(name, []).append(value)
    return values


def _speed(trial: Trial) -> float:
    return 0.0 if trial.measurement is None else trial.measurement.steps_per_second
